package patches

import (
	"slices"
	"strings"
)

// glob is a text in which "*" stands for any characters, or none.
type glob string

// matches tells whether a text is one that the glob stands for.
func (g glob) matches(text string) bool {
	first, rest, hasStar := strings.Cut(string(g), "*")
	if !hasStar {
		return string(g) == text
	}

	text, ok := strings.CutPrefix(text, first)

	for ok {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}

		_, text, ok = strings.Cut(text, part)
		rest = next
	}

	return false
}

// covers tells whether the glob stands for all texts of another one: its stars stand for
// the other's stars, too.
func (g glob) covers(other glob) bool { return g.matches(string(other)) }

// matchesAny tells whether a text is one that one of some globs stands for.
func matchesAny(globs []glob, text string) bool {
	return slices.ContainsFunc(globs, func(g glob) bool { return g.matches(text) })
}
