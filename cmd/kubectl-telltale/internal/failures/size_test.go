//go:build apiserver

package failures

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

var many = flag.Int("owners", 600, "how many Deployments have a failure; 10000 takes minutes")

// TestSize lists the failures of many Deployments, more than a page of them. It takes no
// longer than a few times a bare read of the same lists by the same client.
func TestSize(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	if _, err := envtest.InstallCRDs(cp.Config, envtest.CRDInstallOptions{Paths: []string{"../../../../config/crd/bases"}}); err != nil {
		t.Fatal(err)
	}

	streams, _, stdout, _ := genericiooptions.NewTestIOStreams()
	o := cli.New(streams)
	o.KubeConfig = &cp.KubeconfigPath

	scheme, err := cli.Scheme()
	if err != nil {
		t.Fatal(err)
	}

	c, err := client.New(cp.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}

	var all errgroup.Group
	all.SetLimit(32)

	for i := range *many {
		all.Go(func() error { return fail(t.Context(), c, fmt.Sprintf("app-%05d", i)) })
	}

	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}

	bare := time.Now()
	s, err := scan.New(o, true)
	if err != nil {
		t.Fatal(err)
	}

	for _, list := range []client.ObjectList{&corev1.EventList{}, metadataOf(corev1.SchemeGroupVersion.WithKind("Pod")), metadataOf(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))} {
		if err := scan.Each(t.Context(), s, "objects", list, func(client.Object) {}); err != nil {
			t.Fatal(err)
		}
	}

	took := time.Since(bare)
	start := time.Now()

	command := Command(o)
	command.SetArgs([]string{"-A", "-o", "json"})

	if code := cli.Code(command.ExecuteContext(t.Context()), t.Output()); code != 1 {
		t.Errorf("exit code %d, want 1: there are failures", code)
	}

	listed := time.Since(start)
	t.Logf("%d owners: listed in %v, a bare read of the lists takes %v", *many, listed, took)

	var got struct{ Failures []Row }
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}

	if len(got.Failures) != *many {
		t.Fatalf("%d failures, want %d", len(got.Failures), *many)
	}

	for _, r := range got.Failures {
		if r.Count != 3 || r.without() != 1 || r.Owner.Kind != "Deployment" || !r.Open {
			t.Fatalf("want 3 counted and 1 left of a Deployment: %+v", r)
		}
	}

	if listed > 3*took+time.Second {
		t.Errorf("it took %v, and a bare read %v", listed, took)
	}
}

// fail makes a ReplicaSet of a Deployment, a pod of it whose record says that an
// Injection failed, and the Deployment's event.
func fail(ctx context.Context, c client.Client, name string) error {
	owned := func(kind, owner string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "default", Name: name, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: kind, Name: owner, UID: types.UID(kind + name), Controller: new(true),
		}}}
	}
	labels := map[string]string{"app": name}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}}

	set := &appsv1.ReplicaSet{ObjectMeta: owned("Deployment", "deployment-"+name)}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}

	pod := &corev1.Pod{ObjectMeta: owned("ReplicaSet", name), Spec: spec}
	pod.Labels, pod.Annotations = labels, map[string]string{v1alpha1.FailedAnnotation: "proxy@5f3c9a1b=InjectionConflict"}

	e := event("deployment-"+name, "InjectionConflict", `Injection "proxy" not applied: container "app" already sets env HTTP_PROXY.`, 3, 0)
	e.ObjectMeta = metav1.ObjectMeta{Namespace: "default", Name: name}
	e.InvolvedObject.Namespace, e.Source.Component = "default", source
	e.FirstTimestamp, e.LastTimestamp = metav1.Now(), metav1.Now()

	for _, o := range []client.Object{set, pod, e} {
		if err := c.Create(ctx, o); err != nil {
			return err
		}
	}

	return nil
}
