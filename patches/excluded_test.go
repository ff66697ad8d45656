package patches_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestExcluded adds the label track: canary to pods of a ReplicaSet, under all
// kinds of selectors. The label is left out exactly where the selector would not
// select the pod with it.
func TestExcluded(t *testing.T) {
	requirement := func(key string, op metav1.LabelSelectorOperator, values ...string) []metav1.LabelSelectorRequirement {
		return []metav1.LabelSelectorRequirement{{Key: key, Operator: op, Values: values}}
	}
	cases := map[string]struct {
		reason   string
		selector []metav1.LabelSelectorRequirement
		own      map[string]string // labels of the pod, beside app
		policy   v1alpha1.ConflictPolicy
		bare     bool
		want     patches.Reason
	}{
		"NoExpressions": {reason: "A label more is no matter to matchLabels."},
		"Absent":        {reason: "The label must not be there.", selector: requirement("track", metav1.LabelSelectorOpDoesNotExist), want: patches.Refused},
		"NotThis":       {reason: "The value is excluded.", selector: requirement("track", metav1.LabelSelectorOpNotIn, "beta", "canary"), want: patches.Refused},
		"NotOthers":     {reason: "Other values are excluded.", selector: requirement("track", metav1.LabelSelectorOpNotIn, "beta")},
		"OtherKey":      {reason: "Another label must not be there.", selector: requirement("tier", metav1.LabelSelectorOpDoesNotExist)},
		"Required": {
			reason:   "The pod has it already, as the selector wants.",
			selector: requirement("track", metav1.LabelSelectorOpExists), own: map[string]string{"track": "canary"},
		},
		"KeepPod": {
			reason:   "Nothing is added: the pod's own value stays.",
			selector: requirement("track", metav1.LabelSelectorOpNotIn, "canary"), own: map[string]string{"track": "stable"}, policy: v1alpha1.KeepPod,
		},
		"Override": {
			reason:   "A controlled pod's label is never overridden, whatever the selector is.",
			selector: requirement("track", metav1.LabelSelectorOpNotIn, "canary"), own: map[string]string{"track": "stable"}, policy: v1alpha1.Override,
			want: patches.Unsafe,
		},
		"Bare": {reason: "It has no controller.", selector: requirement("track", metav1.LabelSelectorOpDoesNotExist), bare: true},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "checkout"}, MatchExpressions: tc.selector}
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{"app": "checkout"}}}

			maps.Copy(pod.Labels, tc.own)

			if !tc.bare {
				pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "checkout-1", UID: "1", Controller: new(true)}}
			}

			raw, err := json.Marshal(pod)
			if err != nil {
				t.Fatal(err)
			}

			p, err := patches.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}

			p.Excluding = patches.Excluding(selector)
			in := patches.Compile(&v1alpha1.Injection{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "canary"},
				Spec: v1alpha1.InjectionSpec{
					Selector: &metav1.LabelSelector{}, Labels: map[string]string{"track": "canary"}, OnConflict: tc.policy,
				},
			})
			matches := (&patches.Set{}).With(in).Match(p.Traits(), patches.Namespace{Name: "shop", Known: true})

			var got patches.Failure
			if failed := patches.New(t.Context(), p, matches).Failed; len(failed) > 0 {
				got = failed[0]
			}

			if got.Reason != tc.want {
				t.Errorf("%s got %q, want %q: %s", tc.reason, got.Reason, tc.want, got.Text)
			}

			if tc.want == patches.Refused && !strings.Contains(got.Text, `its label "track" is excluded by the selector of ReplicaSet checkout-1: `) {
				t.Errorf("the text does not name the label and the selector: %s", got.Text)
			}
		})
	}
}
