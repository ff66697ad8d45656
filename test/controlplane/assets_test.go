package controlplane_test

import (
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/controlplane"
)

func TestStartWithoutBinaries(t *testing.T) {
	cases := map[string]struct {
		reason string
		assets string
		want   string
	}{
		"NotSet": {
			reason: "The error says what to type to run the tests by hand.",
			want:   `export KUBEBUILDER_ASSETS="$(hack/controlplane/build)"`,
		},
		"Empty": {
			reason: "The binaries of envtest alone do not do: name the one that is missing.",
			assets: t.TempDir(),
			want:   "etcd: no such file or directory",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBEBUILDER_ASSETS", tc.assets)
			cp, err := controlplane.Start(t.Context(), controlplane.Options{})
			if err == nil {
				t.Fatal("it started", cp.Stop())
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\ngot error %q, want one with %q", tc.reason, err, tc.want)
			}
		})
	}
}
