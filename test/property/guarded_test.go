//go:build apiserver

package property

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// guarded is a room in which policies and ServiceAccounts judge pods.
type guarded struct {
	*room

	number   int
	policies map[string]policy
	account  *corev1.ServiceAccount
	objects  []any // all that was made there, for the report
	sets     []*set
}

// guard makes a room. Its twin has the same policies and ServiceAccounts.
func (r *run) guard(t *testing.T, number int, cluster []declared) *guarded {
	t.Helper()

	d := newDice(nil, *seed, 1<<62|uint64(number), 0)
	name := fmt.Sprintf("guarded-%d", number)
	labels := map[string]string{"room": name}
	g := &guarded{number: number, policies: map[string]policy{}, account: d.limitedAccount()}

	specs := map[int]v1alpha1.InjectionSpec{}

	at := d.IntN(3 * len(cluster)) // mostly none
	if at < len(cluster) {
		labels["cluster"] = fmt.Sprint(at)
	}

	g.room = r.openRoom(t, name, law{}, labels)
	g.label(t, r, name)

	if at < len(cluster) {
		g.injections = append(g.injections, cluster[at])
		specs[clusterNumber+at] = cluster[at].spec
	}

	for i := range 1 + d.IntN(3-len(specs)) {
		specs[i] = d.judgedSpec(i)
		in := newInjection(fmt.Sprintf("in-%d", i), specs[i])
		g.objects = append(g.objects, in)
		g.injections = r.declare(t, g.injections, in.Name, "/apis/telltale.dev/v1alpha1/namespaces/"+g.with+"/injections", encode(t, in))
	}

	g.objects = append(g.objects, g.account)

	for _, ns := range []string{g.with, g.without} {
		r.mustCreate(t, "/api/v1/namespaces/"+ns+"/serviceaccounts", g.account)
	}

	for i := range 1 + d.IntN(3) {
		p := d.policy(specs)
		id := fmt.Sprintf("%s-%d", name, i)
		g.policies[id] = p
		g.objects = append(g.objects, r.apply(t, id, p, labels)...)
	}

	for i := range min(ownersPerRoom, *owners-number*ownersPerRoom) {
		// With a fault of its own beside three suspects it has more refusals than events.
		object := d.replicaSet(fmt.Sprintf("set-%d-%d", number, i), len(specs) == 3)
		g.sets = append(g.sets, newSet(t, g, object))
	}

	return g
}

// label gives the twin the label that policies select.
func (g *guarded) label(t *testing.T, r *run, name string) {
	t.Helper()

	body := []byte(`{"metadata": {"labels": {"room": "` + name + `"}}}`)
	if err := r.api.Patch(types.MergePatchType).AbsPath("/api/v1/namespaces/" + g.without).Body(body).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
}

// apply makes a policy of the namespaces with a label, or of all.
func (r *run) apply(t *testing.T, name string, p policy, labels map[string]string) []any {
	t.Helper()

	rule := admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}}
	made := &admissionregistrationv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{rule}},
			Variables: []admissionregistrationv1.Variable{{
				Name: "all", Expression: "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])",
			}},
			Validations: []admissionregistrationv1.Validation{{Expression: p.expression, Message: p.message}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}

	if labels != nil {
		binding.Spec.MatchResources = &admissionregistrationv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"room": labels["room"]}},
		}
	}

	r.mustCreate(t, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", made)
	r.mustCreate(t, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", binding)

	return []any{made, binding}
}

// end ends the faults of the pods: their policies, and those of ServiceAccounts.
func (g *guarded) end(t *testing.T, r *run) {
	t.Helper()

	for name, p := range g.policies {
		if !p.ends {
			continue
		}

		path := "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/" + name
		if err := r.api.Delete().AbsPath(path).Do(t.Context()).Error(); err != nil {
			t.Error(err)
		}
	}

	listed := corev1.ServiceAccount{Secrets: append(slices.Clone(g.account.Secrets), corev1.ObjectReference{Name: ownSecret})}

	for _, ns := range []string{g.with, g.without} {
		path := "/api/v1/namespaces/" + ns + "/serviceaccounts"
		r.mustCreate(t, path, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: late}})

		body := encode(t, map[string]any{"secrets": listed.Secrets})
		if err := r.api.Patch(types.MergePatchType).AbsPath(path + "/" + limited).Body(body).Do(t.Context()).Error(); err != nil {
			t.Error(err)
		}
	}
}

// ended is an error until the API server's admission knows the ServiceAccounts.
func (g *guarded) ended(ctx context.Context, t *testing.T, r *run) error {
	t.Helper()

	for _, ns := range []string{g.with, g.without} {
		for _, account := range []string{late, limited} {
			pod := probe()
			pod.Spec.ServiceAccountName = account
			pod.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: ownSecret}}}}

			a := r.create(ctx, "/api/v1/namespaces/"+ns+"/pods", encode(t, pod), true)
			if a.err != nil && (strings.Contains(a.err.Error(), "does not reference") || strings.Contains(a.err.Error(), "service account")) {
				return a.err
			}
		}
	}

	return nil
}

// manifests are all objects of a room and a ReplicaSet, to repeat a case with.
func (g *guarded) manifests(t *testing.T, s *set) string {
	t.Helper()

	var b strings.Builder

	all := append([]any{}, g.objects...)
	for _, in := range s.matches {
		if strings.HasPrefix(in.name, "cluster/") {
			all = append(all, tree(decode[any](t, in.raw)))
		}
	}

	for _, object := range append(all, s.object) {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}

		b.WriteString("---\n" + string(text))
	}

	return b.String()
}
