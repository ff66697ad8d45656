package explain

import (
	"bytes"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
)

// TestVerdict holds the lines of Injections on a pod that is refused: one of them
// failed, and the other would have been applied.
func TestVerdict(t *testing.T) {
	var out bytes.Buffer

	p := printer{Writer: &out, width: 200}
	p.injections(&Report{Injections: []Injection{
		{Name: "deny", Revision: "1", Outcome: verdict.Denied, Reason: "InjectionConflict", Text: "it clashes"},
		{Name: "other", Revision: "2", Outcome: verdict.Denied, Text: "the pod is refused: it clashes"},
	}})

	for _, line := range []string{"  × deny@1: InjectionConflict: it clashes\n", "  × other@2: the pod is refused: it clashes\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}
