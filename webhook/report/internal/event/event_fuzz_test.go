package event

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// FuzzEvent: whatever owner a review names, the API server takes the event's
// name. The name is always the same for an owner, and different for another
// owner. The message is one line for every reader.
func FuzzEvent(f *testing.F) {
	f.Add("shop", "ReplicaSet", "web-5d7f9689b7", "6fea9cfb-0e54-499b-8f78-c6e2dbde2c3b", "text", "pod", int64(0))
	f.Add("", "", "", "", "", "", int64(1))
	f.Add("shop", "Role", "system:Web_1..", "\xff", "a\u0085b\u2028c\u2029d\x7f", "\u2028", int64(-1))
	f.Add("shop", "Pod", strings.Repeat("a.", 200), "uid", strings.Repeat("🐎", 400), strings.Repeat("p", 511), int64(1)<<62)
	f.Add("shop", "Pod", strings.Repeat("-", 252)+"a", "uid", "", strings.Repeat("\xff", 511), int64(1))
	f.Fuzz(func(t *testing.T, namespace, kind, ownerName, uid, text, pod string, since int64) {
		last := time.Unix(0, 0)
		e := ledger.Entry{Since: last.Add(time.Duration(since)), Last: last, Failure: failure.Failure{
			Owner: failure.Ref{Namespace: namespace, Kind: kind, Name: ownerName, UID: types.UID(uid)}, Text: text, Pod: pod,
		}}

		ev := newEvent(e)
		if errs := validation.IsDNS1123Subdomain(ev.Name); len(errs) > 0 {
			t.Errorf("name %q: %v", ev.Name, errs)
		}
		if m := ev.Message; len(m) > MaxMessage || !utf8.ValidString(m) || strings.ContainsFunc(m, breaksLine) {
			t.Errorf("message of %d bytes: %q", len(m), m)
		}
		if ev.LastTimestamp.Before(&ev.FirstTimestamp) {
			t.Errorf("last %v is before first %v", ev.LastTimestamp, ev.FirstTimestamp)
		}

		if again := newEvent(e).Name; again != ev.Name {
			t.Errorf("the name is %q, and then %q", ev.Name, again)
		}
		e.Owner.UID += "x"
		if other := newEvent(e).Name; other == ev.Name {
			t.Errorf("%q is the name for another owner, too", other)
		}
	})
}

// breaksLine is true for a character that a reader may take for the end of a
// line, or that changes the state of a terminal.
func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
