package failures

import (
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

const (
	// gap is between two columns.
	gap = 3
	// leastText is how much of a message is shown on the narrowest terminal.
	leastText = 24
)

// table prints rows for people.
type table struct {
	w         io.Writer
	all, wide bool
	headed    bool
}

func (t *table) header() []string {
	h := []string{"LAST", "REASON", "OWNER", "INJECTION", "COUNT", "WITHOUT", "MESSAGE"}
	if t.all {
		h = append([]string{"NAMESPACE"}, h...)
	}

	if t.wide {
		h = append([]string{"FIRST"}, h...)
	}

	return h
}

// print prints rows, the first time with a header.
func (t *table) print(rows []*Row, now time.Time) error {
	if len(rows) == 0 {
		return nil
	}

	all := make([][]string, len(rows))
	for i, r := range rows {
		all[i] = t.cells(r, now)
	}

	if width := cli.Width(t.w); width > 0 && !t.wide {
		cut(all, t.header(), width)
	}

	header := t.header()
	if t.headed {
		header = nil
	}

	t.headed = true

	return cli.Table(t.w, header, all)
}

func (t *table) cells(r *Row, now time.Time) []string {
	count := "-"
	if r.Count > 0 {
		count = fmt.Sprint(r.Count)
	}

	c := []string{age(r.last(), now), r.Reason, r.Owner.String(), r.key().injection.String(), count, r.withoutText(), r.Text}
	if t.all {
		namespace := r.Namespace
		if namespace == "" {
			namespace = "-"
		}

		c = append([]string{namespace}, c...)
	}

	if t.wide {
		first := "-"
		if r.First != nil {
			first = age(r.First.Time, now)
		}

		c = append([]string{first}, c...)
	}

	return c
}

func (r *Row) withoutText() string {
	switch {
	case r.Refused:
		return "refused"
	case r.Without == nil && r.Count == 0: // an Injection itself
		return "-"
	case r.Without == nil:
		return "?"
	default:
		return fmt.Sprint(*r.Without)
	}
}

func age(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}

	return duration.HumanDuration(now.Sub(at))
}

// cut shortens messages, so that each row is one line of a terminal.
func cut(rows [][]string, header []string, width int) {
	last := len(header) - 1
	space := width

	for i := range last {
		widest := len(header[i])
		for _, row := range rows {
			widest = max(widest, utf8.RuneCountInString(row[i]))
		}

		space -= widest + gap
	}

	space = max(space, leastText)

	for _, row := range rows {
		if text := []rune(row[last]); len(text) > space {
			row[last] = string(text[:space-1]) + "…"
		}
	}
}
