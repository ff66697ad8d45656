package audit

import "testing"

func TestRefusalIn(t *testing.T) {
	cases := map[string]struct {
		reason, message, words string
		kind                   kindOfRefusal
	}{
		"Policy": {
			"A 422 of a ValidatingAdmissionPolicy.",
			`Error creating: pods "x-abcde" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no`,
			`pods "x-abcde" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no`, lastingRefusal,
		},
		"Invalid":          {"A 422 of validation.", `Error creating: Pod "x" is invalid: spec.x: Invalid value`, `Pod "x" is invalid: spec.x: Invalid value`, lastingRefusal},
		"Webhook":          {"Another webhook.", `Error creating: admission webhook "k.io" denied the request: no`, `admission webhook "k.io" denied the request: no`, lastingRefusal},
		"StatefulSet":      {"Other words around it.", `Create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: no`, `pods "web-0" is forbidden: no`, lastingRefusal},
		"StatefulSetOf134": {"Until v1.34 it is written small.", `create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: no`, `pods "web-0" is forbidden: no`, lastingRefusal},
		"Combined": {
			"A sender of events combines the eleventh and later ones.",
			`(combined from similar events): Error creating: pods "x-abcde" is forbidden: no`, `pods "x-abcde" is forbidden: no`, lastingRefusal,
		},
		"Claim": {
			"Not a pod.", `create Claim d-web-0 for Pod web-0 in StatefulSet web failed error: persistentvolumeclaims "d" is forbidden: no`,
			`create Claim d-web-0 for Pod web-0 in StatefulSet web failed error: persistentvolumeclaims "d" is forbidden: no`, otherRefusal,
		},
		"Quota":          {"It may be free at the next try.", `Error creating: pods "x" is forbidden: exceeded quota: q`, `pods "x" is forbidden: exceeded quota: q`, passingRefusal},
		"ServiceAccount": {"It may be made soon.", `Error creating: pods "x" is forbidden: error looking up service account a/b: not found`, `pods "x" is forbidden: error looking up service account a/b: not found`, passingRefusal},
		"Terminating":    {"The namespace ends.", `Error creating: pods "x" is forbidden: unable to create new content in namespace a because it is being terminated`, `pods "x" is forbidden: unable to create new content in namespace a because it is being terminated`, otherRefusal},
		"Away":           {"Another webhook is away.", `Error creating: Internal error occurred: failed calling webhook "x": timeout`, `Internal error occurred: failed calling webhook "x": timeout`, otherRefusal},
		"Timeout":        {"The API server is slow.", `Error creating: Timeout: request did not complete`, `Timeout: request did not complete`, otherRefusal},
		"Other":          {"Of another controller.", `Error creating job: no`, `Error creating job: no`, otherRefusal},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			words, kind := refusalIn(tc.message)
			if words != tc.words || kind != tc.kind {
				t.Errorf("%s\ngot  %d %s\nwant %d %s", tc.reason, kind, words, tc.kind, tc.words)
			}
		})
	}
}
