package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// Output is the flag --output of a command.
type Output struct {
	// Format is "" for people, or one of the formats.
	Format  string
	formats []string
}

// AddOutput adds --output with formats besides that for people: json and yaml,
// and those given (wide, name).
func AddOutput(c *cobra.Command, more ...string) *Output {
	out := &Output{formats: append([]string{"json", "yaml"}, more...)}
	c.Flags().VarP(out, "output", "o", "Output format: "+strings.Join(out.formats, ", "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(out.formats, cobra.ShellCompDirectiveNoFileComp))

	return out
}

// String returns the format.
func (f *Output) String() string { return f.Format }

// Type is a word for the help.
func (f *Output) Type() string { return "format" }

// Set takes a format.
func (f *Output) Set(format string) error {
	if slices.Contains(f.formats, format) {
		f.Format = format

		return nil
	}

	return fmt.Errorf("it must be one of: %s", strings.Join(f.formats, ", "))
}

// Machine reports whether the format is for programs.
func (f *Output) Machine() bool { return f.Format == "json" || f.Format == "yaml" }

// Write prints a value as JSON or YAML. The value's json tags name its fields.
func (f *Output) Write(w io.Writer, v any) error {
	var b bytes.Buffer

	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // a patch is printed as it is
	encoder.SetIndent("", "  ")

	err := encoder.Encode(v)
	if err != nil {
		return fmt.Errorf("cannot print %T: %w", v, err)
	}

	text := b.Bytes()

	if f.Format == "yaml" {
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("cannot print %T: %w", v, err)
		}
	}

	_, err = w.Write(text)

	return err
}

// Table prints rows aligned as kubectl does. Cells must not have tabs, newlines
// or colours.
func Table(w io.Writer, header []string, rows [][]string) error {
	tab := printers.GetNewTabWriter(w)
	for _, row := range append([][]string{header}, rows...) {
		if len(row) > 0 {
			fmt.Fprintln(tab, strings.Join(row, "\t"))
		}
	}

	return tab.Flush()
}

// Style colours text on a terminal, and leaves it alone elsewhere.
type Style struct{ colour bool }

// StyleOf returns the style for a stream: colours only on a terminal, and not if
// NO_COLOR is set (no-color.org) or TERM is dumb.
func StyleOf(w io.Writer) Style {
	return Style{colour: printers.IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Good is green.
func (s Style) Good(text string) string { return s.paint("32", text) }

// Bad is red.
func (s Style) Bad(text string) string { return s.paint("31", text) }

// Doubt is yellow.
func (s Style) Doubt(text string) string { return s.paint("33", text) }

// Strong is bold.
func (s Style) Strong(text string) string { return s.paint("1", text) }

func (s Style) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}

	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
