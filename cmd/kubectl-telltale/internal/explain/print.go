package explain

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
)

// printer writes a report for people.
type printer struct {
	io.Writer
	cli.Style

	width int
	diff  bool
}

// line prints a line that begins with a mark; what does not fit goes on below.
func (p *printer) line(indent, format string, args ...any) {
	fmt.Fprintln(p, indent+cli.Wrap(fmt.Sprintf(format, args...), p.width-len(indent), strings.Repeat(" ", len(indent)+2)))
}

func (p *printer) report(r *Report) {
	fmt.Fprintln(p, p.Strong(fmt.Sprintf("%s/%s in namespace %s", strings.ToLower(r.Kind), r.Name, r.Namespace)))

	p.injections(r)
	p.existing(r)
	p.events(r)
	p.registration(r)
	p.calls(r)
	p.server(r)
	p.unread(r)

	if p.diff {
		p.difference(r)
	}
}

func (p *printer) injections(r *Report) {
	if r.NotAsked != "" {
		p.line("", "%s Telltale is not asked about this pod: %s", p.Doubt("-"), r.NotAsked)
	}

	if r.Denied != "" {
		p.line("", "%s The pod would be refused: %s", p.Bad("×"), r.Denied)
	}

	for _, in := range r.Injections {
		p.line("  ", "%s", p.verdict(in)+perhaps("; existing pods: ", counts(in.Name, r.Pods)))

		if in.NotReady != "" && in.Outcome != verdict.NotSelected && in.Outcome != verdict.Previewed {
			p.line("    ", "not in force: %s", in.NotReady)
		}
	}

	if len(r.Injections) == 0 {
		fmt.Fprintln(p, "  There are no Injections that can reach this namespace, as far as could be read.")
	}
}

// verdict is the line of an Injection.
func (p *printer) verdict(in Injection) string {
	name := in.Name + "@" + in.Revision

	switch in.Outcome {
	case verdict.Injected:
		return p.Good("✓") + " " + name + ": the pod gets it"
	case verdict.NotSelected:
		return "- " + in.Name + ": not selected: " + in.Text
	case verdict.Previewed:
		return "- " + name + ": " + in.Text
	case verdict.Unknown:
		return p.Doubt("?") + " " + in.Name + ": could not tell: " + in.Text
	case verdict.NotAsked:
		return p.Doubt("-") + " " + name + ": it selects the pod, and Telltale is not asked"
	case verdict.Stopped:
		return p.Bad("×") + " " + name + ": stopped: " + in.Text
	default:
		return p.Bad("×") + " " + name + perhaps(": ", in.Reason) + perhaps(": ", in.Text)
	}
}

func perhaps(before, text string) string {
	if text == "" {
		return ""
	}

	return before + text
}

func (p *printer) existing(r *Report) {
	for _, e := range r.Pods {
		var bad []string

		for _, s := range e.States {
			if s.State != "Injected" {
				bad = append(bad, s.Injection+" "+s.State+perhaps(": ", s.Text))
			}
		}

		record := strings.Fields(perhaps("injected=", e.Injected) + perhaps(" failed=", e.Failed) + perhaps(" previewed=", e.Previewed))
		if len(record) == 0 {
			record = []string{"no record"}
		}

		switch {
		case len(bad) > 0:
			p.line("", "%s Pod %s (%s): %s", p.Doubt("‼"), e.Name, strings.Join(record, ", "), strings.Join(bad, "; "))
		case len(r.Pods) == 1:
			p.line("", "%s Pod %s: %s", p.Good("✓"), e.Name, strings.Join(record, ", "))
		}
	}
}

func (p *printer) events(r *Report) {
	for _, e := range r.Events {
		p.line("", "Event %s %s (x%d, last %s): %s", e.Type, e.Reason, e.Count, e.Last.UTC().Format(time.RFC3339), e.Message)
	}
}

func (p *printer) registration(r *Report) {
	g := r.Registration

	switch {
	case !g.Known:
		p.line("", "%s Could not tell whether the API server is to ask Telltale.", p.Doubt("?"))
	case g.Found:
		text := g.To + ", failurePolicy " + g.FailurePolicy
		if g.Endpoints != nil {
			text += fmt.Sprintf(", %d ready endpoints", *g.Endpoints)
		}

		if g.Until != nil {
			text += ", caBundle valid until " + g.Until.UTC().Format(time.DateOnly)
		}

		if g.Conditional {
			text += ", with match conditions, which were not evaluated"
		}

		p.line("", "Registered: %s", text)
	}

	for _, f := range g.Faults {
		p.line("", "%s %s", p.Bad("×"), f)
	}
}

func (p *printer) calls(r *Report) {
	for i, c := range r.Calls {
		conditional := ""
		if c.Conditional {
			conditional = ", on conditions"
		}

		if i == 0 {
			fmt.Fprintln(p, "Asked about this pod, in this order:")
		}

		p.line("  ", "%d. %s %s%s (%s%s)", i+1, c.Kind, c.Name, perhaps(" ", c.Webhook), c.Policy, conditional)
	}

	p.line("", "There may be other webhooks and policies, which the API does not show: those that are in files of the API server.")
}

func (p *printer) server(r *Report) {
	s := r.Server

	switch {
	case s == nil:
	case s.Refused != "":
		p.line("", "%s The API server refuses the pod in a dry run: %s", p.Bad("×"), s.Refused)
	case len(s.Differs) > 0:
		for _, d := range s.Differs {
			p.line("", "%s In a dry run, the API server's answer differs: %s", p.Bad("×"), d)
		}
	default:
		p.line("", "%s A dry run of the API server gave the same.", p.Good("✓"))
	}
}

func (p *printer) unread(r *Report) {
	for _, u := range r.Unread {
		mark := "-"
		if u.Decides {
			mark = p.Doubt("?")
		}

		p.line("", "%s Could not read %s: %s", mark, u.What, u.Why)
	}
}

// difference prints the pod that would be, beside the pod as it arrives.
func (p *printer) difference(r *Report) {
	before, err := yaml.JSONToYAML(r.before)
	if err != nil {
		return
	}

	after, err := yaml.JSONToYAML(r.after)
	if err != nil {
		return
	}

	for line := range strings.Lines(cli.Diff(before, after, "before", "after")) {
		line = strings.TrimSuffix(line, "\n")

		switch {
		case strings.HasPrefix(line, "+"):
			line = p.Good(line)
		case strings.HasPrefix(line, "-"):
			line = p.Bad(line)
		}

		fmt.Fprintln(p, line)
	}
}
