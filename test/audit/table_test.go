//go:build audit

package audit

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// row is the result of a scenario.
type row struct {
	title, must string
	notes       []string
	took        time.Duration
	held        bool
}

// table is the rows so far. The tests run one after the other.
var table rows

type rows []*row

// begin begins the row of a test.
func begin(t *testing.T, title, must string) *row {
	t.Helper()
	r := &row{title: title, must: must}
	table = append(table, r)
	start := time.Now()
	t.Cleanup(func() { r.took, r.held = time.Since(start), !t.Failed() })

	return r
}

// note adds a figure.
func (r *row) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// print prints the results as Markdown.
func (t rows) print(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "| scenario\t| must hold\t| took\t| verdict\t|")
	fmt.Fprintln(out, "| ---\t| ---\t| ---:\t| ---\t|")
	for _, r := range t {
		verdict := "held"
		if !r.held {
			verdict = "BROKEN"
		}
		fmt.Fprintf(out, "| %s\t| %s\t| %d s\t| %s: %s\t|\n", r.title, r.must, int(r.took.Seconds()), verdict, strings.Join(r.notes, ", "))
	}
	_ = out.Flush() // to a terminal
}
