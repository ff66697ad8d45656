package house

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPlainHashes holds the comments of scripts, manifests and the like to the same
// rule: no sentence begins with What, Who, Whoever or That.
func TestPlainHashes(t *testing.T) {
	start, texts := badStart(), 0

	for _, file := range hashFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		texts++

		for _, comment := range hashComments(string(text)) {
			for _, sentence := range start.FindAllStringSubmatch(comment, -1) {
				t.Errorf("%s: a sentence begins with %q", file, sentence[1])
			}
		}
	}

	if texts < 200 {
		t.Errorf("only %d files were read", texts)
	}
}

// hashFiles are the files of this tree with comments that begin with a hash.
func hashFiles(t *testing.T) (files []string) {
	t.Helper()

	named := []string{"Makefile", "Dockerfile", "PROJECT", ".dockerignore", ".gitignore", ".golangci.yml"}

	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "dist"}, d.Name()):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		case slices.Contains(named, d.Name()) || filepath.Ext(path) == ".yaml" || filepath.Ext(path) == "" && isScript(path):
			files = append(files, path)
		}

		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	return files
}

func isScript(file string) bool {
	text, err := os.ReadFile(file)

	return err == nil && bytes.HasPrefix(text, []byte("#!"))
}

// hashComments returns the comments of a text. Lines that follow one another are one.
func hashComments(text string) (all []string) {
	var (
		comment  = regexp.MustCompile(`^\s*#+ ?(.*)$`)
		previous bool
	)

	for line := range strings.SplitSeq(text, "\n") {
		found := comment.FindStringSubmatch(line)

		switch {
		case found != nil && previous && found[1] != "":
			all[len(all)-1] += " " + found[1]
		case found != nil:
			all = append(all, found[1])
		}

		previous = len(found) > 1 && found[1] != ""
	}

	return all
}
