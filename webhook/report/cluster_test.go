//go:build apiserver

package report

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// cp is the API server that the tests share. Each test has its own namespace.
var cp *controlplane.ControlPlane

func TestMain(m *testing.M) {
	os.Exit(harness.WithControlPlane(controlplane.Options{NoControllerManager: true}, func(c *controlplane.ControlPlane) int {
		cp = c

		return m.Run()
	}))
}

// cluster is the API server as one test sees it.
type cluster struct {
	client.Client
	t         *testing.T
	namespace string
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cp.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "report-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}

	return cluster{Client: c, t: t, namespace: ns.Name}
}

// made creates an object, controlled by another if one is given, and returns a
// reference to it.
func (c cluster) made(o client.Object, controllers ...failure.Ref) failure.Ref {
	c.t.Helper()
	o.SetNamespace(c.namespace)
	o.SetOwnerReferences(controlledBy(controllers))
	if err := c.Create(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
	gvk, err := apiutil.GVKForObject(o, c.Scheme())
	if err != nil {
		c.t.Fatal(err)
	}
	version, kind := gvk.ToAPIVersionAndKind()

	return failure.Ref{APIVersion: version, Kind: kind, Namespace: c.namespace, Name: o.GetName(), UID: o.GetUID()}
}

func controlledBy(controllers []failure.Ref) (refs []metav1.OwnerReference) {
	for _, r := range controllers {
		yes := true
		refs = append(refs, metav1.OwnerReference{APIVersion: r.APIVersion, Kind: r.Kind, Name: r.Name, UID: r.UID, Controller: &yes})
	}

	return refs
}

func (c cluster) deployment() failure.Ref {
	c.t.Helper()

	return c.made(deploymentOf("web"))
}

func deploymentOf(name string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: named(name), Spec: appsv1.DeploymentSpec{Selector: selector(), Template: template()}}
}

// deleteDeployment deletes it, and nothing else: no garbage collector runs.
func (c cluster) deleteDeployment() {
	c.t.Helper()
	if err := c.Delete(c.t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "web"}}); err != nil {
		c.t.Fatal(err)
	}
}

// control gives a ReplicaSet another controller, or none.
func (c cluster) control(set failure.Ref, controllers ...failure.Ref) {
	c.t.Helper()
	o := &appsv1.ReplicaSet{}
	if err := c.Get(c.t.Context(), client.ObjectKey{Namespace: set.Namespace, Name: set.Name}, o); err != nil {
		c.t.Fatal(err)
	}
	o.SetOwnerReferences(controlledBy(controllers))
	if err := c.Update(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
}

// reportUntilOn reports failures of a pod until an object has an event, and
// returns how many.
func (c cluster) reportUntilOn(r *Reporter, controller, on failure.Ref) (n int32) {
	c.t.Helper()
	harness.Eventually(c.t, "an event on the "+on.Kind, func(ctx context.Context) error {
		r.Report(failed(controller))
		n++
		if len(c.events(ctx, on)) == 0 {
			return fmt.Errorf("none after %d failures", n)
		}

		return nil
	})

	return n
}

func (c cluster) replicaSet(name string, controllers ...failure.Ref) failure.Ref {
	c.t.Helper()

	return c.made(&appsv1.ReplicaSet{ObjectMeta: named(name), Spec: appsv1.ReplicaSetSpec{Selector: selector(), Template: template()}}, controllers...)
}

func (c cluster) job(name string, controllers ...failure.Ref) failure.Ref {
	c.t.Helper()

	return c.made(&batchv1.Job{ObjectMeta: named(name), Spec: jobSpec()}, controllers...)
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
}

func jobSpec() batchv1.JobSpec {
	spec := batchv1.JobSpec{Template: template()}
	spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever

	return spec
}

// events returns the events on an object, as kubectl describe looks for them.
func (c cluster) events(ctx context.Context, on failure.Ref) []corev1.Event {
	c.t.Helper()
	list := &corev1.EventList{}
	fields := client.MatchingFields{"involvedObject.kind": on.Kind, "involvedObject.name": on.Name}
	if on.UID != "" {
		fields["involvedObject.uid"] = string(on.UID)
	}
	if err := c.List(ctx, list, client.InNamespace(c.namespace), fields); err != nil {
		c.t.Fatal(err)
	}

	return list.Items
}

// wantCount waits until an object has exactly one event, with that count.
func (c cluster) wantCount(on failure.Ref, want int32) {
	c.t.Helper()
	harness.Eventually(c.t, "one event", func(ctx context.Context) error {
		events := c.events(ctx, on)
		if len(events) != 1 || events[0].Count != want {
			return fmt.Errorf("want one event of count %d on %s, got %v", want, on, events)
		}

		return nil
	})
}

// running returns a Reporter that runs until the test ends.
func running(t *testing.T, cfg *rest.Config) (*Reporter, *lines) {
	t.Helper()
	log := &lines{}
	r, err := New(cfg, Options{Every: time.Second, Follow: 2 * time.Second, Log: funcr.New(log.add, funcr.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	return r, log
}

// failed makes a failure of a pod that an object controls.
func failed(controller failure.Ref) failure.Failure {
	return failure.Failure{
		Reason: failure.Conflict, Injection: failure.Injection{Name: "proxy"}, Owner: controller, Pod: controller.Name + "-*",
		Text: `container "app" already sets env HTTP_PROXY. Remove it there, or set onConflict on the Injection.`,
	}
}

func (r *Reporter) reportTimes(n int, f failure.Failure) {
	for range n {
		r.Report(f)
	}
}

// unknownKind makes an object of a kind that our code does not know.
func (c cluster) unknownKind(name string) failure.Ref {
	c.t.Helper()
	anything, group := true, c.namespace+".example.com"
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: named("rollouts." + group),
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "rollouts", Kind: "Rollout"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: &anything,
				}},
			}},
		},
	}
	if err := c.Create(c.t.Context(), crd); err != nil {
		c.t.Fatal(err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": group + "/v1", "kind": "Rollout"}}
	o.SetName(name)
	o.SetNamespace(c.namespace)
	harness.Eventually(c.t, "the kind is served", func(ctx context.Context) error { return c.Create(ctx, o) })

	return failure.Ref{APIVersion: group + "/v1", Kind: "Rollout", Namespace: c.namespace, Name: name, UID: o.GetUID()}
}

func (c cluster) grant(user, group, resource string, verbs ...string) {
	c.t.Helper()
	name := "telltale-" + resource
	c.made(&rbacv1.Role{
		ObjectMeta: named(name),
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}},
	})
	c.made(&rbacv1.RoleBinding{
		ObjectMeta: named(name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	})
}
