package webhook

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// selectorsFunc are Selectors.
type selectorsFunc func(failure.Ref) labels.Requirements

func (f selectorsFunc) Excluding(c failure.Ref) labels.Requirements { return f(c) }

// TestSelectorsAreAsked only where an Injection adds a label to the pod of a
// controller. If its selector excludes the label, the pod starts without it.
func TestSelectorsAreAsked(t *testing.T) {
	labelled := injection("canary", "A", "b")
	labelled.Spec.Labels = map[string]string{"track": "canary"}

	cases := map[string]struct {
		reason     string
		controller string
		injection  *v1alpha1.Injection
		asked      int
		want       []failure.Reason
	}{
		"Label":     {reason: "The controller would not own the pod.", controller: "apps/v1 ReplicaSet", injection: labelled, asked: 1, want: []failure.Reason{failure.Refused}},
		"NoLabel":   {reason: "Nothing can be excluded.", controller: "apps/v1 ReplicaSet", injection: injection("proxy", "A", "b"), want: []failure.Reason{}},
		"BarePod":   {reason: "No controller has to own it.", injection: labelled, want: []failure.Reason{}},
		"NoMatches": {reason: "Nothing is injected.", controller: "apps/v1 ReplicaSet", injection: nil, want: []failure.Reason{}},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var (
				reported reports
				asked    int
			)

			matcher := knows()
			if tc.injection != nil {
				matcher = knows(tc.injection)
			}

			in := New(matcher, &reported, Options{Selectors: selectorsFunc(func(c failure.Ref) labels.Requirements {
				asked++

				if c.Name != "checkout-1" || c.UID != "1" || c.Namespace != "default" {
					t.Errorf("asked about %+v", c)
				}

				return patches.Excluding(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "track", Operator: metav1.LabelSelectorOpDoesNotExist},
				}})
			})})

			if !response(t, post(in, reviewOf(t, controlled(tc.controller)))).Allowed {
				t.Errorf("%s the pod is refused", tc.reason)
			}

			if diff := cmp.Diff(tc.want, reported.reasons()); diff != "" || asked != tc.asked {
				t.Errorf("%s asked %d times, want %d; -want +got\n%s", tc.reason, asked, tc.asked, diff)
			}
		})
	}
}
