package explain

import (
	"errors"
	"testing"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches"
)

// TestDoubts: a field that the plugin does not know decides only if the API server may
// know it; and it is never passed over.
func TestDoubts(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		release release
		want    int
		decides bool
	}{
		"Misspelt": {"No version has it: the API server drops it.", release{program: 36, emulated: 36}, 1, false},
		"Newer":    {"The API server may have it.", release{program: patches.Newest() + 1, emulated: 36}, 1, true},
		"Stored":   {"The API server has it.", release{stored: true}, 1, true},
		"Unread":   {"The version that could not be read is a doubt of its own.", release{err: errors.New("away")}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.release.doubts(&verdict.Subject{Unknown: []string{"spec.oops"}}, verdict.Pod{})
			if len(got) != tc.want || tc.want == 1 && (got[0].What != "spec.oops" || got[0].Decides != tc.decides) {
				t.Errorf("%s got %+v", tc.reason, got)
			}
		})
	}
}
