package apiserver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it
	corev1 "k8s.io/api/core/v1"
)

const podJSON = `{"metadata":{"labels":{"app":"a"},"annotations":{"old":"1"}},"spec":{
	"containers":[{"name":"app","env":[{"name":"A","value":"a"},{"name":"B"}]},{"name":"side"}],
	"initContainers":[{"name":"init","volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"v","emptyDir":{}}]}}`

func decodePod(t *testing.T, b []byte) *corev1.Pod {
	t.Helper()

	var pod corev1.Pod
	if err := json.Unmarshal(b, &pod); err != nil {
		t.Fatal(err)
	}

	return &pod
}

// TestApply holds Apply against the library that an API server uses: the same
// patch gives the same pod.
func TestApply(t *testing.T) {
	cases := map[string]struct{ reason, patch string }{
		"Nothing":       {"An empty patch changes nothing.", `[]`},
		"WholeList":     {"A list that is not there is added whole.", `[{"op":"add","path":"/spec/imagePullSecrets","value":[{"name":"x"}]}]`},
		"OverList":      {"A list that is there is replaced whole.", `[{"op":"add","path":"/spec/volumes","value":[{"name":"w"}]}]`},
		"First":         {"All others move up.", `[{"op":"add","path":"/spec/containers/0/env/0","value":{"name":"Z","value":"z"}}]`},
		"Middle":        {"Only those behind it move up.", `[{"op":"add","path":"/spec/containers/0/env/1","value":{"name":"Z"}}]`},
		"Last":          {"A place behind the last is one.", `[{"op":"add","path":"/spec/containers/0/env/2","value":{"name":"Z"}}]`},
		"Replace":       {"Nothing of the old element is left.", `[{"op":"replace","path":"/spec/volumes/0","value":{"name":"v","secret":{"secretName":"s"}}}]`},
		"Two":           {"The second sees what the first did.", `[{"op":"add","path":"/spec/initContainers/0","value":{"name":"y"}},{"op":"add","path":"/spec/initContainers/1","value":{"name":"z"}}]`},
		"InContainer":   {"The other container stays.", `[{"op":"add","path":"/spec/containers/1/env","value":[{"name":"Z"}]}]`},
		"Key":           {"A key of a map, escaped.", `[{"op":"add","path":"/metadata/annotations/a~1b","value":"c"}]`},
		"ReplaceKey":    {"A key that is there.", `[{"op":"replace","path":"/metadata/labels/app","value":"b"}]`},
		"RemoveKey":     {"A key that goes.", `[{"op":"remove","path":"/metadata/annotations/old"}]`},
		"MapIsReplaced": {"No key of the old map is left.", `[{"op":"add","path":"/metadata/labels","value":{"x":"y"}}]`},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			patch, err := jsonpatch.DecodePatch([]byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}

			patched, err := patch.Apply([]byte(podJSON))
			if err != nil {
				t.Fatal(err)
			}

			pod := decodePod(t, []byte(podJSON))
			if err := Apply(pod, []byte(c.patch)); err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(decodePod(t, patched), pod); diff != "" {
				t.Errorf("%s -want +got\n%s", c.reason, diff)
			}
		})
	}
}

// TestApplyErrors: a patch that does not fit is an error that names the place,
// and no value.
func TestApplyErrors(t *testing.T) {
	for name, patch := range map[string]string{
		"NoPatch":   `{"s3cr3t":1}`,
		"NoElement": `[{"op":"add","path":"/spec/containers/7/env","value":[]}]`,
		"NoPlace":   `[{"op":"add","path":"/spec/volumes/2","value":{"name":"s3cr3t"}}]`,
		"NoIndex":   `[{"op":"replace","path":"/spec/volumes/x","value":{"name":"s3cr3t"}}]`,
		"NoField":   `[{"op":"add","path":"/spec/newField","value":"s3cr3t"}]`,
		"BadValue":  `[{"op":"add","path":"/spec/volumes","value":"s3cr3t"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			err := Apply(decodePod(t, []byte(podJSON)), []byte(patch))
			if err == nil || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("got %v", err)
			}
		})
	}
}
