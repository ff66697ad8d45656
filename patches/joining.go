package patches

import (
	"slices"
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// joining is how an Injection joins one env var with the one that is there.
type joining struct {
	value, separator string
	first, unique    bool
}

// joiningsOf returns the env vars of an Injection that are joined, by name; nil if
// there are none.
func joiningsOf(s *v1alpha1.InjectionSpec) (all map[string]*joining) {
	for _, e := range s.Env {
		if e.Join == nil {
			continue
		}

		if all == nil {
			all = map[string]*joining{}
		}

		j := &joining{value: e.Value, separator: e.Join.Separator, first: e.Join.First, unique: e.Join.Unique}
		j.value = j.missing("")
		all[e.Name] = j
	}

	return all
}

// missing is the part of the value that is not in another one.
func (j *joining) missing(value string) string {
	switch {
	case !j.unique && j.isIn(value):
		return ""
	case !j.unique:
		return j.value
	}

	var there, missing []string
	if value != "" {
		there = strings.Split(value, j.separator)
	}

	for element := range strings.SplitSeq(j.value, j.separator) {
		if !slices.Contains(there, element) && !slices.Contains(missing, element) {
			missing = append(missing, element)
		}
	}

	return strings.Join(missing, j.separator)
}

// isIn tells whether the value is there already, as one or more whole elements.
func (j *joining) isIn(value string) bool {
	if j.unique {
		return j.missing(value) == ""
	}

	s := j.separator

	return strings.Contains(s+value+s, s+j.value+s)
}

// with returns another value with this one, and how far the other has moved.
func (j *joining) with(value string) (joined string, moved int) {
	switch missing := j.missing(value); {
	case missing == "":
		return value, 0
	case value == "":
		return missing, 0
	case j.first:
		return missing + j.separator + value, len(missing) + len(j.separator)
	default:
		return value + j.separator + missing, 0
	}
}
