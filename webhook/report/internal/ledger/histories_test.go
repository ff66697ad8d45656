package ledger

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

var update = flag.Bool("update", false, "write the ledger's answers into testdata instead of comparing them")

// TestHistories plays each testdata/*.txt: commands, "----", and the ledger's
// answer. The equation is checked after each command.
func TestHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no histories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newHistory(t).play(string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// history is a ledger that a script talks to.
type history struct {
	t      *testing.T
	ledger *Ledger
	start  time.Time
	now    time.Time
	flying []Entry
}

func newHistory(t *testing.T) *history {
	t.Helper()
	start := time.Date(2026, 11, 22, 3, 21, 0, 0, time.UTC)

	return &history{t: t, ledger: New(Options{}), start: start, now: start}
}

// play runs a script and returns it with the answers that the ledger gave.
func (h *history) play(script string) string {
	var out strings.Builder
	answer := false // an answer of the script, to be replaced by the ledger's
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			answer = false
			fmt.Fprintln(&out, line)
		case answer:
		case line == "----":
			answer = true
			fmt.Fprintln(&out, line)
			fmt.Fprint(&out, h.state())
		default:
			fmt.Fprintln(&out, line)
			h.do(strings.Fields(line))
			if err := h.ledger.Check(); err != nil {
				h.t.Errorf("after %q: %v", line, err)
			}
		}
	}

	return out.String()
}

// do runs one command, "verb owner name=value...".
func (h *history) do(words []string) {
	args := map[string]string{}
	for _, w := range words[1:] {
		if name, value, ok := strings.Cut(w, "="); ok {
			args[name] = value
		} else {
			args["owner"] = w
		}
	}
	switch words[0] {
	case "keys":
		h.ledger = New(Options{MaxKeys: int(h.number(args["max"], 0))})
		h.flying = nil
	case "together":
		h.ledger = New(Options{Together: true})
		h.flying = nil
	case "wait":
		d, err := time.ParseDuration(strings.TrimPrefix(args["owner"], "+"))
		if err != nil {
			h.t.Fatal(err)
		}
		h.now = h.now.Add(d)
	case "fail":
		for range h.number(args["times"], 1) {
			h.ledger.Add(h.failure(args), h.now)
		}
	case "due":
		for e, ok := h.ledger.Due(h.now); ok; e, ok = h.ledger.Due(h.now) {
			h.flying = append(h.flying, e)
		}
	case "hurry":
		h.ledger.Hurry(h.now)
	default:
		h.handBack(words[0], args)
	}
}

// handBack hands the named entry in flight back to the ledger.
func (h *history) handBack(verb string, args map[string]string) {
	for i, e := range h.flying {
		if ref(args["owner"]) != e.Owner || args["reason"] != "" && args["reason"] != string(e.Reason) {
			continue
		}
		h.flying = append(h.flying[:i], h.flying[i+1:]...)
		switch verb {
		case "settle":
			h.ledger.Settle(e, Receipt{Stored: h.number(args["stored"], e.Total), Refused: h.number(args["refused"], 0), Why: Partial}, h.now)
		case "retry":
			h.ledger.Retry(e, Receipt{Stored: h.number(args["stored"], 0)}, h.now)
		case "refuse":
			wait := time.Duration(h.number(args["after"], 0)) * time.Second
			h.ledger.Refuse(e, Receipt{Stored: h.number(args["stored"], 0)}, wait, h.now)
		case "giveup":
			h.ledger.GiveUp(e, Cause(args["cause"]))
		case "move":
			h.ledger.Move(e, ref(args["to"]), h.now)
		default:
			h.t.Fatalf("no such command: %s", verb)
		}

		return
	}
	h.t.Fatalf("%s: %q is not in flight:\n%s", verb, args["owner"], h.state())
}

// state is the visible state of the ledger.
func (h *history) state() string {
	var out strings.Builder
	s := h.ledger.Stats()
	fmt.Fprintf(&out, "pending=%d reported=%d", s.Pending, s.Reported)
	for _, c := range Causes() {
		if n := s.Unreported[c]; n > 0 {
			fmt.Fprintf(&out, " %s=%d", c, n)
		}
	}
	if at, ok := h.ledger.Next(); ok {
		fmt.Fprintf(&out, " next=%+v", at.Sub(h.now))
	}
	if !s.Since.IsZero() {
		fmt.Fprintf(&out, " oldest=%v", h.now.Sub(s.Since))
	}
	fmt.Fprintln(&out)
	for _, e := range h.flying {
		unresolved := " unresolved"
		if e.Resolved {
			unresolved = ""
		}
		for i, o := range e.Folded {
			unresolved += map[bool]string{true: " folded=", false: ","}[i == 0] + name(o)
		}
		if e.Revision != "" {
			unresolved += " revision=" + e.Revision
		}
		fmt.Fprintf(&out, "%s %s total=%d owed=%d id=%d%s\n", name(e.Owner), e.Reason, e.Total, e.Owed, e.ID, unresolved)
	}

	return out.String()
}

func (h *history) number(s string, zero int64) int64 {
	if s == "" {
		return zero
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		h.t.Fatal(err)
	}

	return n
}

func (h *history) failure(args map[string]string) failure.Failure {
	reason := failure.Reason(args["reason"])
	if reason == "" {
		reason = failure.Conflict
	}

	return failure.Failure{
		Reason: reason, Injection: failure.Injection{Name: args["injection"]}, Revision: args["revision"], Owner: ref(args["owner"]),
	}
}

// ref reads "ReplicaSet/web" in the namespace shop; "ReplicaSet/web@other" is
// in the namespace other. A Pod or a Namespace gets no uid, "none" is the zero
// Ref.
func ref(s string) failure.Ref {
	if s == "none" {
		return failure.Ref{}
	}
	s, namespace, ok := strings.Cut(s, "@")
	if !ok {
		namespace = "shop"
	}
	kind, name, _ := strings.Cut(s, "/")
	r := failure.Ref{APIVersion: "v1", Kind: kind, Namespace: namespace, Name: name}
	if kind == "Namespace" {
		r.Namespace = name
	} else if kind != "Pod" {
		r.UID = types.UID("uid-" + name)
	}

	return r
}

func name(r failure.Ref) string {
	switch {
	case r == failure.Ref{}:
		return "none"
	case r.Namespace == "shop" || r.Kind == "Namespace":
		return r.Kind + "/" + r.Name
	default:
		return r.Kind + "/" + r.Name + "@" + r.Namespace
	}
}
