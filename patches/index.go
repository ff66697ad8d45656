package patches

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// index finds Injections by a label that what they select must have.
type index struct {
	byLabel map[labelPair][]*Injection
	all     []*Injection
}

// add files an Injection under labels. All that it selects has one of them at least.
func (x *index) add(in *Injection, required []labelPair) {
	if x.byLabel == nil {
		x.byLabel = map[labelPair][]*Injection{}
	}

	for _, l := range required {
		x.byLabel[l] = append(x.byLabel[l], in)
	}

	x.all = append(x.all, in)
}

// requiredBy returns labels of one key: all that a selector selects has one of them. It
// returns none if there is no such key.
func requiredBy(s *metav1.LabelSelector) []labelPair {
	if s == nil {
		return nil
	}

	var required []labelPair
	for k, v := range s.MatchLabels {
		required = append(required, labelPair{k, v})
	}

	if len(required) > 0 {
		return []labelPair{slices.MinFunc(required, func(a, b labelPair) int { return cmp.Compare(a.key, b.key) })}
	}

	for _, e := range s.MatchExpressions {
		if e.Operator != metav1.LabelSelectorOpIn {
			continue
		}

		for _, v := range slices.Compact(slices.Sorted(slices.Values(e.Values))) {
			required = append(required, labelPair{e.Key, v})
		}

		break
	}

	return required
}
