package patches

import (
	"reflect"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	kjson "sigs.k8s.io/json"
)

// sameEnv tells whether a pod's env var is the declared one.
func sameEnv(have envVar, it *item) bool {
	declared, ok := it.value.(corev1.EnvVar)
	if !ok {
		return false
	}

	var source *corev1.EnvVarSource
	if len(have.ValueFrom) > 0 {
		if err := kjson.UnmarshalCaseSensitivePreserveInts(have.ValueFrom, &source); err != nil {
			return false
		}
	}

	return have.Value == declared.Value &&
		equality.Semantic.DeepEqual(withDefaults(source), withDefaults(declared.ValueFrom))
}

func withDefaults(s *corev1.EnvVarSource) *corev1.EnvVarSource {
	if s == nil || s.FieldRef == nil || s.FieldRef.APIVersion != "" {
		return s
	}

	s = s.DeepCopy()
	s.FieldRef.APIVersion = "v1"

	return s
}

// sameMount tells whether a pod's mount is the declared one.
func sameMount(have corev1.VolumeMount, it *item) bool {
	declared, ok := it.value.(corev1.VolumeMount)

	return ok && equality.Semantic.DeepEqual(have, declared)
}

// sameJSON tells whether what a pod has is what was declared, apart from what
// the API server itself fills in: a pod that is created again from what the API
// server returned for it has all of that.
func sameJSON(declared, have []byte) bool {
	var d, h any
	if kjson.UnmarshalCaseSensitivePreserveInts(declared, &d) != nil ||
		kjson.UnmarshalCaseSensitivePreserveInts(have, &h) != nil {
		return false
	}

	return same(d, h)
}

func same(declared, have any) bool {
	switch d := declared.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)

		return ok && sameObject(d, h)
	case []any:
		h, ok := have.([]any)
		if !ok {
			return false
		}

		h = slices.DeleteFunc(slices.Clone(h), isServiceAccountMount)

		return slices.EqualFunc(d, h, same)
	default:
		return reflect.DeepEqual(declared, have)
	}
}

func sameObject(declared, have map[string]any) bool {
	for k, d := range declared {
		h, ok := have[k]
		if !ok && isZero(d) {
			continue
		}

		if k == "resources" { // a LimitRange adds to them
			h = intersect(d, h)
		}

		if !same(d, h) {
			return false
		}
	}

	for k, h := range have {
		if _, ok := declared[k]; !ok && !isZero(h) && !filledIn(k, h) {
			return false
		}
	}

	return true
}

// intersect returns h without the keys, two levels deep, that d lacks.
func intersect(d, h any) any {
	dm, ok := d.(map[string]any)
	hm, ok2 := h.(map[string]any)
	if !ok || !ok2 {
		return h
	}

	kept := map[string]any{}
	for k, v := range dm {
		if hv, ok := hm[k]; ok {
			kept[k] = intersect(v, hv)
		}
	}

	return kept
}

func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(slices.DeleteFunc(slices.Clone(v), isServiceAccountMount)) == 0
	default:
		return reflect.ValueOf(v).IsZero()
	}
}

// isServiceAccountMount is true for the mount that the ServiceAccount admission
// plugin adds to every container.
//
// Source: DefaultAPITokenMountPath, k8s.io/kubernetes v1.36.3
// plugin/pkg/admission/serviceaccount/admission.go.
func isServiceAccountMount(v any) bool {
	m, ok := v.(map[string]any)

	return ok && m["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
}

// filledIn tells whether a field that was not declared has a value that the API
// server gives it. Only fields whose default is not the zero value are listed.
//
// Source: k8s.io/kubernetes v1.36.3 pkg/apis/core/v1/defaults.go and
// zz_generated.defaults.go.
func filledIn(field string, v any) bool {
	switch field {
	case "imagePullPolicy", "pullPolicy", "resources":
		return true // these depend on the tag, and on LimitRanges
	}

	d, ok := map[string]any{
		"apiVersion":               "v1",
		"defaultMode":              int64(corev1.ConfigMapVolumeSourceDefaultMode),
		"divisor":                  "0",
		"expirationSeconds":        int64(3600),
		"failureThreshold":         int64(3),
		"path":                     "/",
		"periodSeconds":            int64(10),
		"procMount":                string(corev1.DefaultProcMount),
		"protocol":                 string(corev1.ProtocolTCP),
		"scheme":                   string(corev1.URISchemeHTTP),
		"successThreshold":         int64(1),
		"terminationMessagePath":   corev1.TerminationMessagePathDefault,
		"terminationMessagePolicy": string(corev1.TerminationMessageReadFile),
		"timeoutSeconds":           int64(1),
		"volumeMode":               string(corev1.PersistentVolumeFilesystem),
	}[field]

	return ok && v == d
}

// rawElement returns element i of a list, or nil.
func rawElement(list []jsontext.Value, i int) []byte {
	if i >= len(list) {
		return nil
	}

	return list[i]
}
