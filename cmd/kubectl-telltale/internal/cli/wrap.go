package cli

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/printers"
)

// Width is how many columns a terminal has; 0 if it is none, so that lines in a file
// or a pipe stay whole.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !printers.IsTerminal(w) {
		return 0
	}

	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}

	return width
}

// Wrap breaks a text between words, so that each line has at most width columns, if
// its words let it. Lines after the first begin with indent, which counts. A width
// below 20 breaks nothing. Colours count as columns, so a line with some is shorter.
func Wrap(text string, width int, indent string) string {
	const narrow = 20
	if width < narrow || utf8.RuneCountInString(text) <= width {
		return text
	}

	var b strings.Builder

	column := 0

	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)

		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + indent)

			column = len(indent)
		default:
			b.WriteByte(' ')

			column++
		}

		b.WriteString(word)

		column += n
	}

	return b.String()
}
