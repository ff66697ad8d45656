package check

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/cert"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func notFound() error { return apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "one") }

// slow is what takes long to make: a CA that is valid for a year from now, and the CRDs.
var slow = sync.OnceValues(func() (bundle []byte, crds []*unstructured.Unstructured) {
	text, _, err := cert.GenerateSelfSignedCertKey("telltale", nil, nil)
	if err != nil {
		panic(err)
	}

	if crds, err = manifests("crd"); err != nil {
		panic(err)
	}

	block, _ := pem.Decode(text)

	return pem.EncodeToMemory(block), crds
})

// well is a cluster with a Telltale that is as it should be.
func well(t *testing.T, now time.Time) *found {
	t.Helper()

	f := &found{settings: settings{namespace: "telltale-system", canaryHome: "telltale-canary", registration: "telltale", plugin: "v1"}, version: "v1.36.3"}

	ca, crds := slow()
	if len(crds) != 2 {
		t.Fatalf("%d CRDs", len(crds))
	}

	f.ours = crds
	f.crds = map[string]got[*unstructured.Unstructured]{}
	for _, crd := range crds {
		crd = crd.DeepCopy()
		_ = unstructured.SetNestedSlice(crd.Object, []any{map[string]any{"type": "Established", "status": "True"}}, "status", "conditions")
		f.crds[crd.GetName()] = got[*unstructured.Unstructured]{o: crd}
	}

	entry, err := ourRegistration()
	if err != nil {
		t.Fatal(err)
	}

	entry.ClientConfig.CABundle = ca
	f.registration.o = &admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{*entry}}

	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))}, Status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2}}
	d.Spec.Template.Labels = map[string]string{"app.kubernetes.io/name": "telltale"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Image: "registry.example:5000/telltale:v1"}}
	f.deployment.o = d

	f.endpoints.o = &discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}}}
	f.networks.o = &networkingv1.NetworkPolicyList{Items: []networkingv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Name: "telltale"}, Spec: networkingv1.NetworkPolicySpec{
		Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(9443))}}}},
	}}}}
	f.stop.err = notFound()
	lease := func(annotation, text string) got[*coordinationv1.Lease] {
		l := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: new("one"), RenewTime: new(metav1.NewMicroTime(now.Add(-time.Second)))}}
		l.Annotations = map[string]string{annotation: text}

		return got[*coordinationv1.Lease]{o: l}
	}
	f.leader = lease("", "")
	f.auditLease = lease("telltale.dev/audit", `{"upTo":"`+now.Add(-2*time.Minute).Format(time.RFC3339)+`"}`)
	f.canaryLease = lease("", "")
	f.probe.o = &corev1.Pod{}
	f.probe.o.Annotations = map[string]string{v1alpha1.InjectedAnnotation: "canary@5f3c9a1b"}
	f.injections.o, f.clusterWide.o = &v1alpha1.InjectionList{}, &v1alpha1.ClusterInjectionList{}

	return f
}

// TestJudge breaks one thing after the other. Each is one line that is not ok.
func TestJudge(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	set := func(change func(*admissionregistrationv1.MutatingWebhook)) func(*found) {
		return func(f *found) { change(&f.registration.o.Webhooks[0]) }
	}

	cases := map[string]struct {
		reason string
		change func(*found)
		status Status // of the line that is not ok; Good: there is none
		want   string // in that line
	}{
		"Well":       {"All is as the manifests say.", func(*found) {}, Good, ""},
		"OldServer":  {"The CRDs' rules need a newer one.", func(f *found) { f.version = "v1.31.9" }, Bad, "v1.31.9 is older"},
		"NoCRD":      {"Nobody can write an Injection.", func(f *found) { f.crds["injections.telltale.dev"] = got[*unstructured.Unstructured]{err: notFound()} }, Bad, "not there"},
		"OtherCRD":   {"A field of the plugin's may be unknown.", func(f *found) { delete(f.crds["injections.telltale.dev"].o.Object, "spec") }, Warning, "differs"},
		"NotServed":  {"It is there, and not served.", func(f *found) { delete(f.crds["injections.telltale.dev"].o.Object, "status") }, Bad, "not serve"},
		"NoReplica":  {"Nothing answers.", func(f *found) { f.deployment.o.Status.ReadyReplicas = 0 }, Bad, "0 of 2"},
		"OneOfTwo":   {"The other answers.", func(f *found) { f.deployment.o.Status.ReadyReplicas = 1 }, Warning, "1 of 2"},
		"One":        {"It works, until its node goes away.", func(f *found) { f.deployment.o.Spec.Replicas = new(int32(1)) }, Warning, "there is one"},
		"NoTelltale": {"The CRDs alone are no installation.", func(f *found) { f.deployment.err = notFound() }, Bad, "no Deployment"},
		"OtherImage": {"The answers of another version may be others.", func(f *found) { f.plugin = "v2" }, Warning, "plugin v2"},
		"Rollout":    {"Two versions answer.", func(f *found) { f.deployment.o.Status.UpdatedReplicas = 1 }, Warning, "rollout"},
		"NoRight":    {"An event can't be written.", func(f *found) { f.missing.o = []string{"create events"} }, Bad, "create events"},
		"NoMatch":    {"Pods start without Injections.", func(f *found) { f.registration.err = notFound() }, Bad, "has no entry"},
		"Fail":       {"No pod starts without Telltale.", set(func(w *admissionregistrationv1.MutatingWebhook) { w.FailurePolicy = new(admissionregistrationv1.Fail) }), Bad, "Ignore"},
		"Slow":       {"Pods wait for long.", set(func(w *admissionregistrationv1.MutatingWebhook) { w.TimeoutSeconds = new(int32(30)) }), Warning, "timeoutSeconds"},
		"Narrow":     {"Some pods are left out.", set(func(w *admissionregistrationv1.MutatingWebhook) { w.NamespaceSelector = nil }), Warning, "differs"},
		"Conditions": {"Some pods are left out.", set(func(w *admissionregistrationv1.MutatingWebhook) {
			w.MatchConditions = make([]admissionregistrationv1.MatchCondition, 1)
		}), Warning, "differs"},
		"NoBundle": {"The API server trusts nothing.", set(func(w *admissionregistrationv1.MutatingWebhook) { w.ClientConfig.CABundle = nil }), Bad, "empty"},
		"BadBundle": {"It is no certificate.", set(func(w *admissionregistrationv1.MutatingWebhook) {
			w.ClientConfig.CABundle = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
		}), Bad, "can't be read"},
		"NoEndpoints": {"There is nothing to call.", func(f *found) { f.endpoints.o.Items = nil }, Bad, "no endpoint"},
		"Closed":      {"A policy of another port alone.", func(f *found) { f.networks.o.Items[0].Spec.Ingress[0].Ports[0].Port = new(intstr.FromInt32(8443)) }, Bad, "lets nothing in"},
		"OthersPods": {"A policy for other pods is no matter.", func(f *found) {
			f.networks.o.Items[0].Spec.Ingress = nil
			f.networks.o.Items[0].Spec.PodSelector.MatchLabels = map[string]string{"app": "other"}
		}, Good, ""},
		"NotAsked": {"The dry run tells what pods get.", func(f *found) { f.probe.o.Annotations = nil }, Bad, "without a record"},
		"NoProbe":  {"The right is missing, so nothing is said.", func(f *found) { f.probe.err = errors.New("forbidden") }, Unknown, "could not tell"},
		"Stopped": {"An administrator has stopped it.", func(f *found) {
			f.stop.o, f.stop.err = &corev1.ConfigMap{Data: map[string]string{"reason": "incident 42"}}, nil
		}, Warning, "incident 42"},
		"NoLeader": {"No status is written.", func(f *found) { f.leader.o.Spec.RenewTime = new(metav1.NewMicroTime(now.Add(-time.Minute))) }, Bad, "1m0s"},
		"NoAudit":  {"Pods that were missed are not shown.", func(f *found) { f.deployment.o.Spec.Template.Spec.Containers[0].Args = []string{"--audit=false"} }, Warning, "--audit=false"},
		"OldAudit": {"It hears of no pods.", func(f *found) { f.auditLease.o.Annotations["telltale.dev/audit"] = `{"upTo":"2026-01-01T00:00:00Z"}` }, Warning, "it has told of pods up to"},
		"Outage": {"The canary has found one.", func(f *found) {
			f.canaryLease.o.Annotations["telltale.dev/canary"] = `{"began":"2026-01-01T00:00:00Z","finding":{"text":"no endpoints"}}`
		}, Bad, "no endpoints"},
		"OldOutage": {"It is over.", func(f *found) {
			f.canaryLease.o.Annotations["telltale.dev/canary"] = `{"began":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:01:00Z"}`
		}, Good, ""},
		"Stalled": {"It needs an edit.", func(f *found) {
			in := v1alpha1.Injection{Status: v1alpha1.InjectionStatus{Conditions: []metav1.Condition{{Type: v1alpha1.StalledCondition, Status: metav1.ConditionTrue}}}}
			in.Namespace, in.Name = "shop", "proxy"
			f.injections.o.Items = append(f.injections.o.Items, in)
		}, Warning, "1: shop/proxy"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := well(t, now)
			tc.change(f)

			lines, err := f.judge(now)
			if err != nil {
				t.Fatal(err)
			}

			var not []Line

			for _, l := range lines {
				if l.Status != Good {
					not = append(not, l)
				}
			}

			switch {
			case tc.status == Good && len(not) > 0, tc.status != Good && len(not) != 1:
				t.Fatalf("%s %d lines are not ok: %+v", tc.reason, len(not), not)
			case tc.status != Good && (not[0].Status != tc.status || !strings.Contains(not[0].Why, tc.want) || not[0].Cure == ""):
				t.Errorf("%s want %s and %q: %+v", tc.reason, tc.status, tc.want, not[0])
			}

			want := map[Status]int{Good: 0, Warning: 0, Unknown: 2, Bad: 1}[tc.status]
			if code := cli.Code(verdict(lines), nil); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
		})
	}
}

// TestExpired looks at CAs that end, the newest of which counts.
func TestExpired(t *testing.T) {
	f := well(t, time.Now())
	for in, want := range map[time.Duration]Status{0: Good, 364 * 24 * time.Hour: Warning, 400 * 24 * time.Hour: Bad} {
		var lines []Line
		f.judgeBundle(section{"", &lines}, f.entry(), time.Now().Add(in))

		if lines[0].Status != want {
			t.Errorf("in %v: %+v", in, lines[0])
		}
	}
}

// TestRights checks that the manifests' rights are found, each with its namespace.
func TestRights(t *testing.T) {
	f := well(t, time.Now())

	rules, err := rights(f.roles()...)
	if err != nil {
		t.Fatal(err)
	}

	var all []string

	for namespace, r := range rules {
		for _, a := range attributes(namespace, r) {
			all = append(all, nameOf(a))
		}
	}

	text := "\n" + strings.Join(all, "\n") + "\n"
	for _, want := range []string{
		"watch injections.telltale.dev", "patch injections.telltale.dev/status", "create pods in telltale-canary", "watch pods",
		"update leases.coordination.k8s.io telltale-audit in telltale-system", "update secrets telltale-ca in telltale-system",
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("%q is not among the rights:%s", want, text)
		}
	}

	f.deployment.o.Spec.Template.Spec.Containers[0].Args = []string{"--audit=false", "--canary-interval=0", "--cert-dir=/x"}
	if len(f.roles()) != 1 {
		t.Errorf("without its parts it needs fewer rights: %q", f.roles())
	}
}

// TestLinks checks that each page and section that a line links to exists.
func TestLinks(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}

	links := map[string]bool{}

	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		for _, link := range regexp.MustCompile(`"([a-z]+\.md)#([a-z-]+)"`).FindAllStringSubmatch(string(text), -1) {
			links[link[1]+"#"+link[2]] = true
		}
	}

	if len(links) < 10 {
		t.Fatalf("%d links: is the expression right?", len(links))
	}

	for link := range links {
		page, anchor, _ := strings.Cut(link, "#")

		text, err := os.ReadFile("../../../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}

		there := false
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(text), -1) {
			words := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
			there = there || strings.ReplaceAll(words, " ", "-") == anchor
		}

		if !there {
			t.Errorf("there is no section %s", link)
		}
	}
}
