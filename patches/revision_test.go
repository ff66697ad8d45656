package patches

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestRevisionGolden holds the revision of every Injection of the golden cases:
// pods that exist carry it, so no version of Telltale may change one.
func TestRevisionGolden(t *testing.T) {
	var got strings.Builder

	for _, dir := range goldenCases(t) {
		for _, bucket := range []string{"", "shop"} {
			b := readCase(t, dir).set.buckets[bucket]
			if b == nil {
				continue
			}

			for _, name := range slices.Sorted(maps.Keys(b.byName)) {
				fmt.Fprintf(&got, "%s %s@%s\n", filepath.Base(dir), b.byName[name], b.byName[name].Revision())
			}
		}
	}

	const golden = "testdata/revisions.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}

	// Cases may be added at any place.
	for line := range strings.Lines(string(want)) {
		if !strings.Contains(got.String(), line) {
			t.Errorf("this revision is another one now: %s", line)
		}
	}

	if n := strings.Count(got.String(), "\n"); n != strings.Count(string(want), "\n") {
		t.Errorf("%d revisions; -update adds new ones to %s", n, golden)
	}
}

func TestRevision(t *testing.T) {
	const spec = `{selector: {matchLabels: {app: a}}, env: [{name: A, value: a}], initContainers: [{name: i, image: x}]}`

	of := func(t *testing.T, spec string) string {
		t.Helper()

		in := v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}}
		decode(t, []byte(spec), &in.Spec, true)

		return Compile(&in).Revision()
	}

	cases := map[string]struct {
		reason, spec string
		same         bool
	}{
		"OtherSelector": {"It adds the same to others.", `{selector: {}, env: [{name: A, value: a}], initContainers: [{name: i, image: x}]}`, true},
		"Defaults": {
			"The API server has written down the defaults.",
			`{selector: {}, order: 0, containers: {}, onConflict: Skip, onFailure: Admit, placement: {env: First, initContainers: First},
				env: [{name: A, value: a}], initContainers: [{name: i, image: x, resources: {}}]}`, true,
		},
		"OrderAndDeny": {"It adds the same, at another time, or refuses.", `{selector: {}, order: 7, onFailure: Deny, env: [{name: A, value: a}], initContainers: [{name: i, image: x}]}`, true},
		"OtherValue":   {"It adds something else.", `{selector: {}, env: [{name: A, value: b}], initContainers: [{name: i, image: x}]}`, false},
		"OtherPlace":   {"It adds it elsewhere.", `{selector: {}, placement: {env: Last}, env: [{name: A, value: a}], initContainers: [{name: i, image: x}]}`, false},
		"EmptyLabel":   {"A label without a value is one.", `{selector: {}, labels: {canary: ""}, env: [{name: A, value: a}], initContainers: [{name: i, image: x}]}`, false},
		"EmptyValue":   {"An env var without a value is an empty one.", `{selector: {}, env: [{name: A, value: a, valueFrom: null}], labels: {}, initContainers: [{name: i, image: x, command: []}]}`, true},
		"Fewer":        {"It reaches fewer containers.", `{selector: {}, containers: {include: [a]}, env: [{name: A, value: a}], initContainers: [{name: i, image: x}]}`, false},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := of(t, c.spec) == of(t, spec); got != c.same {
				t.Errorf("%s same: %v", c.reason, got)
			}
		})
	}

	claim := func(class string) string {
		return of(t, fmt.Sprintf(`{selector: {}, volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {%s resources: {requests: {storage: 1Gi}}}}}}]}`, class))
	}
	if claim("") == claim(`storageClassName: "",`) {
		t.Error("No storage class is another thing than the default one")
	}

	if diff := cmp.Diff(8, len(of(t, spec))); diff != "" {
		t.Error(diff)
	}
}
