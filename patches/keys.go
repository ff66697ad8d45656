package patches

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Keys returns the keys of a ConfigMap or a Secret, by the fields that the API server
// says somebody manages: metadata has no other trace of them. They are not told if
// nobody manages any, as of an object without data, or one whose managedFields were
// cleared (objects.TestKeysOnServer).
//
// Source: FieldsV1 (https://kubernetes.io/docs/reference/using-api/server-side-apply/):
// a key "k" of data is {"f:data":{"f:k":{}}}.
func Keys(by []metav1.ManagedFieldsEntry) (keys map[string]bool, told bool) {
	keys = map[string]bool{}

	for i := range by {
		if by[i].FieldsV1 == nil {
			continue
		}

		var fields struct {
			Data       map[string]json.RawMessage `json:"f:data"`
			BinaryData map[string]json.RawMessage `json:"f:binaryData"`
			StringData map[string]json.RawMessage `json:"f:stringData"` // of a Secret that was applied
		}

		if json.Unmarshal(by[i].FieldsV1.GetRawBytes(), &fields) != nil {
			return nil, false // a later form of it
		}

		for _, of := range []map[string]json.RawMessage{fields.Data, fields.BinaryData, fields.StringData} {
			told = told || of != nil

			for field := range of {
				if key, ok := strings.CutPrefix(field, "f:"); ok {
					keys[key] = true
				}
			}
		}
	}

	return keys, told
}
