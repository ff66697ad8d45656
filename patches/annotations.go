package patches

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// reservedPrefix is that of the labels and annotations that are Telltale's own.
const reservedPrefix = "telltale.dev/"

// requirements are those of an annotationSelector, in one form.
func requirements(s *v1alpha1.AnnotationSelector) (all []v1alpha1.AnnotationRequirement) {
	for _, key := range slices.Sorted(maps.Keys(s.MatchAnnotations)) {
		all = append(all, v1alpha1.AnnotationRequirement{Key: key, Operator: v1alpha1.AnnotationIn, Values: []string{s.MatchAnnotations[key]}})
	}

	return append(all, s.MatchExpressions...)
}

// validateRequirement finds what the API server refuses in a requirement.
func validateRequirement(r v1alpha1.AnnotationRequirement) error {
	const where = "spec.annotationSelector"

	switch {
	case r.Key == "":
		return fmt.Errorf("%s has a requirement without a key", where)
	case strings.HasPrefix(r.Key, reservedPrefix):
		return fmt.Errorf("%s: annotations under %s are Telltale's own records: %q", where, reservedPrefix, r.Key)
	}

	switch r.Operator {
	case v1alpha1.AnnotationIn, v1alpha1.AnnotationNotIn:
		if len(r.Values) == 0 {
			return fmt.Errorf("%s: %s needs values for %q", where, r.Operator, r.Key)
		}
	case v1alpha1.AnnotationExists, v1alpha1.AnnotationDoesNotExist:
		if len(r.Values) > 0 {
			return fmt.Errorf("%s: %s takes no values for %q", where, r.Operator, r.Key)
		}
	default:
		return fmt.Errorf("%s: there is no operator %q", where, r.Operator)
	}

	return nil
}

// meets tells whether annotations meet a requirement.
func meets(r v1alpha1.AnnotationRequirement, annotations map[string]string) bool {
	value, has := annotations[r.Key]

	switch r.Operator {
	case v1alpha1.AnnotationIn:
		return has && slices.Contains(r.Values, value)
	case v1alpha1.AnnotationNotIn:
		return !has || !slices.Contains(r.Values, value)
	case v1alpha1.AnnotationExists:
		return has
	default:
		return !has
	}
}

// meetsAll tells whether annotations meet all requirements.
func meetsAll(all []v1alpha1.AnnotationRequirement, annotations map[string]string) bool {
	for i := range all {
		if !meets(all[i], annotations) {
			return false
		}
	}

	return true
}

// unmetAnnotations says which requirements are not met. It tells no value of the pod's:
// an annotation may be a whole document, and may be secret.
func unmetAnnotations(all []v1alpha1.AnnotationRequirement, annotations map[string]string) string {
	var unmet []string

	for _, r := range all {
		if meets(r, annotations) {
			continue
		}

		wants := r.Key + " " + map[v1alpha1.AnnotationOperator]string{
			v1alpha1.AnnotationIn: "in", v1alpha1.AnnotationNotIn: "not in",
			v1alpha1.AnnotationExists: "to be there", v1alpha1.AnnotationDoesNotExist: "not to be there",
		}[r.Operator]
		if len(r.Values) > 0 {
			wants += " (" + quoted(r.Values) + ")"
		}

		finds := "no annotation " + r.Key
		if _, has := annotations[r.Key]; has {
			finds = "it there"
			if r.Operator == v1alpha1.AnnotationIn {
				finds = "another value"
			} else if r.Operator == v1alpha1.AnnotationNotIn {
				finds = "one of these"
			}
		}

		unmet = append(unmet, "it wants "+wants+" and finds "+finds)
	}

	return strings.Join(unmet, "; ")
}

func quoted[S ~string](all []S) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = strconv.Quote(string(s))
	}

	return strings.Join(words, ", ")
}
