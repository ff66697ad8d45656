package audit

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// few are the Injections that are known, by name.
type few map[string]*patches.Injection

func (f few) Get(_, name string) *patches.Injection { return f[name] }

func (f few) Match(map[string]string, string) ([]patches.Match, error) {
	return nil, errors.New("not asked")
}

type counts map[failure.Ref]int

func (c counts) Report(f failure.Failure) {
	if f.Trial {
		panic("a trial is reported")
	}

	c[f.Owner]++
}

// TestTrials reports the failures of a trial that passed, drops those of one that
// failed, holds those of one that goes on, and hands on all others.
func TestTrials(t *testing.T) {
	in := patches.Compile(&v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"},
		Spec: v1alpha1.InjectionSpec{
			Selector: &metav1.LabelSelector{}, Env: []corev1.EnvVar{{Name: "A", Value: "b"}},
		},
	})
	known, reported := few{}, counts{}
	trials := NewTrials(known, reported)

	ended, end := context.WithCancel(t.Context())
	end()

	look := func() { _ = trials.Run(ended) } // it looks once, and ends

	var all []v1alpha1.Withdrawal

	know := func(change edit) {
		all = change(append([]v1alpha1.Withdrawal{}, all...))
		known["proxy"], known["other"] = in.Withdrawn(all), in.Withdrawn(all)
	}
	owners := map[string]failure.Ref{}

	for _, name := range []string{"passes", "fails", "goes-on"} {
		owners[name] = failure.Ref{Kind: "ReplicaSet", Namespace: "shop", Name: name, UID: keyed("shop", name).UID}
		know(tryWithout(keyed("shop", name), in.Revision(), "no", time.Now()))

		for range 3 {
			trials.Report(failure.Failure{
				Reason: failure.Refused, Injection: failure.Injection{Name: "proxy"}, Revision: in.Revision(), Owner: owners[name], Trial: true,
			})
		}
	}

	// This pod still had the other Injection, which is tried as well from now on.
	trials.Report(failure.Failure{
		Reason: failure.Refused, Injection: failure.Injection{Name: "proxy"}, Revision: in.Revision(), Owner: owners["passes"],
		Trial: true, With: "cluster/third other",
	})

	trials.Report(failure.Failure{Owner: owners["fails"]})
	look()

	if len(reported) != 1 || reported[owners["fails"]] != 1 {
		t.Errorf("before any outcome, want the one that is of no trial: %v", reported)
	}

	know(convict(keyed("shop", "passes"), in.Revision(), time.Now()))
	know(acquit(keyed("shop", "fails"), in.Revision()))
	look()

	if len(reported) != 2 || reported[owners["passes"]] != 3 || reported[owners["fails"]] != 1 {
		t.Errorf("want the three of the trial that passed: %v", reported)
	}

	if len(trials.held) != 1 {
		t.Errorf("%d are held", len(trials.held))
	}
}
