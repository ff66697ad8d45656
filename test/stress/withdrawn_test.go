//go:build apiserver

package stress

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// fastControllers let the controllers create pods faster than their defaults do.
var fastControllers = []string{"--kube-api-qps=500", "--kube-api-burst=500"}

// waits is an Injection of all pods, and policies that refuse its container, and the
// image of some apps.
const waits = `
apiVersion: telltale.dev/v1alpha1
kind: ClusterInjection
metadata: {name: waits}
spec:
  selector: {}
  initContainers: [{name: wait, image: registry.example/wait:1}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-wait}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
    namespaceSelector: {matchLabels: {policy: no-wait}}
  validations:
  - expression: "!has(object.spec.initContainers) || object.spec.initContainers.all(c, c.name != 'wait')"
    message: "our registry has no image for wait."
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-wait}
spec: {policyName: no-wait, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-image}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations: [{expression: "object.spec.containers.all(c, c.image != 'registry.example/bad:1')", message: "registry.example/bad:1 is not signed."}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-image}
spec: {policyName: no-image, validationActions: [Deny]}
`

// controlled starts a scenario with real controllers, which create the pods.
func controlled(t *testing.T, title, must string, namespaces int, flags ...string) *scenario {
	t.Helper()
	dir := t.TempDir()
	c, err := newCluster(t.Context(), harness.ControlPlane(t, controlplane.Options{ControllerManagerFlags: flags}), dir)
	if err != nil {
		t.Fatal(err)
	}
	harness.Kubectl(t, c.ControlPlane, "delete", "clusterinjection", "stress")
	file := filepath.Join(dir, "waits.yaml")
	if err := os.WriteFile(file, []byte(waits), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Kubectl(t, c.ControlPlane, "apply", "-f", file)
	s := start(t, c, title, must, 1, namespaces)
	if err := telltale.Register(t.Context(), c.ControlPlane, s.replicas[0].Port); err != nil {
		t.Fatal(err)
	}
	harness.Kubectl(t, c.ControlPlane, "label", "namespace", s.namespaces[0], "policy=no-wait")
	for _, words := range []string{"no image for wait", "not signed"} {
		s.refuses(words, true)
	}

	return s
}

// refuses waits until the API server refuses a pod with these words, or takes it.
func (s *scenario) refuses(words string, wanted bool) {
	s.Helper()
	pod, namespace := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}, Spec: template(nil).Spec}, s.namespaces[0]
	if words == "not signed" {
		pod.Spec.Containers[0].Image, namespace = bad, s.namespaces[1]
	}
	harness.Eventually(s.T, fmt.Sprintf("pods are refused as %q: %v", words, wanted), func(ctx context.Context) error {
		_, err := s.api.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})

		return want("refused", err != nil && strings.Contains(err.Error(), words), wanted)
	})
}

// bad is the image that a policy refuses.
const bad = "registry.example/bad:1"

// create creates n Deployments of one pod each.
func (s *scenario) create(n int, of func(i int) (namespace string, edit func(*corev1.PodSpec))) {
	s.Helper()
	one := int32(1)
	parallel(s.T, n, func(ctx context.Context, i int) error {
		labels := map[string]string{"app": fmt.Sprintf("web-%d", i)}
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: labels["app"]}, Spec: appsv1.DeploymentSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels),
		}}
		namespace, edit := of(i)
		edit(&d.Spec.Template.Spec)
		_, err := s.api.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{})

		return err
	})
}

// records waits until namespaces have so many pods with a record that has these
// words.
func (s *scenario) records(limit time.Duration, n int, annotation, words string, namespaces ...string) {
	s.Helper()
	harness.Within(s.T, limit, fmt.Sprintf("%d pods with %s in %s", n, words, annotation), func(ctx context.Context) error {
		all, with := 0, 0
		for _, ns := range namespaces {
			pods, err := s.api.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for i := range pods.Items {
				all++
				if strings.Contains(pods.Items[i].Annotations[annotation], words) {
					with++
				}
			}
		}

		return errors.Join(want("pods", all, n), want("with the record", with, n))
	})
}

// TestManyOwnersRefused: one policy refuses the pods of many Deployments at the same
// time, which are then withdrawn from their whole namespace.
func TestManyOwnersRefused(t *testing.T) {
	for name, flags := range map[string][]string{"fast controllers": fastControllers, "controllers as they are": nil} {
		t.Run(name, func(t *testing.T) {
			if flags == nil && !*full {
				t.Skip("takes minutes: only in the full form")
			}
			alongside(t)
			manyOwnersRefused(t, name, flags)
		})
	}
}

func manyOwnersRefused(t *testing.T, name string, flags []string) {
	t.Helper()
	owners := scale(60, 500)
	s := controlled(t, fmt.Sprintf("%d Deployments refused at once, %s", owners, name), "all pods ≤ 60 s, or 3 × as without the policy; exact", 2, flags...)
	plain := func(namespace string) func(int) (string, func(*corev1.PodSpec)) {
		return func(int) (string, func(*corev1.PodSpec)) { return namespace, func(*corev1.PodSpec) {} }
	}

	begin := time.Now()
	s.create(owners, plain(s.namespaces[1]))
	s.records(10*time.Minute, owners, "telltale.dev/injected", "cluster/waits@", s.namespaces[1])
	without := time.Since(begin)

	begin = time.Now()
	s.create(owners, plain(s.namespaces[0]))
	s.records(10*time.Minute, owners, "telltale.dev/failed", "=InjectionRefused", s.namespaces[0])
	took := time.Since(begin)
	whole := harness.Kubectl(t, s.ControlPlane, "get", "clusterinjection", "waits", "-o", "jsonpath={.status.withdrawn[0].since}")
	since, err := time.Parse(time.RFC3339, whole)
	if err != nil {
		t.Fatal(err)
	}
	s.note("all up after %.1f s, without the policy after %.1f s, %d trials, withdrawn from the namespace after %.0f s", took.Seconds(),
		without.Seconds(), s.replicas[0].says(t, "the next one is tried without"), since.Sub(begin).Seconds())
	if most := 3 * without; flags == nil && took > most || flags != nil && took > within(time.Minute) {
		t.Errorf("all pods are up after %v, without the policy it takes %v", took, without)
	}

	s.failures = int64(owners)
	took = harness.Eventually(t, "an event each", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "events", "-n", s.namespaces[0], "-l", "app.kubernetes.io/managed-by=telltale", "-o", "jsonpath={.items[*].count}")

		return errors.Join(err, want("events", len(strings.Fields(out)), owners))
	})
	s.counts()
	if s.shown != s.failures {
		t.Errorf("%d failures are shown, want one a pod: %d", s.shown, s.failures)
	}
	s.note("all shown %.0f s later", took.Seconds())
}

// TestNotOurs: the pods of many Deployments are refused for what is their own, as
// long as that lasts. No Injection is blamed, and none is missing afterwards.
func TestNotOurs(t *testing.T) {
	alongside(t)
	owners, namespaces := scale(40, 1000), scale(4, 25)
	s := controlled(t, fmt.Sprintf("%d refusals that are not ours", owners), "none called ours, none missing afterwards", namespaces, fastControllers...)
	noPods := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}
	full := s.namespaces[1]
	if _, err := s.api.CoreV1().ResourceQuotas(full).Create(t.Context(), noPods, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the quota", func(ctx context.Context) error {
		q, err := s.api.CoreV1().ResourceQuotas(full).Get(ctx, "none", metav1.GetOptions{})
		if err == nil {
			err = want("limits", len(q.Status.Hard), 1)
		}

		return err
	})

	begin := time.Now()
	s.create(owners, func(i int) (string, func(*corev1.PodSpec)) {
		ns := s.namespaces[1+i%(namespaces-1)]
		switch {
		case ns == full:
			return ns, func(*corev1.PodSpec) {}
		case i%2 == 0:
			return ns, func(spec *corev1.PodSpec) { spec.ServiceAccountName = "late" }
		default:
			return ns, func(spec *corev1.PodSpec) { spec.Containers[0].Image = bad }
		}
	})
	harness.Within(t, 20*time.Minute, "a trial each, and none withdrawn", func(ctx context.Context) error {
		if n := s.replicas[0].says(t, "the next one is tried without"); n < owners {
			return fmt.Errorf("%d trials", n)
		}
		out, err := s.Kubectl(ctx, "get", "clusterinjection", "waits", "-o", "jsonpath={.status.withdrawn[*].phase}")

		return errors.Join(err, want("withdrawals", out, ""))
	})
	s.note("%d trials ended after %.0f s", s.replicas[0].says(t, "the next one is tried without"), time.Since(begin).Seconds())

	s.end(full)
	s.records(10*time.Minute, owners, "telltale.dev/injected", "cluster/waits@", s.namespaces[1:]...)
	if n := len(s.events()); n > 0 {
		t.Errorf("%d events", n)
	}
	if n, err := s.replicas[0].metric(t.Context(), "telltale_injection_failures_total"); err != nil || n != 0 {
		t.Errorf("%d failures are counted: %v", n, err)
	}
}

// end ends what refuses the pods, and has their controllers try again.
func (s *scenario) end(full string) {
	s.Helper()
	harness.Kubectl(s.T, s.ControlPlane, "delete", "validatingadmissionpolicybinding", "no-image")
	harness.Kubectl(s.T, s.ControlPlane, "delete", "resourcequota", "none", "-n", full)
	s.refuses("not signed", false)
	for _, ns := range s.namespaces[1:] {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
		if _, err := s.api.CoreV1().ServiceAccounts(ns).Create(s.Context(), account, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
	}
	for _, ns := range s.namespaces[1:] {
		sets, err := s.api.AppsV1().ReplicaSets(ns).List(s.Context(), metav1.ListOptions{})
		if err != nil {
			s.Fatal(err)
		}
		parallel(s.T, len(sets.Items), func(ctx context.Context, i int) error {
			_, err := s.api.AppsV1().ReplicaSets(ns).Patch(ctx, sets.Items[i].Name, types.MergePatchType,
				[]byte(`{"metadata": {"annotations": {"look": "again"}}}`), metav1.PatchOptions{})

			return err
		})
	}
}
