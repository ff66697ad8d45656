package patches

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func injection(namespace, name string, order int32, selects map[string]string) *Injection {
	in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	in.Spec.Order = order
	in.Spec.Selector = &metav1.LabelSelector{MatchLabels: selects}
	in.Spec.Env = []v1alpha1.EnvVar{{Name: "A", Value: "a"}}

	return Compile(in)
}

func clusterInjection(name string, namespaces *metav1.LabelSelector) *Injection {
	in := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: name}}
	in.Spec.Selector = &metav1.LabelSelector{}
	in.Spec.NamespaceSelector = namespaces
	in.Spec.Env = []v1alpha1.EnvVar{{Name: "A", Value: "a"}}

	return CompileCluster(in)
}

func names(matches []Match) []string {
	found := []string{}
	for _, m := range matches {
		name := m.String()
		if m.Undecided {
			name += "?"
		}

		found = append(found, name)
	}

	return found
}

func TestMatch(t *testing.T) {
	app := map[string]string{"app": "checkout"}
	prod := &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	pod := &Pod{Labels: map[string]string{"app": "checkout", "tier": "web"}}
	shop := Namespace{Name: "shop", Labels: map[string]string{"env": "prod"}, Known: true}

	cases := map[string]struct {
		reason string
		set    []*Injection
		ns     Namespace
		want   []string
	}{
		"Order": {
			reason: "Low orders first, then ClusterInjections, then by name: not the order of creation.",
			set: []*Injection{
				injection("shop", "b", 0, app), injection("shop", "a", 0, nil), injection("shop", "z", -1, app),
				clusterInjection("c", nil),
			},
			ns:   shop,
			want: []string{"z", "cluster/c", "a", "b"},
		},
		"OtherLabels": {
			reason: "A selector's labels must all be there, with their values.",
			set: []*Injection{
				injection("shop", "value", 0, map[string]string{"app": "cart"}),
				injection("shop", "more", 0, map[string]string{"app": "checkout", "zone": "a"}),
			},
			ns:   shop,
			want: []string{},
		},
		"OtherNamespace": {
			reason: "An Injection never reaches another namespace.",
			set:    []*Injection{injection("billing", "a", 0, nil)},
			ns:     shop,
			want:   []string{},
		},
		"NamespaceUnknown": {
			reason: "Where it depends on labels that are not known, the answer is not no.",
			set:    []*Injection{clusterInjection("prod", prod), clusterInjection("all", nil)},
			ns:     Namespace{Name: "shop"},
			want:   []string{"cluster/all", "cluster/prod?"},
		},
		"NamespaceDiffers": {
			reason: "A namespaceSelector keeps it out of the others.",
			set:    []*Injection{clusterInjection("prod", prod)},
			ns:     Namespace{Name: "shop", Known: true},
			want:   []string{},
		},
		"NoNamespace": {
			reason: "A review without a namespace can only be forged; it must not meet anything twice.",
			set:    []*Injection{clusterInjection("all", nil)},
			ns:     Namespace{},
			want:   []string{"cluster/all"},
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set := &Set{}
			for _, in := range c.set {
				set = set.With(in)
			}

			if diff := cmp.Diff(c.want, names(set.Match(pod.Traits(), c.ns))); diff != "" {
				t.Errorf("%s -want +got\n%s", c.reason, diff)
			}
		})
	}
}

// TestSetIsImmutable edits a set and finds the old one as it was.
func TestSetIsImmutable(t *testing.T) {
	pod, shop := &Pod{}, Namespace{Name: "shop", Known: true}
	one := (&Set{}).With(injection("shop", "a", 0, nil))
	two := one.With(injection("shop", "b", 0, nil)).With(injection("billing", "c", 0, nil))
	none := two.Without("shop", "a").Without("shop", "b").Without("shop", "never-there")

	for _, c := range []struct {
		set  *Set
		want []string
	}{
		{&Set{}, []string{}}, {one, []string{"a"}}, {two, []string{"a", "b"}}, {none, []string{}},
	} {
		if diff := cmp.Diff(c.want, names(c.set.Match(pod.Traits(), shop))); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}

	if none.Get("billing", "c") == nil || none.Get("shop", "a") != nil || two.Get("shop", "a") == nil {
		t.Error("Get does not tell what the set holds")
	}
}
