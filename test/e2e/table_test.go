//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// row is the result of a test.
type row struct {
	what, must      string
	created, missed int // pods
	notes           []string
	took            time.Duration
	held, skipped   bool
}

// rows is the table so far. Tests run one after the other.
type rows []*row

var table rows

// begin starts the row of a test.
func begin(t *testing.T, what, must string) *row {
	t.Helper()
	r := &row{what: what, must: must}
	table = append(table, r)
	start := time.Now()
	t.Cleanup(func() {
		r.took, r.held, r.skipped = time.Since(start), !t.Failed(), t.Skipped()
		t.Log(r)
	})

	return r
}

// note adds a figure to the row.
func (r *row) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// skip ends a test that can't be done here.
func (r *row) skip(t *testing.T, why string) {
	t.Helper()
	r.note("not tested: %s", why)
	t.Skip(why)
}

// String is the row in Markdown.
func (r *row) String() string {
	verdict := "BROKEN"
	if r.held {
		verdict = "held"
	}
	if r.skipped {
		verdict = "-"
	}
	if len(r.notes) > 0 {
		verdict += ": " + strings.Join(r.notes, ", ")
	}

	return fmt.Sprintf("| %s\t| %s\t| %d\t| %d\t| %.0f s\t| %s\t|", r.what, r.must, r.created, r.missed, r.took.Seconds(), verdict)
}

func (t rows) print(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "| what happens\t| must hold\t| pods created\t| not injected\t| took\t| verdict\t|")
	fmt.Fprintln(out, "| ---\t| ---\t| ---:\t| ---:\t| ---:\t| ---\t|")
	for _, r := range t {
		fmt.Fprintln(out, r)
	}
	_ = out.Flush() // to a terminal
}
