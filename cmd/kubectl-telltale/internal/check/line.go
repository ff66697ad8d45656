package check

import (
	"fmt"
	"io"
	"strings"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

// Status is the outcome of one check.
type Status string

// The statuses, from good to bad.
const (
	// Good: all is as it should be.
	Good Status = "ok"
	// Warning: it works, and could be better.
	Warning Status = "warning"
	// Unknown: it could not be told, mostly for lack of a right.
	Unknown Status = "unknown"
	// Bad: pods start without their Injections, or failures are not shown.
	Bad Status = "failed"
)

// Line is the outcome of one check.
type Line struct {
	Section string `json:"section"`
	// Check is a sentence that is true if the status is ok.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Why says what is otherwise, and Cure what to do. Link explains it.
	Why  string `json:"why,omitempty"`
	Cure string `json:"cure,omitempty"`
	Link string `json:"link,omitempty"`
}

// guide is where links lead.
const guide = "https://github.com/telltale-dev/telltale/blob/main/docs/"

// section makes lines.
type section struct {
	name  string
	lines *[]Line
}

func (s section) add(check string, status Status, why, cure, page string) {
	l := Line{Section: s.name, Check: check, Status: status, Why: why}
	if status != Good {
		l.Cure, l.Link = cure, guide+page
	}

	*s.lines = append(*s.lines, l)
}

func (s section) good(check, detail string) { s.add(check, Good, detail, "", "") }

// unread is for something that could not be read.
func (s section) unread(check string, err error) {
	s.add(check, Unknown, "could not tell: "+oneLine(err), "Ask a cluster administrator to run this command", "operate.md#an-injection-is-missing")
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// show prints lines for people, section by section.
func show(w io.Writer, lines []Line, style cli.Style) {
	before := ""

	for _, l := range lines {
		if l.Section != before {
			if before != "" {
				fmt.Fprintln(w)
			}

			fmt.Fprintf(w, "%s\n%s\n", style.Strong(l.Section), strings.Repeat("-", len(l.Section)))
			before = l.Section
		}

		fmt.Fprintf(w, "%s %s%s\n", l.mark(style), l.Check, l.detail())

		if l.Status != Good {
			fmt.Fprintf(w, "    %s\n    %s. See %s\n", l.Why, strings.TrimSuffix(l.Cure, "."), l.Link)
		}
	}
}

func (l *Line) detail() string {
	if l.Status == Good && l.Why != "" {
		return " (" + l.Why + ")"
	}

	return ""
}

func (l *Line) mark(style cli.Style) string {
	switch l.Status {
	case Good:
		return style.Good("✓")
	case Warning:
		return style.Doubt("‼")
	case Unknown:
		return style.Doubt("?")
	default:
		return style.Bad("×")
	}
}

// verdict is the exit code of lines.
func verdict(lines []Line) error {
	worst := Good

	for _, l := range lines {
		if l.Status == Bad || l.Status == Unknown && worst != Bad {
			worst = l.Status
		}
	}

	switch worst {
	case Bad:
		return cli.Finding("")
	case Unknown:
		return cli.Unknown("")
	default:
		return nil
	}
}
