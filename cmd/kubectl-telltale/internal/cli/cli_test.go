package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestCode: a script tells a finding from an answer that could not be given.
func TestCode(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		err    error
		code   int
		text   string
	}{
		"Nothing": {"All is well.", nil, 0, ""},
		"Finding": {"It is one.", Finding("%d findings", 2), 1, "error: 2 findings\n"},
		"Silent":  {"The output has said it.", Finding(""), 1, ""},
		"Unknown": {"No answer is no good news.", Unknown("forbidden"), 2, "error: forbidden\n"},
		"Wrapped": {"The code goes with the error.", fmt.Errorf("pods: %w", Finding("lost")), 1, "error: pods: lost\n"},
		"Other":   {"Errors of libraries are no findings.", errors.New("refused"), 2, "error: refused\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if code := Code(tc.err, &b); code != tc.code || b.String() != tc.text {
				t.Errorf("%s got %d, %q, want %d, %q", tc.reason, code, b.String(), tc.code, tc.text)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	const text = "× proxy: the selector does not match the pod's labels"

	for name, tc := range map[string]struct {
		reason string
		width  int
		want   string
	}{
		"Pipe":   {"A line in a pipe stays whole, so grep finds it.", 0, text},
		"Wide":   {"It fits.", 80, text},
		"Narrow": {"Words stay whole, and runes are counted, not bytes.", 30, "× proxy: the selector does not\n    match the pod's labels"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Wrap(text, tc.width, "    "); got != tc.want {
				t.Errorf("%s got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

// TestWrite: a patch is printed as it is.
func TestWrite(t *testing.T) {
	for format, want := range map[string]string{"json": "{\n  \"a\": \"<&>\"\n}\n", "yaml": "a: <&>\n"} {
		var b bytes.Buffer
		if err := (&Output{Format: format}).Write(&b, map[string]string{"a": "<&>"}); err != nil || b.String() != want {
			t.Errorf("%s: got %q (%v), want %q", format, b.String(), err, want)
		}
	}
}

// TestColours: a buffer is no terminal.
func TestColours(t *testing.T) {
	if got := StyleOf(&bytes.Buffer{}).Bad("x"); got != "x" {
		t.Errorf("got %q", got)
	}

	if got := (Style{colour: true}).Bad("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
}
