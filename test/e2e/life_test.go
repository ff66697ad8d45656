//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestUpgrade comes from the version before, goes back to it, and comes again.
func TestUpgrade(t *testing.T) {
	r := begin(t, "upgrade from the version before, rollback, and upgrade again", "Injections kept, every pod injected, every conflict told")
	if *previous == "" {
		r.skip(t, "no -previous version to come from")
	}
	uninstall(t, tree("config", "default"), *image)
	install(t, *previous+"/config/default", "telltale:e2e-previous")
	s := flow(t, "upgrade")
	c := clashes(t, "clash")
	uid := kubectl(t, "get", "injection", "e2e", "-n", s.namespace, "--output=jsonpath={.metadata.uid}")
	install(t, tree("config", "default"), *image)
	two(t)
	install(t, *previous+"/config/default", "telltale:e2e-previous")
	two(t)
	install(t, tree("config", "default"), *image)
	if got := kubectl(t, "get", "injection", "e2e", "-n", s.namespace, "--output=jsonpath={.metadata.uid}"); got != uid {
		t.Errorf("the Injection was not kept: its uid was %s, is %s", uid, got)
	}
	two(t)
	s.goOn(5 * time.Second)
	c.end(t, r)
	s.end(r, prompt)
	if r.missed > 0 {
		t.Errorf("%d of %d pods are not injected", r.missed, r.created)
	}
}

func TestDeploymentGone(t *testing.T) {
	r := begin(t, "the Deployment deleted, its registration left behind", "pods start")
	install(t, tree("config", "default"), *image)
	kubectl(t, "create", "namespace", "gone")
	defer kubectl(t, "delete", "namespace", "gone", "--wait=false")
	kubectl(t, "delete", "deployment", "telltale", "-n", "telltale-system")
	harness.Eventually(t, "Telltale's pods are gone", noPods)
	starts(t, r, "gone")
}

func TestUninstall(t *testing.T) {
	r := begin(t, "kubectl delete -k config/default", "pods start, nothing is left")
	uninstall(t, tree("config", "default"), *image)
	kubectl(t, "create", "namespace", "after")
	defer kubectl(t, "delete", "namespace", "after", "--wait=false")
	starts(t, r, "after")
	left := kubectl(t, "get", "--output=name", "namespaces,crds,clusterroles,clusterrolebindings,mutatingwebhookconfigurations")
	for name := range strings.Lines(left) {
		if strings.Contains(name, "telltale") {
			t.Errorf("there is still %s", name)
		}
	}
}

// starts creates a pod, and fails the test unless it runs, without Telltale.
func starts(t *testing.T, r *row, namespace string) {
	t.Helper()
	harness.Eventually(t, "a service account", func(ctx context.Context) error {
		return node.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
	p := pod(namespace)
	start := time.Now()
	if err := node.api.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r.note("created in %.1f s", time.Since(start).Seconds())
	kubectl(t, "wait", "--for=condition=Ready", "--timeout="+harness.Patience.String(), "-n", namespace, "pod", p.Name)
}

// noPods is an error while there are pods of Telltale.
func noPods(ctx context.Context) error {
	pods, err := replicas(ctx)
	if err == nil && len(pods) > 0 {
		err = fmt.Errorf("there are %d", len(pods))
	}

	return err
}

func replicas(ctx context.Context) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := node.api.List(ctx, &pods, client.InNamespace("telltale-system"), client.MatchingLabels{"app.kubernetes.io/name": "telltale"})

	return pods.Items, err
}

// two returns the two replicas, once the ones before them are gone.
func two(t *testing.T) (pods []corev1.Pod) {
	t.Helper()
	harness.Eventually(t, "two replicas, and no old ones", func(ctx context.Context) (err error) {
		pods, err = replicas(ctx)
		if err == nil && len(pods) != 2 {
			err = fmt.Errorf("there are %d", len(pods))
		}

		return err
	})

	return pods
}

func TestFreshInstall(t *testing.T) {
	r := begin(t, "a fresh install: kubectl apply -f dist/install.yaml", "serves within 20 s, or 10 times what a plain Deployment takes")
	limit := max(20*time.Second, 10*pace(t))
	start := time.Now()
	kubectl(t, "apply", "-f", *installer)
	kubectl(t, "create", "namespace", "fresh")
	defer kubectl(t, "delete", "namespace", "fresh", "--wait=false")
	kubectl(t, "wait", "--for=condition=Established", "crd/injections.telltale.dev", "crd/clusterinjections.telltale.dev")
	apply(t, fmt.Sprintf(injection, "fresh"))
	harness.Eventually(t, "the first pod is injected", func(ctx context.Context) error {
		return node.injects(ctx, "fresh", "e2e")
	})
	took := time.Since(start)
	r.note("the first pod is injected after %.1f s", took.Seconds())
	if took > limit {
		t.Errorf("it took %v, and the limit is %v", took, limit)
	}
	rolledOut(t, "telltale-system", "telltale")
}

// pace is the time that this machine takes now to run a Deployment of two pods.
func pace(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	kubectl(t, "create", "namespace", "pace")
	defer kubectl(t, "delete", "namespace", "pace", "--wait=false")
	kubectl(t, "create", "deployment", "plain", "-n", "pace", "--image="+pause, "--replicas=2")
	rolledOut(t, "pace", "plain")

	return time.Since(start)
}

// shop has a Deployment that is injected, and one that can't be.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: proxy, namespace: shop}
spec:
  selector: {}
  env: [{name: HTTP_PROXY, value: "http://proxy:3128"}]
  initContainers: [{name: first, image: ` + pause + `, args: ["0"], env: [{name: FROM, value: init}]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec: {containers: [{name: app, image: ` + pause + `}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: payments, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: payments}}
  template:
    metadata: {labels: {app: payments}}
    spec: {containers: [{name: app, image: ` + pause + `, env: [{name: HTTP_PROXY, value: none}]}]}
`

func TestTells(t *testing.T) {
	r := begin(t, "two Deployments, one with a conflict", "one runs with its Injection; the other runs, and kubectl describe and kubectl telltale explain say why without")
	namespace, rest, _ := strings.Cut(shop, "\n---\n")
	injection, deployments, _ := strings.Cut(rest, "\n---\n")
	apply(t, namespace)
	defer kubectl(t, "delete", "namespace", "shop", "--wait=false")
	apply(t, injection)
	harness.Eventually(t, "the Injection is in force", func(ctx context.Context) error {
		return node.injects(ctx, "shop", "proxy")
	})
	apply(t, deployments)
	rolledOut(t, "shop", "checkout")
	rolledOut(t, "shop", "payments")
	r.created = 4
	r.missed = 2 // and the Deployment's event has the reason
	for container, want := range map[string]string{"app": "HTTP_PROXY=http://proxy:3128\n", "first": "FROM=init\n"} {
		if got := kubectl(t, "logs", "-n", "shop", "deployment/checkout", "--container="+container); !strings.Contains(got, want) {
			t.Errorf("container %q runs without %q: %s", container, want, got)
		}
	}
	told := regexp.MustCompile(`Warning +InjectionConflict +\S+ \(x2 over \S+\) +telltale +Injection "proxy" not applied: .*HTTP_PROXY.*`)
	harness.Eventually(t, "kubectl describe tells of both pods", func(ctx context.Context) error {
		got, err := output(ctx, "", "kubectl", "describe", "deployment", "payments", "-n", "shop")
		if err == nil && !told.MatchString(got) {
			err = fmt.Errorf("it says %s", got)
		}

		return err
	})
	explains(t)
}

// explains holds what kubectl says of both Deployments with the plugin on the PATH. A
// finding ends it with 1.
func explains(t *testing.T) {
	t.Helper()
	t.Setenv("PATH", *plugin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	if got := kubectl(t, "telltale", "explain", "deployment/checkout", "-n", "shop"); !strings.Contains(got, "existing pods: 2 Injected") {
		t.Errorf("of checkout it says %s", got)
	}
	_, err := output(t.Context(), "", "kubectl", "telltale", "explain", "deployment/payments", "-n", "shop")
	told := regexp.MustCompile(`exit status 1(?s:.*) proxy@\w+: InjectionConflict: container "app" already sets env HTTP_PROXY\..* existing pods: 2 Failed`)
	if err == nil || !told.MatchString(err.Error()) {
		t.Errorf("of payments it says %v", err)
	}
}

// noSidecar is a policy of the cluster: no pod of namespace till may have an init
// container of this name.
const noSidecar = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-first}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: till}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: "!has(object.spec.initContainers) || object.spec.initContainers.all(c, c.name != 'first')"
    message: "container first is not allowed here."
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-first}
spec: {policyName: no-first, validationActions: [Deny]}
`

func TestRefusedByPolicy(t *testing.T) {
	r := begin(t, "a policy refuses the pods that have their Injection", "the Deployment runs without it, and kubectl describe quotes the policy")
	namespace, rest, _ := strings.Cut(strings.ReplaceAll(shop, "shop", "till"), "\n---\n")
	injection, deployments, _ := strings.Cut(rest, "\n---\n")
	checkout, _, _ := strings.Cut(deployments, "\n---\n")
	apply(t, namespace)
	defer kubectl(t, "delete", "namespace", "till", "--wait=false")
	apply(t, injection)
	harness.Eventually(t, "the Injection is in force", func(ctx context.Context) error {
		return node.injects(ctx, "till", "proxy")
	})
	apply(t, noSidecar)
	defer kubectl(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "no-first")
	harness.Eventually(t, "the policy is in force", func(ctx context.Context) error {
		if err := node.injects(ctx, "till", "proxy"); err == nil || !strings.Contains(err.Error(), "container first is not allowed") {
			return fmt.Errorf("want it refused: %w", err)
		}

		return nil
	})
	start := time.Now()
	apply(t, checkout)
	rolledOut(t, "till", "checkout")
	r.note("it runs after %.1f s", time.Since(start).Seconds())
	r.created, r.missed = 2, 2 // and the Deployment's event has the reason
	told := regexp.MustCompile(`Warning +InjectionRefused +\S+ \(x2 over \S+\) +telltale +Injection "proxy" not applied: .*container first is not allowed here`)
	harness.Eventually(t, "kubectl describe quotes the policy", func(ctx context.Context) error {
		got, err := output(ctx, "", "kubectl", "describe", "deployment", "checkout", "-n", "till")
		if err == nil && !told.MatchString(got) {
			err = fmt.Errorf("it says %s", got)
		}

		return err
	})
}
