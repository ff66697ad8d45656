package patches

import (
	"math/rand/v2"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func TestSelects(t *testing.T) {
	app := map[string]string{"app": "checkout"}
	prod := &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	out := map[string]string{"app": "checkout", v1alpha1.InjectLabel: v1alpha1.Disabled}
	shop := Namespace{Name: "shop", Labels: map[string]string{"env": "test"}, Known: true}

	cases := map[string]struct {
		reason string
		in     *Injection
		pod    map[string]string
		ns     Namespace
		yes    bool
		why    string
	}{
		"Yes":         {"Nothing to explain.", injection("shop", "a", 0, app), app, shop, true, ""},
		"YesCluster":  {"It has no namespace of its own.", clusterInjection("a", nil), app, shop, true, ""},
		"OtherLabels": {"The most frequent one.", injection("shop", "a", 0, app), nil, shop, false, "the selector does not match the pod's labels: it wants app=checkout and finds no label app"},
		"TwoTerms": {
			"Each that says no is named, and no other.", expressive("shop"),
			map[string]string{"app": "cart", "tier": "web"},
			shop,
			false, "the selector does not match the pod's labels: it wants app in (checkout,web) and finds app=cart; it wants track and finds no label track",
		},
		"OtherNamespace": {"It never reaches another one.", injection("billing", "a", 0, app), app, shop, false, "the pod is in another namespace"},
		"NamespaceLabels": {
			"Only a ClusterInjection has a namespaceSelector.", clusterInjection("a", prod), app, shop,
			false, "the namespaceSelector does not match the labels of the pod's namespace: it wants env=prod and finds env=test",
		},
		"NamespaceUnknown": {
			"No is no answer before they are known.", clusterInjection("a", prod), app,
			Namespace{Name: "shop"},
			true, "the labels of the pod's namespace are not known yet",
		},
		"PodOptedOut": {
			"Whatever else is true.", injection("shop", "a", 0, app), out, shop,
			false, "the pod opted out by its label telltale.dev/inject: disabled",
		},
		"NamespaceOptedOut": {
			"For all pods in it.", injection("shop", "a", 0, app), app,
			Namespace{Name: "shop", Labels: out, Known: true},
			false, "the namespace opted out by its label telltale.dev/inject: disabled",
		},
		"Paused":  {"Nobody needs to look at the labels.", withMode(v1alpha1.Paused), app, shop, false, "it is paused: spec.mode is Paused"},
		"Preview": {"It only looks.", withMode(v1alpha1.Preview), app, shop, false, "it changes no pod: spec.mode is Preview"},
		"PreviewElsewhere": {
			"Its mode is not to blame.", withMode(v1alpha1.Preview), app, Namespace{Name: "billing", Known: true}, false, "the pod is in another namespace",
		},
		"Invalid": {
			"The pod's labels are not to blame.", Compile(&v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}), app, shop,
			false, "spec.selector is missing: use {} to select every pod",
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if yes, why := c.in.Selects(Traits{Labels: c.pod}, c.ns); yes != c.yes || why != c.why {
				t.Errorf("%s got %t, %q, want %t, %q", c.reason, yes, why, c.yes, c.why)
			}
		})
	}
}

func expressive(namespace string) *Injection {
	o := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a"}}
	o.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"checkout", "web"}},
		{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"db"}},
		{Key: "track", Operator: metav1.LabelSelectorOpExists},
	}}

	return Compile(o)
}

// TestSelectsIsMatch asks both about random Injections, pods and namespaces.
func TestSelectsIsMatch(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	selected, not := 0, 0

	for range 5000 {
		in := randomInjection(random)
		pod := randomTraits(random)
		ns := Namespace{Name: "shop", Known: random.IntN(4) > 0}

		if ns.Known {
			ns.Labels = randomOptOut(random, randomLabels(random))
		}

		set := (&Set{}).With(in)
		matches := set.Match(pod, ns)

		if in.mode != v1alpha1.Preview && len(set.Previews(pod, ns)) > 0 {
			t.Fatalf("an Injection with mode %q is a preview", in.mode)
		}

		undecided := slices.ContainsFunc(matches, func(m Match) bool { return m.Undecided })

		yes, why := in.Selects(pod, ns)
		if yes != (len(matches) == 1) || (why == "") != (yes && !undecided) {
			t.Fatalf("pod %v, namespace %v: Selects says %t, %q, Match %v", pod, ns, yes, why, names(matches))
		}

		if yes {
			selected++
		} else {
			not++
		}
	}

	if selected < 500 || not < 500 {
		t.Errorf("%d selected, %d not", selected, not)
	}
}

func randomInjection(random *rand.Rand) *Injection {
	if random.IntN(2) == 0 {
		o := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
		o.Spec.Selector, o.Spec.NamespaceSelector = randomSelector(random), randomSelector(random)

		return CompileCluster(o)
	}

	o := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: randomWord(random, "shop", "shop", "billing"), Name: "a"}}
	if random.IntN(10) > 0 { // else it is missing
		o.Spec.Selector = randomSelector(random)
	}

	randomChoice(random, &o.Spec)
	o.Spec.Mode = v1alpha1.Mode(randomWord(random, "", "", string(v1alpha1.Active), string(v1alpha1.Preview), string(v1alpha1.Paused)))

	return Compile(o)
}

func withMode(mode v1alpha1.Mode) *Injection {
	in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}}
	in.Spec.Selector, in.Spec.Mode = &metav1.LabelSelector{}, mode

	return Compile(in)
}

func randomOptOut(random *rand.Rand, labels map[string]string) map[string]string {
	if random.IntN(10) == 0 {
		labels[v1alpha1.InjectLabel] = randomWord(random, v1alpha1.Disabled, "enabled")
	}

	return labels
}
