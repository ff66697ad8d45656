package patches

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// revisionBytes is how many bytes of the hash a revision has. Two edits of one
// Injection have the same revision once in four billion times.
const revisionBytes = 4

// revisionOf is a short hash of what an Injection adds to a pod, and how. It is
// the hash of canonical JSON (RFC 8785) without empty values and without
// defaults, so that it is the same in every version of Telltale
// (TestRevisionGolden). It does not depend on which pods are selected, on what is
// required, on the order among Injections, on onFailure, or on mode.
func revisionOf(s *v1alpha1.InjectionSpec) string {
	adds := *s
	adds.Selector, adds.Order, adds.OnFailure, adds.Mode = nil, 0, "", ""
	adds.OwnerSelector, adds.ImageSelector, adds.AnnotationSelector, adds.Requires = nil, nil, nil, nil

	if adds.OnConflict == v1alpha1.Skip {
		adds.OnConflict = ""
	}

	for _, p := range []*v1alpha1.ConflictPolicy{
		&adds.OnConflictFor.Env, &adds.OnConflictFor.VolumeMounts, &adds.OnConflictFor.InitContainers,
		&adds.OnConflictFor.Labels, &adds.OnConflictFor.Annotations,
	} {
		if *p == cmp.Or(adds.OnConflict, v1alpha1.Skip) {
			*p = ""
		}
	}

	for _, p := range []*v1alpha1.Placement{&adds.Placement.Env, &adds.Placement.InitContainers} {
		if *p == v1alpha1.First {
			*p = ""
		}
	}

	var tree any
	if err := json.Unmarshal(edit.Encode(adds), &tree); err != nil {
		panic(err) // it was encoded here
	}

	canonical := jsontext.Value(edit.Encode(withoutEmpty(tree, "")))
	if err := canonical.Canonicalize(); err != nil {
		panic(err)
	}

	hash := sha256.Sum256(canonical)

	return hex.EncodeToString(hash[:revisionBytes])
}

// withoutEmpty takes out of objects all that is null, "", {} or []: a later
// version of our libraries may write more or fewer of them. An empty string that
// means something stays.
func withoutEmpty(tree any, in string) any {
	switch v := tree.(type) {
	case map[string]any:
		for key, value := range v {
			if v[key] = withoutEmpty(value, key); isEmpty(v[key]) && !meansSomething(value, key, in) {
				delete(v, key)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutEmpty(v[i], in)
		}
	}

	return tree
}

// meansSomething tells whether an empty string is not the same as none: in a map of
// strings, and where a claim asks for no storage class.
func meansSomething(value any, key, in string) bool {
	switch in {
	case "labels", "annotations", "matchLabels", "volumeAttributes", "options":
		return value == ""
	default:
		return value == "" && key == "storageClassName"
	}
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return false
	}
}
