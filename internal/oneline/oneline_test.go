package oneline

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestOf(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		reason  string
		s, want string
	}{
		"Empty":      {reason: "An empty text stays empty."},
		"Clean":      {"Other scripts and symbols are no control characters.", `env "ÄÖÜ" 🐎 日本`, `env "ÄÖÜ" 🐎 日本`},
		"Lines":      {"Tables have one line for each row.", "a\nb\r\tc", "a b  c"},
		"Separators": {"Some readers end a line here.", "a\u2028b\u2029c\u0085d", "a b c d"},
		"Terminal":   {"A text must not colour, or clear, a screen.", "\x1b[31mred\x7f\x00", " [31mred  "},
		"NotUTF8":    {"The API server takes UTF-8 only.", "a\xff\xfeb\xed\xa0\x80", "a\uFFFDb\uFFFD"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()

			if got := Of(tc.s); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		reason string
		s      string
		n      int
		want   string
	}{
		"Fits":     {"A text that fits stays whole.", "abcdef", 6, "abcdef"},
		"Long":     {"The end says that there was more.", "abcdefg", 6, "abc…"},
		"Rune":     {"A rune is kept whole, or dropped.", "ääää", 7, "ää…"},
		"OneLine":  {"It is the line that must fit.", "a\xffb", 5, "a\uFFFDb"},
		"NoRoom":   {"There is no space for the mark.", "äb", 2, "ä"},
		"HalfRune": {"There is no space for a rune either.", "äb", 1, ""},
		"Nothing":  {"No byte fits.", "abc", 0, ""},
		"Negative": {"A negative limit is like 0.", "abc", -7, ""},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()

			if got := Cut(tc.s, tc.n); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

// TestAllocates: text that is one line already costs only a look, and no
// allocation.
func TestAllocates(t *testing.T) {
	text := strings.Repeat("container \"ä\" already sets env HTTP_PROXY. ", 5)
	if n := testing.AllocsPerRun(100, func() { Cut(text, len(text)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzOf(f *testing.F) {
	for _, s := range texts() {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, s string) {
		got := Of(s)
		wantOneLine(t, got)

		if again := Of(got); again != got {
			t.Errorf("%q becomes %q, and then %q", s, got, again)
		}

		if !strings.ContainsFunc(s, breaksLine) && utf8.ValidString(s) && got != s {
			t.Errorf("%q is one line, but becomes %q", s, got)
		}
	})
}

func FuzzCut(f *testing.F) {
	for _, s := range texts() {
		for _, n := range []int{-1, 0, 1, 3, 4, 20} {
			f.Add(s, n)
		}
	}

	f.Fuzz(func(t *testing.T, s string, n int) {
		got := Cut(s, n)
		wantOneLine(t, got)

		if len(got) > max(n, 0) {
			t.Errorf("%d bytes of %q: got %d, %q", n, s, len(got), got)
		}

		if again := Cut(got, n); again != got {
			t.Errorf("%q becomes %q, and then %q", s, got, again)
		}

		if whole := Of(s); len(whole) <= n && got != whole || !strings.HasPrefix(whole, strings.TrimSuffix(got, ellipsis)) {
			t.Errorf("%d bytes of %q: got %q", n, s, got)
		}
	})
}

// texts are the inputs that fuzzing starts from.
func texts() []string {
	return []string{"", "plain", "a\u0085b\u2028c\u2029d\x7f", "\xff", "\xed\xa0\x80", "ä…", strings.Repeat("🐎", 9), strings.Repeat("a\n", 9)}
}

func wantOneLine(t *testing.T, s string) {
	t.Helper()

	if !utf8.ValidString(s) || strings.ContainsFunc(s, breaksLine) {
		t.Errorf("%q is not one line", s)
	}
}

// breaksLine is true for a character that a reader may take for the end of a
// line, or that changes the state of a terminal.
func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
