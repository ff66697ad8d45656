// Package oneline makes text fit where only one line is shown: in an event, a
// status, a warning or a log.
//
// Text that quotes a pod or an API server may hold anything. All text that this
// package returns is valid UTF-8, without line breaks and without characters
// that change the state of a terminal. A second pass changes nothing (FuzzOf,
// FuzzCut).
package oneline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ellipsis ends a text that was cut.
const ellipsis = "…"

// Of returns s as one line: a space for each control character and for each
// line separator of Unicode, and U+FFFD for bytes that are not UTF-8. If s has
// none of these, Of returns s itself, and nothing is allocated.
func Of(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}

		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// Cut returns s as one line of at most n bytes. A longer one is cut at a rune
// and ends in "…", if n leaves space for that.
func Cut(s string, n int) string {
	s, n = Of(s), max(n, 0)
	if len(s) <= n {
		return s
	}

	end, mark := n-len(ellipsis), ellipsis
	if end < 0 {
		end, mark = n, ""
	}

	for !utf8.RuneStart(s[end]) {
		end--
	}

	return s[:end] + mark
}
