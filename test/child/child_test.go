package child

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell starts a shell script that ends with the test.
func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)

	return p
}

// said is a condition: the log holds a text.
func said(p *Process, text string) func(context.Context) error {
	return func(context.Context) error {
		if !strings.Contains(p.Tail(), text) {
			return errors.New("not said")
		}

		return nil
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		script string
		end    func(*Process)
		want   string
	}{
		"Kill": {
			reason: "A process has no say in it.",
			script: "trap '' TERM; echo up; while :; do sleep 1; done",
			end:    (*Process).Kill,
			want:   "signal: killed",
		},
		"Stop": {
			reason: "A process that is asked to end may end as it likes.",
			script: "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done",
			end:    func(p *Process) { p.Stop(time.Minute) },
			want:   "exit status 3",
		},
		"StopTakesTooLong": {
			reason: "A process that will not end is killed.",
			script: "trap '' TERM; echo up; while :; do sleep 1; done",
			end:    func(p *Process) { p.Stop(10 * time.Millisecond) },
			want:   "signal: killed",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := shell(t, tc.script)
			if err := p.WaitUntil(t.Context(), time.Minute, said(p, "up")); err != nil {
				t.Fatal(err)
			}

			tc.end(p)
			<-p.Done()
			if got := p.state.String(); got != tc.want {
				t.Errorf("%s\nit ended with %q, want %q", tc.reason, got, tc.want)
			}
			tc.end(p) // a second time does nothing
		})
	}
}

func TestNeverStarted(t *testing.T) {
	t.Parallel()
	var p *Process
	p.Kill()
	p.Stop(time.Minute)
	if got := p.Tail(); got != "" {
		t.Errorf("got log %q, want none", got)
	}
}

func TestWaitUntilGivesUp(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason  string
		script  string
		timeout time.Duration
		want    string
	}{
		"ProcessEnds": {
			reason:  "Waiting for one that has ended is of no use.",
			script:  "echo last words; exit 7",
			timeout: time.Minute,
			want:    "sh ended (exit status 7); its log ends in:\nlast words\n",
		},
		"TimeOut": {
			reason:  "The error says what was missing.",
			script:  "exec sleep 600",
			timeout: time.Millisecond,
			want:    "sh is not ready (context deadline exceeded): not said; its log ends in:\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := shell(t, tc.script)
			err := p.WaitUntil(t.Context(), tc.timeout, said(p, "never"))
			if err == nil || err.Error() != tc.want {
				t.Errorf("%s\ngot error %q, want %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestTailIsWholeLines(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte(strings.Repeat("0123456789\n", tailSize)), 0o600); err != nil {
		t.Fatal(err)
	}

	got := (&Process{log: log}).Tail()
	if len(got) > tailSize || !strings.HasPrefix(got, "0123456789\n") || !strings.HasSuffix(got, "\n") {
		t.Errorf("got %d bytes that begin with %.20q", len(got), got)
	}
}
