//go:build apiserver

package report

import (
	"context"
	"fmt"
	"os"
	"strings"
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

	"github.com/telltale-dev/telltale/internal/controlplane"
	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// cp is the API server that the tests share, each in a namespace of its own.
var cp *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	cp, err = controlplane.Start(context.Background(), controlplane.Options{NoControllerManager: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}
	defer cp.Stop() //nolint:errcheck // the tests have said what they have to say

	return m.Run()
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

// made creates an object, controlled by another if there is one, and returns a
// reference to it.
func (c cluster) made(o client.Object, controllers ...failure.Ref) failure.Ref {
	c.t.Helper()
	o.SetNamespace(c.namespace)
	for _, r := range controllers {
		yes := true
		o.SetOwnerReferences([]metav1.OwnerReference{
			{APIVersion: r.APIVersion, Kind: r.Kind, Name: r.Name, UID: r.UID, Controller: &yes},
		})
	}
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

func (c cluster) deployment(name string) failure.Ref {
	c.t.Helper()

	return c.made(&appsv1.Deployment{ObjectMeta: named(name), Spec: appsv1.DeploymentSpec{Selector: selector(), Template: template()}})
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
func (c cluster) events(on failure.Ref) []corev1.Event {
	c.t.Helper()
	list := &corev1.EventList{}
	fields := client.MatchingFields{"involvedObject.kind": on.Kind, "involvedObject.name": on.Name}
	if on.UID != "" {
		fields["involvedObject.uid"] = string(on.UID)
	}
	if err := c.List(c.t.Context(), list, client.InNamespace(c.namespace), fields); err != nil {
		c.t.Fatal(err)
	}

	return list.Items
}

// wantCount waits until an object has one event, with that count.
func (c cluster) wantCount(on failure.Ref, want int32) {
	c.t.Helper()
	var events []corev1.Event
	eventually(c.t, func() (bool, string) {
		events = c.events(on)

		return len(events) == 1 && events[0].Count == want, fmt.Sprintf("want one event of count %d on %s, got %v", want, on, events)
	})
}

// eventually fails the test unless done returns true within a minute.
func eventually(t *testing.T, done func() (bool, string)) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		ok, sight := done()
		if ok {
			return
		}
		select {
		case <-deadline:
			t.Fatal(sight)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// running returns a Reporter that runs until the test ends.
func running(t *testing.T, cfg *rest.Config) (*Reporter, *lines) {
	t.Helper()
	log := &lines{}
	r, err := New(cfg, Options{Every: time.Second, Log: funcr.New(log.add, funcr.Options{})})
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

// failed is a failure of a pod that is controlled by an object.
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

// TestOwners: a failure is shown on what a person would describe, whatever made
// the pod.
func TestOwners(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web, bareSet, bareJob := c.deployment("web"), c.replicaSet("bare"), c.job("bare")
	db := c.made(&appsv1.StatefulSet{ObjectMeta: named("db"), Spec: appsv1.StatefulSetSpec{Selector: selector(), Template: template()}})
	agent := c.made(&appsv1.DaemonSet{ObjectMeta: named("agent"), Spec: appsv1.DaemonSetSpec{Selector: selector(), Template: template()}})
	backup := c.made(&batchv1.CronJob{ObjectMeta: named("backup"), Spec: batchv1.CronJobSpec{
		Schedule: "@daily", JobTemplate: batchv1.JobTemplateSpec{Spec: jobSpec()},
	}})
	rollout := c.unknownKind("canary")
	pod := &corev1.Pod{ObjectMeta: named("once"), Spec: template().Spec}
	pod.Annotations = map[string]string{owner.FailedAnnotation: "proxy=InjectionConflict"}
	once := c.made(pod)
	nameless := failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: c.namespace}
	unborn := once
	unborn.UID = ""

	cases := map[string]struct {
		reason     string
		controller failure.Ref // as the review says
		want       failure.Ref
	}{
		"Deployment":            {"The ReplicaSet's controller.", c.replicaSet("web-1", web), web},
		"ReplicaSet":            {"It has no controller.", bareSet, bareSet},
		"StatefulSet":           {"It makes its pods itself.", db, db},
		"DaemonSet":             {"It makes its pods itself.", agent, agent},
		"Job":                   {"It has no controller.", bareJob, bareJob},
		"CronJob":               {"The Job's controller.", c.job("backup-1", backup), backup},
		"UnknownKind":           {"Our rights do not matter.", rollout, rollout},
		"UnknownKindReplicaSet": {"Nor do they here.", c.replicaSet("canary-1", rollout), rollout},
		"Pod":                   {"It had no uid in the review.", unborn, once},
		"NamelessPod":           {"It can't be found.", nameless, ledger.Namespace(c.namespace)},
	}
	r, _ := running(t, cp.Config)
	want := map[failure.Ref]int32{}
	for _, tc := range cases {
		r.reportTimes(3, failed(tc.controller))
		want[tc.want] += 3
	}
	for _, tc := range cases {
		c.wantCount(tc.want, want[tc.want])
	}
	all := &corev1.EventList{}
	if err := c.List(t.Context(), all, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != len(want) {
		t.Errorf("%d events, want %d: somebody else got one", len(all.Items), len(want))
	}
}

// unknownKind makes an object of a kind that nothing of ours knows.
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
	eventually(c.t, func() (bool, string) { // until the kind is served
		err := c.Create(c.t.Context(), o)

		return err == nil, fmt.Sprint(err)
	})

	return failure.Ref{APIVersion: group + "/v1", Kind: "Rollout", Namespace: c.namespace, Name: name, UID: o.GetUID()}
}

// TestKubectl: the three ways in which people look for events show ours.
func TestKubectl(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment("web")
	r, _ := running(t, cp.Config)
	r.reportTimes(37, failed(c.replicaSet("web-1", web)))
	c.wantCount(web, 37)

	text := `Injection "proxy" not applied: container "app" already sets env HTTP_PROXY. ` +
		`Remove it there, or set onConflict on the Injection. Last pod: web-1-*`
	for _, args := range []string{"describe deployment web", "events --for deployment/web", "get events"} {
		out, err := cp.Kubectl(t.Context(), append(strings.Fields(args), "--namespace", c.namespace)...)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		last := lines[len(lines)-1]
		for _, part := range []string{"Warning", "InjectionConflict", text} {
			if !strings.Contains(last, part) {
				t.Errorf("kubectl %s does not end in %q:\n%s", args, part, out)
			}
		}
		if args == "describe deployment web" && (!strings.Contains(last, "x37") || !strings.Contains(last, "telltale")) {
			t.Errorf("kubectl %s does not say how often, or who says so:\n%s", args, out)
		}
	}
}

// TestTwoReporters: one event, and the sum of what both were told, while both
// write.
func TestTwoReporters(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment("web")
	r1, _ := running(t, cp.Config)
	r2, _ := running(t, cp.Config)
	for i := range 20 {
		set := c.replicaSet(fmt.Sprintf("web-%d", i), web)
		r1.reportTimes(3, failed(set))
		r2.reportTimes(4, failed(set))
	}
	c.wantCount(web, 20*7)
	r1.Report(failed(c.replicaSet("web-late", web)))
	c.wantCount(web, 20*7+1)
}

// TestDeletedEvent: what was on it stays reported; what comes after is on a new
// one.
func TestDeletedEvent(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment("web")
	set := c.replicaSet("web-1", web)
	r, _ := running(t, cp.Config)
	r.reportTimes(5, failed(set))
	c.wantCount(web, 5)
	if err := c.Delete(t.Context(), &c.events(web)[0]); err != nil {
		t.Fatal(err)
	}
	r.reportTimes(2, failed(set))
	c.wantCount(web, 2)
}

// TestRecreatedDeployment: one of the same name starts its own count.
func TestRecreatedDeployment(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	r, _ := running(t, cp.Config)
	first := c.deployment("web")
	r.reportTimes(5, failed(c.replicaSet("web-1", first)))
	c.wantCount(first, 5)
	if err := c.Delete(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "web"}}); err != nil {
		t.Fatal(err)
	}
	second := c.deployment("web")
	r.reportTimes(2, failed(c.replicaSet("web-2", second)))
	c.wantCount(second, 2)
	c.wantCount(first, 5)
}

// TestForgedReview: nobody gets an event, and it is counted.
func TestForgedReview(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment("web")
	set := c.replicaSet("web-1", web)
	r, _ := running(t, cp.Config)
	otherUID, otherName, otherNamespace := set, set, set
	otherUID.UID = "forged"
	otherName.Name = "forged"
	otherNamespace.Namespace = "no-such"
	for _, forged := range []failure.Ref{otherUID, otherName, otherNamespace} {
		r.reportTimes(4, failed(forged))
	}
	db := failure.Ref{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: "no-such", Name: "db", UID: "forged"}
	r.reportTimes(2, failed(db)) // taken as it stands, but there is nowhere to write
	r.Report(failure.Failure{Reason: failure.Error})

	want := map[ledger.Cause]int64{ledger.OwnerUnconfirmed: 12, ledger.NamespaceGone: 2, ledger.NoOwner: 1}
	eventually(t, func() (bool, string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		got := r.ledger.Stats()
		ok := got.Pending == 0 && got.Reported == 0
		for cause, n := range want {
			ok = ok && got.Unreported[cause] == n
		}

		return ok, fmt.Sprintf("want %v, got %+v", want, got)
	})
	if events := c.events(web); len(events) > 0 {
		t.Errorf("a stranger got %v", events)
	}
}

// TestForbiddenThenAllowed: without the rights, failures are kept and a loud
// line says what is missing; with them, the count is exact.
func TestForbiddenThenAllowed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment("web")
	set := c.replicaSet("web-1", web)
	user := cp.User("telltale-of-" + c.namespace)
	r, log := running(t, user)
	r.reportTimes(6, failed(set))
	eventually(t, func() (bool, string) {
		return log.count("create and patch on events") == 1, "nothing says what is missing"
	})
	if n := r.pending(); n != 6 {
		t.Errorf("%d pending", n)
	}

	c.grant(user.Impersonate.UserName, "apps", "replicasets", "get")
	r.reportTimes(3, failed(set))
	eventually(t, func() (bool, string) { // the owner is found, but events are still forbidden
		var owing []ledger.Entry
		r.locked(func() { owing = r.ledger.Owing() })

		return len(owing) == 1 && owing[0].Owner == web, fmt.Sprintf("owing: %+v", owing)
	})
	if events := c.events(web); len(events) > 0 || r.pending() != 9 {
		t.Errorf("%d pending, events: %v", r.pending(), events)
	}

	c.grant(user.Impersonate.UserName, "", "events", "create", "patch")
	r.reportTimes(1, failed(set))
	c.wantCount(web, 10)
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

// TestFoldedOnNamespace: beyond the bound, failures are on their namespace, and
// none is lost.
func TestFoldedOnNamespace(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	r, err := New(cp.Config, Options{MaxKeys: 10, Every: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		r.reportTimes(2, failed(c.replicaSet(fmt.Sprintf("web-%d", i))))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil { // ends when all is shown
		t.Fatal(err)
	}
	list := &corev1.EventList{}
	if err := c.List(t.Context(), list, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	var sum int32
	for _, e := range list.Items {
		sum += e.Count
	}
	if sum != 60 || len(list.Items) != 10 {
		t.Errorf("%d failures on %d events", sum, len(list.Items))
	}
	c.wantCount(ledger.Namespace(c.namespace), 2*21)
}
