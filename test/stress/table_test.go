//go:build apiserver

package stress

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// row is the result of a scenario.
type row struct {
	test, title, must                    string
	failures, shown, pending, unreported int64
	endedShown                           int64 // of those shown: on deleted events
	writes                               int
	peak                                 int64 // bytes
	took                                 time.Duration
	notes                                []string
	held                                 bool
}

// String is the row in Markdown, with tabs at the ends of its cells.
func (r row) String() string {
	const mib = 1 << 20
	peak := "–"
	if r.peak > 0 {
		peak = fmt.Sprintf("%d MiB", r.peak/mib)
	}
	verdict := "held"
	if !r.held {
		verdict = "BROKEN"
	}
	if len(r.notes) > 0 {
		verdict += ": " + strings.Join(r.notes, ", ")
	}

	return fmt.Sprintf("| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %s\t| %d s\t| %s\t| %s\t|", r.title,
		r.failures, r.shown, r.pending, r.unreported, r.writes, peak, int(r.took.Seconds()), r.must, verdict)
}

// table is the rows so far.
var table rows

type rows struct {
	mu   sync.Mutex
	rows []row
}

func (t *rows) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// order is that of the table.
func order() []string {
	return []string{
		"TestStorm", "TestRecorders", "TestRollout", "TestManyDeployments", "TestBound", "TestRecords", "TestSums", "TestExporters",
		"TestAPIServerStopped", "TestAPIServerKilled", "TestAPIServerGoneAtStart", "TestCABundleForbidden",
		"TestRefusedWrites", "TestEventRateLimit", "TestEventsForbidden",
		"TestReplicas", "TestReplicasRestarted", "TestTerminated", "TestKilled",
		"TestEventDeleted", "TestEventExpired", "TestNamespaceDeleted", "TestCeiling", "TestRecreated",
		"TestForged", "TestOwnerUnresolvable", "TestOverload", "TestHostile",
		"TestManyOwnersRefused", "TestNotOurs", "TestAtSize", "TestSoak",
	}
}

// place is where a row stands in the table.
func (r row) place() int {
	test, _, _ := strings.Cut(r.test, "/")

	return slices.Index(order(), test)
}

// print prints the results of the scenarios, as Markdown.
func (t *rows) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortFunc(t.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.place(), b.place()), cmp.Compare(a.test, b.test))
	})
	out := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "| scenario\t| failures\t| shown on events\t| pending\t| unreported\t| API writes\t| peak memory\t| took\t| must hold\t| verdict\t|")
	fmt.Fprintln(out, "| ---\t| ---:\t| ---:\t| ---:\t| ---:\t| ---:\t| ---:\t| ---:\t| ---\t| ---\t|")
	for _, r := range t.rows {
		fmt.Fprintln(out, r)
	}
	_ = out.Flush() // to a terminal
}
