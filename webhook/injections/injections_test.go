package injections

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func injection(name string, generation int64, env ...string) *v1alpha1.Injection {
	in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Generation: generation}}
	in.Spec.Selector = &metav1.LabelSelector{}

	for _, e := range env {
		in.Spec.Env = append(in.Spec.Env, v1alpha1.EnvVar{Name: e, Value: "x"})
	}

	return in
}

func names(t *testing.T, in *Injections) []string {
	t.Helper()

	matches, err := in.Match(nil, "shop")
	if err != nil {
		t.Fatal(err)
	}

	found := []string{}
	for _, m := range matches {
		found = append(found, m.String())
	}

	return found
}

// TestNotLoaded asks before the first lists have arrived, and gets an error,
// though some Injections are known already. They are in force once all are
// known.
func TestNotLoaded(t *testing.T) {
	in := New(logr.Discard())
	in.onInjection().OnAdd(injection("early", 1, "A"), true)

	if matches, err := in.Match(nil, "shop"); !errors.Is(err, ErrNotLoaded) || matches != nil {
		t.Errorf("want ErrNotLoaded, got %v, %v", matches, err)
	}

	if err := in.Check(nil); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("ready with %v", err)
	}

	in.onInjection().OnAdd(injection("gone", 1, "B"), true)
	in.onInjection().OnDelete(injection("gone", 1, "B"))
	in.load(t.Context())

	if diff := cmp.Diff([]string{"early"}, names(t, in)); diff != "" || in.Check(nil) != nil {
		t.Errorf("%v, -want +got\n%s", in.Check(nil), diff)
	}
}

// TestLoadsAll has many Injections at the start, so that each core has some to
// compile. One of them can't be used: it is in the set all the same, to be
// reported.
func TestLoadsAll(t *testing.T) {
	const many = 100

	in := New(logr.Discard())
	for i := range many {
		in.onInjection().OnAdd(injection(fmt.Sprint("proxy-", i), 1, "A"), true)
	}

	in.onInjection().OnAdd(injection("bad", 1, ""), true)
	in.load(t.Context())

	if found := names(t, in); len(found) != many+1 {
		t.Errorf("got %d, %v", len(found), found)
	}

	if bad := in.compiled(injection("bad", 1)); bad == nil || bad.Err() == nil {
		t.Errorf("an env var without a name: got %v", bad)
	}
}

// TestEvents calls the handlers as informers do, odd deliveries included.
func TestEvents(t *testing.T) {
	in := New(logr.Discard())
	in.load(t.Context())

	on, cluster, ns := in.onInjection(), in.onClusterInjection(), in.onNamespace()
	prod := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "prod"}}
	prod.Spec.Selector = &metav1.LabelSelector{}
	prod.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	prod.Spec.Env = []v1alpha1.EnvVar{{Name: "A", Value: "x"}}
	shop := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	shopInProd := shop.DeepCopy()
	shopInProd.Labels = map[string]string{"env": "prod"}

	steps := []struct {
		reason string
		do     func()
		want   []string
	}{
		{"Added.", func() { on.OnAdd(injection("a", 1, "A"), true); on.OnAdd(injection("b", 1, "B"), false) }, []string{"a", "b"}},
		{"Gone.", func() { on.OnDelete(injection("a", 1, "A")) }, []string{"b"}},
		{
			"A missed delete comes as a tombstone.",
			func() { on.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "shop/b"}) },
			[]string{},
		},
		{"If the namespace is not known, the match is undecided, and that counts as a match.", func() { cluster.OnAdd(prod, true) }, []string{"cluster/prod"}},
		{"The namespace is known, and has other labels.", func() { ns.OnAdd(shop, true) }, []string{}},
		{"Labelled now.", func() { ns.OnUpdate(shop, shopInProd) }, []string{"cluster/prod"}},
		{"Gone.", func() { cluster.OnDelete(prod) }, []string{}},
	}

	for _, s := range steps {
		s.do()

		if diff := cmp.Diff(s.want, names(t, in)); diff != "" {
			t.Errorf("%s -want +got\n%s", s.reason, diff)
		}
	}
}

// TestSameEditIsCompiledOnce: a change of the status is no edit. An object with
// another uid is another object, even with the same generation.
func TestSameEditIsCompiledOnce(t *testing.T) {
	in := New(logr.Discard())
	in.load(t.Context())

	on := in.onInjection()
	first := injection("a", 1, "A")
	on.OnAdd(first, true)

	compiled := in.compiled(first)
	on.OnUpdate(first, first)

	if compiled == nil || in.compiled(first) != compiled {
		t.Error("compiled again for the same edit")
	}

	again := injection("a", 1, "B")
	again.UID = "another"

	on.OnUpdate(first, again)

	if got := in.compiled(again); got == nil || got == compiled {
		t.Error("an object made again under the same name was taken for the old one")
	}
}
