package house

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPlainEnglish keeps comments easy to read for people that did not grow up
// with English. At most 2 in 1,000 words are on a list, which hack/measure has
// too. No sentence begins with What, Who, Whoever or That.
func TestPlainEnglish(t *testing.T) {
	unclear := regexp.MustCompile(`(?i)\b(who|whoever|whose|nobody|of which|of whom|what is|that which|lest)\b`)
	start := badStart()

	var (
		words int
		found []string
	)

	for _, file := range goFiles(t) {
		if strings.HasPrefix(filepath.Base(file), "zz_generated") {
			continue
		}

		for line, text := range comments(t, file) {
			words += len(strings.Fields(text))

			for _, word := range unclear.FindAllString(text, -1) {
				found = append(found, fmt.Sprintf("%s:%d: %s", file, line, word))
			}

			for _, sentence := range start.FindAllStringSubmatch(text, -1) {
				t.Errorf("%s:%d: a sentence begins with %q", file, line, sentence[1])
			}
		}
	}

	if words < 10_000 || 1000*len(found) > 2*words {
		slices.Sort(found)
		t.Errorf("%d of %d words in comments are unclear, and at most 2 in 1,000 may be:\n%s", len(found), words, strings.Join(found, "\n"))
	}
}

// badStart finds a sentence that begins with one of four words.
func badStart() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|\n\n|[.!?] +)(?:[-*] +)?(?:\*\*)?((?:What|Who|Whoever|That)\b[^.?\n]*[.?]?)`)
}

// TestPlainDocs holds the documents to the same rule. A heading may ask a question,
// and so may a paragraph.
func TestPlainDocs(t *testing.T) {
	code, wrapped := regexp.MustCompile("(?ms)^ *```.*?\n *```"), regexp.MustCompile(`([^\n])\n +([^ \n*-])|([^\n])\n([^\n*#|>-])`)
	texts := 0

	for _, folder := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, folder))
		if err != nil {
			t.Fatal(err)
		}

		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}

			texts++
			plain := strings.ReplaceAll(wrapped.ReplaceAllString(code.ReplaceAllString(string(text), ""), "$1$3 $2$4"), "\n", "\n\n")

			for _, sentence := range badStart().FindAllStringSubmatch(plain, -1) {
				if !strings.HasSuffix(sentence[1], "?") {
					t.Errorf("%s: a sentence begins with %q", file, sentence[1])
				}
			}
		}
	}

	if texts < 20 {
		t.Errorf("only %d documents were read", texts)
	}
}

// comments returns a file's comments, by the line that each begins on. Each
// paragraph is one line, and code blocks are left out.
func comments(t *testing.T, file string) map[int]string {
	t.Helper()

	set := token.NewFileSet()

	parsed, err := parser.ParseFile(set, filepath.Join(root, file), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}

	code, wrapped := regexp.MustCompile(`(?m)^\t.*$`), regexp.MustCompile(`([^\n])\n([^\n])`)
	found := map[int]string{}

	for _, group := range parsed.Comments {
		text := wrapped.ReplaceAllString(code.ReplaceAllString(group.Text(), "\n"), "$1 $2")
		found[set.Position(group.Pos()).Line] = text
	}

	return found
}
