package verdict

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func injection(name string, selector map[string]string) *v1alpha1.Injection {
	in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	in.Spec.Selector = &metav1.LabelSelector{MatchLabels: selector}
	in.Spec.Env = []v1alpha1.EnvVar{{Name: "A", Value: "a"}}

	return in
}

func namespace(labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: labels}}
}

// TestOutcomes holds the outcome and the text for one Injection.
func TestOutcomes(t *testing.T) {
	checkout := injection("proxy", map[string]string{"app": "checkout"})
	cluster := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "ca"}}
	cluster.Spec.InjectionSpec = *injection("", nil).Spec.DeepCopy()
	cluster.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}

	denies := injection("proxy", nil)
	denies.Spec.OnFailure = v1alpha1.Deny
	denies.Spec.Env[0].Name = "OWN"

	withdrawn := injection("proxy", nil)
	withdrawn.Status.Withdrawn = []v1alpha1.Withdrawal{{
		Namespace: "shop", Revision: mustRevision(t, withdrawn), Phase: v1alpha1.WithdrawnPhase, Text: "denied by policy",
	}}

	looks := injection("proxy", nil)
	looks.Spec.Mode = v1alpha1.Preview

	elsewhere := looks.DeepCopy()
	elsewhere.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}}

	looksInProd := cluster.DeepCopy()
	looksInProd.Spec.Mode = v1alpha1.Preview

	clashes := looks.DeepCopy()
	clashes.Spec.Env[0].Name = "OWN"

	registration := &admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{{
		Name: "pods.telltale.dev",
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"shop"}},
		}},
	}}}

	for name, tc := range map[string]struct {
		reason  string
		objects []client.Object
		stop    string
		outcome Outcome
		text    string
	}{
		"Injected": {"It selects the pod.", []client.Object{checkout, namespace(nil)}, "", Injected, ""},
		"NotSelected": {
			"The term that says no is named.",
			[]client.Object{injection("proxy", map[string]string{"app": "cart"}), namespace(nil)},
			"",
			NotSelected, "it wants app=cart and finds app=checkout",
		},
		"Namespace": {
			"Also that of the namespaceSelector.",
			[]client.Object{cluster, namespace(map[string]string{"env": "test"})},
			"",
			NotSelected, "it wants env=prod and finds env=test",
		},
		"OptedOut": {
			"The label is named, and where it is.",
			[]client.Object{checkout, namespace(map[string]string{v1alpha1.InjectLabel: v1alpha1.Disabled})},
			"",
			NotSelected, "the namespace opted out by its label telltale.dev/inject: disabled",
		},
		"NotAsked": {
			"A registration that excludes the namespace by its name.",
			[]client.Object{checkout, namespace(map[string]string{"kubernetes.io/metadata.name": "shop"}), registration},
			"",
			NotAsked, "the registration's namespaceSelector excludes the namespace: it wants kubernetes.io/metadata.name notin (shop)",
		},
		"Stopped":      {"An administrator's stop is no silence.", []client.Object{checkout, namespace(nil)}, "stopped", Stopped, "stopped"},
		"Unknown":      {"Without the labels of the namespace there is no answer.", []client.Object{cluster}, "", Unknown, "could not be read"},
		"Denied":       {"The pod would be refused.", []client.Object{denies, namespace(nil)}, "", Denied, "already sets env OWN"},
		"Previewed":    {"It would be applied.", []client.Object{looks, namespace(nil)}, "", Previewed, "and would be applied"},
		"PreviewFails": {"It would fail.", []client.Object{clashes, namespace(nil)}, "", Previewed, "and would fail as InjectionConflict: container \"app\" already sets env OWN"},
		"PreviewElsewhere": {
			"Its mode is not to blame.", []client.Object{elsewhere, namespace(nil)}, "", NotSelected, "it wants app=cart and finds app=checkout",
		},
		"PreviewUnknown": {"It fails on no pod because of what we can't read.", []client.Object{looksInProd}, "", Unknown, "could not be read"},
		"Withdrawn":      {"The status says so.", []client.Object{withdrawn, namespace(nil)}, "", Failed, "denied by policy"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(tc.objects...)
			if err != nil {
				t.Fatal(err)
			}

			v, err := c.Stopped(tc.stop).Judge(t.Context(), Pod{Namespace: "shop", JSON: []byte(
				`{"metadata":{"name":"a","labels":{"app":"checkout"}},"spec":{"containers":[{"name":"app","env":[{"name":"OWN","value":"b"}]}]}}`)})
			if err != nil {
				t.Fatal(err)
			}

			if len(v.All) != 1 || v.All[0].Outcome != tc.outcome || !strings.Contains(v.All[0].Text, tc.text) {
				t.Errorf("%s got %+v, want %s %q", tc.reason, v.All, tc.outcome, tc.text)
			}
		})
	}
}

// mustRevision is the revision of an Injection, as its status would have it.
func mustRevision(t *testing.T, in *v1alpha1.Injection) string {
	t.Helper()

	c, err := New(in)
	if err != nil {
		t.Fatal(err)
	}

	return c.Reach("shop")[0].Revision()
}

// TestTwice: two objects of one name are a mistake in a folder, and one of them would
// be ignored in silence.
func TestTwice(t *testing.T) {
	if _, err := New(injection("a", nil), injection("a", nil)); err == nil || !strings.Contains(err.Error(), `Injection "a" of namespace shop is there twice`) {
		t.Errorf("got %v", err)
	}
}

// TestWrongType: the error names the field.
func TestWrongType(t *testing.T) {
	_, err := SubjectOf(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "env": map[string]any{"A": "b"}}}},
	}})
	if err == nil || !strings.Contains(err.Error(), "cannot read the pod of pod/a: ") || !strings.Contains(err.Error(), "spec.containers.env") {
		t.Errorf("got %v", err)
	}
}

// TestSubjects holds which pod an object makes, as its controller sends it.
func TestSubjects(t *testing.T) {
	const template = `{metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: x}]}}`

	for name, tc := range map[string]struct {
		reason, object string
		want           []string // parts of the pod's JSON
	}{
		"Pod": {"It is the pod.", `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: []}}`, []string{`"name":"a"`}},
		"Deployment": {
			"Its ReplicaSet controls the pod.", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: ` + template + `}}`,
			[]string{`"generateName":"web-xxxxxxxxxx-"`, `"kind":"ReplicaSet"`, `"controller":true`, `"app":"web"`},
		},
		"StatefulSet": {
			"Its pods have names, and labels with them.", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {template: ` + template + `}, status: {updateRevision: db-5}}`,
			[]string{`"name":"db-0"`, `"statefulset.kubernetes.io/pod-name":"db-0"`, `"controller-revision-hash":"db-5"`},
		},
		"DaemonSet": {
			"A withdrawal names the generation of the template.",
			`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: log, annotations: {deprecated.daemonset.template.generation: "3"}}, spec: {template: ` + template + `}}`,
			[]string{`"pod-template-generation":"3"`, `"kind":"DaemonSet"`},
		},
		"Job": {"An Injection may select by the Job's label.", `{apiVersion: batch/v1, kind: Job, metadata: {name: mail}, spec: {template: ` + template + `}}`, []string{`"job-name":"mail"`}},
		"CronJob": {
			"Its Job controls the pod.", `{apiVersion: batch/v1, kind: CronJob, metadata: {name: mail}, spec: {jobTemplate: {spec: {template: ` + template + `}}}}`,
			[]string{`"kind":"Job"`, `"name":"mail-00000000"`},
		},
		"CloneSet": {"A kind of another group, with a template.", `{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, metadata: {name: web}, spec: {template: ` + template + `}}`, []string{`"kind":"CloneSet"`}},
		"Rollout": {
			"An ownerSelector sees its ReplicaSet, and by the label the Rollout.",
			`{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: web}, spec: {template: ` + template + `}}`,
			[]string{`"kind":"ReplicaSet"`, `"name":"web-xxxxxxxxxx"`, `"rollouts-pod-template-hash":"xxxxxxxxxx"`},
		},
		"Service": {"It has no pods.", `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {}}`, nil},
		"Other":   {"A template of something else.", `{apiVersion: cert-manager.io/v1, kind: X, metadata: {name: web}, spec: {template: {spec: {secret: x}}}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(tc.object), &u.Object); err != nil {
				t.Fatal(err)
			}

			s, err := SubjectOf(u)
			if err != nil {
				t.Fatal(err)
			}

			if s == nil {
				if tc.want != nil {
					t.Fatalf("%s got no subject", tc.reason)
				}

				return
			}

			raw, err := json.Marshal(s.Pod)
			if err != nil {
				t.Fatal(err)
			}

			for _, part := range tc.want {
				if !strings.Contains(string(raw), part) {
					t.Errorf("%s want %s in %s", tc.reason, part, raw)
				}
			}

			if tc.want == nil {
				t.Errorf("%s got %s", tc.reason, raw)
			}
		})
	}
}

// TestArriveTwice: a complete pod arrives as it is.
func TestArriveTwice(t *testing.T) {
	limit := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "l"}}
	if err := yaml.Unmarshal([]byte(`{limits: [{type: Container, default: {cpu: 1}, defaultRequest: {cpu: 500m}}]}`), &limit.Spec); err != nil {
		t.Fatal(err)
	}

	c, err := New(limit)
	if err != nil {
		t.Fatal(err)
	}

	s := &Subject{Kind: "Pod", Namespace: "shop", Name: "a", Pod: &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}}}}

	once, err := c.Arrive(s, false)
	if err != nil {
		t.Fatal(err)
	}

	if err := json.Unmarshal(once.JSON, s.Pod); err != nil {
		t.Fatal(err)
	}

	twice, err := c.Arrive(s, false)
	if err != nil {
		t.Fatal(err)
	}

	if !bytes.Equal(once.JSON, twice.JSON) {
		t.Errorf("once: %s\ntwice: %s", once.JSON, twice.JSON)
	}

	for _, part := range []string{`"cpu":"500m"`, `"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"`, `"terminationMessagePath"`, `"restartPolicy":"Always"`} {
		if !strings.Contains(string(once.JSON), part) {
			t.Errorf("want %s in %s", part, once.JSON)
		}
	}
}
