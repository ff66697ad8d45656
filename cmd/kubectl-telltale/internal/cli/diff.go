package cli

import "github.com/pmezard/go-difflib/difflib"

// Diff returns the lines in which two texts differ, as diff -u does; "" if they do
// not.
func Diff(before, after []byte, from, to string) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(string(before)), B: difflib.SplitLines(string(after)), FromFile: from, ToFile: to, Context: 3,
	})
	if err != nil {
		return err.Error() // a buffer takes all
	}

	return text
}
