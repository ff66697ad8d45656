package patches

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// missing is the path of the first field or element that one tree has and the other
// lacks; "" if there is none. Values are not compared, nor is anything that is empty.
// Another value may have other fields: a probe by TCP instead of HTTP, say.
func missing(path string, want, have any) string {
	switch want := want.(type) {
	case map[string]any:
		fields, _ := have.(map[string]any)
		if isOfOtherType(want, fields) {
			return ""
		}

		for _, key := range slices.Sorted(maps.Keys(want)) {
			if isReplaced(key, want, fields) {
				continue
			}

			if at := missingField(path+"."+key, want[key], fields[key]); at != "" {
				return at
			}
		}
	case []any:
		elements, _ := have.([]any)
		if haveIDs(want) {
			return missingByID(path, want, elements)
		}

		return missingOfList(path, want, elements)
	}

	return ""
}

func missingField(path string, want, have any) string {
	if isEmpty(want) {
		return ""
	}

	inner, isMap := want.(map[string]any)
	if isEmpty(have) && (!isMap || len(inner) > 1) {
		return path
	}

	return missing(path, want, have) // the only field of what is not there says more
}

// isOfOtherType tells whether the field "type" of an object, which says what other
// fields it may have, has another value.
func isOfOtherType(want, have map[string]any) bool {
	declared, is := want["type"].(string)
	found, has := have["type"].(string)

	return is && has && found != declared
}

// choices are sets of fields of which an object has one.
var choices = [...]map[string]bool{ //nolint:gochecknoglobals // a constant
	{"value": true, "valueFrom": true},
	{"configMapRef": true, "secretRef": true},
	{"subPath": true, "subPathExpr": true},
	fieldsOf[corev1.EnvVarSource](),
	fieldsOf[corev1.ProbeHandler](),
	fieldsOf[corev1.LifecycleHandler](),
	fieldsOf[corev1.VolumeSource](),
	fieldsOf[corev1.VolumeProjection](),
}

func fieldsOf[T any]() map[string]bool {
	fields := map[string]bool{}

	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = true
	}

	return fields
}

// isReplaced tells whether another choice stands for a field. An empty emptyDir does
// not: the API server puts it in if a volume has no source.
//
// Source: SetDefaults_Volume, k8s.io/kubernetes v1.37.2 pkg/apis/core/v1/defaults.go.
func isReplaced(key string, want, have map[string]any) bool {
	if !isEmpty(have[key]) {
		return false
	}

	for _, one := range choices {
		for other, value := range have {
			if one[key] && one[other] && isEmpty(want[other]) && value != nil && value != "" && !(other == "emptyDir" && isEmpty(value)) {
				return true
			}
		}
	}

	return false
}

// missingByID is for a list whose elements have names, or the like.
func missingByID(path string, want, have []any) string {
	for i, w := range want {
		at := fmt.Sprintf("%s[%d]", path, i)

		for _, h := range have {
			if at != "" && idOf(h) == idOf(w) {
				at = missing(fmt.Sprintf("%s[%d]", path, i), w, h)
			}
		}

		if at != "" {
			return at
		}
	}

	return ""
}

// missingOfList is for a list without names. The elements that are still there are
// set aside. If none is left of the other list, some were taken out; if as many are
// left, each may be one that was changed.
func missingOfList(path string, want, have []any) string {
	lacking, left := unmatched(want, have)

	switch {
	case len(lacking) == 0:
	case len(left) == 0:
		return fmt.Sprintf("%s[%d]", path, lacking[0])
	case len(left) == len(lacking):
		for n, i := range lacking {
			if at := missing(fmt.Sprintf("%s[%d]", path, i), want[i], left[n]); at != "" {
				return at
			}
		}
	}

	return ""
}

// unmatched returns the places of the elements that another list lacks, and those of
// the other list that are left. The largest come first, as a smaller one is in them.
func unmatched(want, have []any) (lacking []int, left []any) {
	order := make([]int, len(want))
	for i := range order {
		order[i] = i
	}

	slices.SortStableFunc(order, func(a, b int) int { return leaves(want[b]) - leaves(want[a]) })

	left = slices.Clone(have)

	for _, i := range order {
		best := -1

		for n, h := range left {
			if includes(h, want[i]) && (best < 0 || leaves(h) < leaves(left[best])) {
				best = n
			}
		}

		if best < 0 {
			lacking = append(lacking, i)
		} else {
			left = slices.Delete(left, best, best+1)
		}
	}

	slices.Sort(lacking)

	return lacking, left
}

// leaves counts the values of a tree.
func leaves(tree any) (n int) {
	switch v := tree.(type) {
	case map[string]any:
		for _, value := range v {
			n += leaves(value)
		}
	case []any:
		for _, value := range v {
			n += leaves(value)
		}
	case nil:
	default:
		n = 1
	}

	return n
}

// includes tells whether a tree has all values of another one; it may have more.
func includes(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		fields, _ := have.(map[string]any)
		for key := range want {
			if !isEmpty(want[key]) && !includes(fields[key], want[key]) {
				return false
			}
		}

		return true
	case []any:
		elements, _ := have.([]any)
		for _, h := range elements {
			if len(want) > 0 && includes(h, want[0]) {
				want = want[1:]
			}
		}

		return len(want) == 0
	default:
		return have == want
	}
}

// haveIDs tells whether each element of a list can be told from all others.
func haveIDs(elements []any) bool {
	ids := map[string]bool{"": true}

	for _, e := range elements {
		id := idOf(e)
		if ids[id] {
			return false
		}

		ids[id] = true
	}

	return true
}

// idOf is what tells an element of a pod's lists from the others; "" if it has
// no such thing.
func idOf(element any) string {
	fields, _ := element.(map[string]any)
	for _, key := range []string{"mountPath", "name"} {
		if id, ok := fields[key].(string); ok {
			return id
		}
	}

	return ""
}
