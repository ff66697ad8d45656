package trial

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestVersions holds the table against docs/install.md, which real API servers were
// held against (telltale.TestServerDrops).
func TestVersions(t *testing.T) {
	docs, err := os.ReadFile("../../../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}

	rows := 0

	for line := range strings.Lines(string(docs)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2+newest-oldest+1 {
			continue
		}

		field := strings.ReplaceAll(strings.TrimSpace(cells[0]), "`", "")

		first, known := since()[field]
		if !known {
			if strings.Contains(line, "dropped") {
				t.Errorf("docs/install.md has %s, and --kubernetes-version does not", field)
			}

			continue
		}

		rows++

		for minor := oldest; minor <= newest; minor++ {
			if taken := strings.TrimSpace(cells[2+minor-oldest]) == "taken"; taken != (minor >= first) {
				t.Errorf("%s, 1.%d: docs/install.md says taken: %t", field, minor, taken)
			}
		}
	}

	if rows != len(since()) {
		t.Errorf("docs/install.md has %d of the %d fields", rows, len(since()))
	}
}

// TestRefusal: the field is named where the Injection has it.
func TestRefusal(t *testing.T) {
	s := &v1alpha1.InjectionSpec{InitContainers: []corev1.Container{{}, {
		Env:           []corev1.EnvVar{{}, {ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{}}}},
		LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Protocol: new(corev1.HTTPProtocol)}}},
	}}}

	for minor, want := range map[int]string{
		34: "spec.initContainers[1].env[1].valueFrom.fileKeyRef: Kubernetes 1.34 does not take it",
		37: "spec.initContainers[1].livenessProbe.httpGet.protocol: Kubernetes 1.37 does not take it",
	} {
		if got := refusal(s, minor); got != want {
			t.Errorf("1.%d: got %q, want %q", minor, got, want)
		}
	}
}
