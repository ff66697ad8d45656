package audit

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// few are the Injections that are known, by name.
type few map[string]*patches.Injection

func (f few) Get(_, name string) *patches.Injection { return f[name] }

func (f few) Match(patches.Traits, string) ([]patches.Match, error) {
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
			Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{{Name: "A", Value: "b"}},
		},
	})
	known, reported := few{}, counts{}
	trials := NewTrials(known, nil, reported, logr.Discard())

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
	trials.endTrials()

	if len(reported) != 1 || reported[owners["fails"]] != 1 {
		t.Errorf("before any outcome, want the one that is of no trial: %v", reported)
	}

	know(convict(keyed("shop", "passes"), in.Revision(), time.Now()))
	know(acquit(keyed("shop", "fails"), in.Revision()))
	trials.endTrials()

	if len(reported) != 2 || reported[owners["passes"]] != 3 || reported[owners["fails"]] != 1 {
		t.Errorf("want the three of the trial that passed: %v", reported)
	}

	if len(trials.held) != 1 {
		t.Errorf("%d are held", len(trials.held))
	}
}

// served are the withdrawals of Injection proxy that the API server has.
type served func() []v1alpha1.Withdrawal

func (s served) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	o.(*v1alpha1.Injection).Status.Withdrawn = s()

	return nil
}

func (s served) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("not asked")
}

// TestTrialsEnd waits at the end for the outcome of a trial, which the watch no longer
// tells, and not for ever.
func TestTrialsEnd(t *testing.T) {
	key := keyed("shop", "web")
	in := patches.Compile(&v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"},
		Spec:       v1alpha1.InjectionSpec{Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{{Name: "A", Value: "b"}}},
	})

	for name, tc := range map[string]struct {
		reason string
		after  edit
		want   int
		took   time.Duration
	}{
		"Passes": {"It was to blame.", convict(key, in.Revision(), time.Now()), 1, 2 * outcomePeriod},
		"Fails":  {"It was not.", acquit(key, in.Revision()), 0, 2 * outcomePeriod},
		"GoesOn": {"The outcome does not come.", func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal { return all }, 0, lastOutcomes},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := tryWithout(key, in.Revision(), "no", time.Now())(nil)
				reported, asked := counts{}, 0
				trials := NewTrials(few{"proxy": in.Withdrawn(all)}, served(func() []v1alpha1.Withdrawal {
					asked++
					if asked > 2 {
						return tc.after(slices.Clone(all))
					}

					return all
				}), reported, logr.Discard())

				owner := failure.Ref{Kind: key.Kind, Namespace: "shop", Name: key.Name, UID: key.UID}
				trials.Report(failure.Failure{
					Reason: failure.Refused, Injection: failure.Injection{Name: "proxy"}, Revision: in.Revision(), Owner: owner, Trial: true,
				})

				ended, end := context.WithCancel(t.Context())
				end()

				begin := time.Now()
				_ = trials.Run(ended)

				if took := time.Since(begin); reported[owner] != tc.want || took != tc.took {
					t.Errorf("%s got %d failures after %v, want %d after %v", tc.reason, reported[owner], took, tc.want, tc.took)
				}
			})
		})
	}
}
