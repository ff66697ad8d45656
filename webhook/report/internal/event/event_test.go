package event

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

var owner = failure.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "uid-web"}

func TestNewEvent(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 22, 3, 21, 0, 0, time.UTC)
	e := ledger.Entry{
		Failure: failure.Failure{
			Reason: failure.Conflict, Injection: failure.Injection{Name: "proxy"}, Owner: owner,
			Pod: "web-5d7f9689b7-*", Text: `container "app" already sets env HTTP_PROXY. Remove it there.`,
		},
		Since: since, Last: since.Add(time.Minute),
	}
	want := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name(e.Failure),
			Labels: map[string]string{"app.kubernetes.io/managed-by": "telltale"},
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "uid-web",
		},
		Type: "Warning", Reason: "InjectionConflict", Source: corev1.EventSource{Component: "telltale"},
		Message: `Injection "proxy" not applied: container "app" already sets env HTTP_PROXY. Remove it there.` +
			` Last pod: web-5d7f9689b7-*`,
		FirstTimestamp: metav1.NewTime(since), LastTimestamp: metav1.NewTime(since.Add(time.Minute)),
	}
	if diff := cmp.Diff(want, newEvent(e)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	e.Last = since.Add(-time.Hour) // the clock was set back
	if ev := newEvent(e); ev.LastTimestamp.Before(&ev.FirstTimestamp) {
		t.Errorf("last %v is before first %v", ev.LastTimestamp, ev.FirstTimestamp)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	base := failure.Failure{Reason: failure.Conflict, Injection: failure.Injection{Name: "a"}, Owner: owner}
	with := func(change func(*failure.Failure)) failure.Failure {
		f := base
		change(&f)

		return f
	}
	cases := map[string]struct {
		reason string
		f      failure.Failure
		want   string // the start of the name
	}{
		"Deployment":  {"The owner's name comes first: people list events by name.", base, "web."},
		"Reason":      {"Each reason has its own event.", with(func(f *failure.Failure) { f.Reason = failure.Unsafe }), "web."},
		"Injection":   {"Each Injection has its own event.", with(func(f *failure.Failure) { f.Injection.Name = "b" }), "web."},
		"Cluster":     {"A ClusterInjection of the same name has its own event.", with(func(f *failure.Failure) { f.Injection.Cluster = true }), "web."},
		"NoInjection": {"Failures of all Injections have their own event.", with(func(f *failure.Failure) { f.Injection = failure.Injection{} }), "web."},
		"Recreated":   {"A Deployment that is created again starts its own count.", with(func(f *failure.Failure) { f.Owner.UID = "new" }), "web."},
		"Namespace":   {"Names in namespaces are told apart in our own log.", with(func(f *failure.Failure) { f.Owner.Namespace = "x" }), "web."},
		"Kind":        {"A StatefulSet may have the Deployment's name.", with(func(f *failure.Failure) { f.Owner.Kind = "StatefulSet" }), "web."},
		"Role":        {"Some names are no DNS names.", with(func(f *failure.Failure) { f.Owner.Name = "system:Web_1" }), "system--eb-1."},
		"Trimmed":     {"The part that is left must not end in a dot.", with(func(f *failure.Failure) { f.Owner.Name = "web::" }), "web."},
		"NothingLeft": {"A part of the name must be left.", with(func(f *failure.Failure) { f.Owner.Name = "ÄÖÜ" }), "telltale."},
		"Long": {
			"Owners' names may be as long as the event's.",
			with(func(f *failure.Failure) { f.Owner.Name = strings.Repeat("a", 300) }),
			strings.Repeat("a", 232) + ".",
		},
	}
	seen := map[string]string{}
	for title, tc := range cases {
		got := name(tc.f)
		if !strings.HasPrefix(got, tc.want) || len(got) != len(tc.want)+20 {
			t.Errorf("%s: %s: name %q does not start with %q", title, tc.reason, got, tc.want)
		}
		if errs := validation.IsDNS1123Subdomain(got); len(errs) > 0 {
			t.Errorf("%s: %q: %v", title, got, errs)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s: %s: both are %q", title, other, tc.reason, got)
		}
		seen[got] = title
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		f      failure.Failure
		want   string
	}{
		"NoInjection": {
			reason: "No particular Injection means all.",
			f:      failure.Failure{Text: "not loaded yet.", Pod: "web-*"},
			want:   "Injections not applied: not loaded yet. Last pod: web-*",
		},
		"Cluster": {
			reason: "A ClusterInjection says so.",
			f:      failure.Failure{Injection: failure.Injection{Cluster: true, Name: "ca"}, Text: "no."},
			want:   `ClusterInjection "ca" not applied: no.`,
		},
		"OneLine": {
			reason: "A line break would break the table that describe prints.",
			f:      failure.Failure{Text: "a\nb\r\tc\u2028d\x1b[31m\x00", Pod: "p\n"},
			want:   "Injections not applied: a b  c d [31m  Last pod: p ",
		},
		"Missed": {
			reason: "The cure is a command that can be copied.",
			f: failure.Failure{
				Reason: failure.Missed, Injection: failure.Injection{Name: "proxy"}, Text: "Telltale was not asked when these pods were created.",
				Owner: failure.Ref{Kind: "Deployment", Namespace: "shop", Name: "checkout"}, Pod: "checkout-1",
			},
			want: `Injection "proxy" not applied: Telltale was not asked when these pods were created. ` +
				"Restart them: kubectl rollout restart deployment/checkout -n shop. Last pod: checkout-1",
		},
		"LostJob": {
			reason: "A Job has no rollout.",
			f:      failure.Failure{Reason: failure.Lost, Text: "gone.", Owner: failure.Ref{Kind: "Job", Namespace: "shop", Name: "once"}},
			want:   "Injections not applied: gone. Create them anew.",
		},
		"Stuck": {
			reason: "It was applied. A rollout is a new try, also after it was withdrawn.",
			f: failure.Failure{
				Reason: failure.Stuck, Injection: failure.Injection{Name: "mesh"}, Pod: "db-0",
				Text:  `init container "wait" can't start: ImagePullBackOff. Correct its image or imagePullSecrets in the Injection.`,
				Owner: failure.Ref{Kind: "StatefulSet", Namespace: "shop", Name: "db"},
			},
			want: `Injection "mesh" keeps pods from starting: init container "wait" can't start: ImagePullBackOff. ` +
				"Correct its image or imagePullSecrets in the Injection. Restart them: kubectl rollout restart statefulset/db -n shop. Last pod: db-0",
		},
		"NotUTF8": {
			reason: "The API server takes UTF-8 only.",
			f:      failure.Failure{Text: "a\xff\xfeb"},
			want:   "Injections not applied: a\uFFFDb",
		},
		"Long": {
			reason: "The text is cut at a rune, and the pod's name kept.",
			f:      failure.Failure{Text: strings.Repeat("ä", 1000), Pod: "web"},
			want:   "Injections not applied: " + strings.Repeat("ä", 491) + "… Last pod: web",
		},
		"LongPod": {
			reason: "No pod has such a name, but the text must be kept.",
			f:      failure.Failure{Text: strings.Repeat("a", 2000), Pod: strings.Repeat("p", 2000)},
			want:   "Injections not applied: " + strings.Repeat("a", 1024-24-3) + "…",
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Message(tc.f)); diff != "" {
				t.Errorf("%s\n-want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 21, 0, 0, time.UTC)
	fresh, old := format(10, now), format(1, now.Add(-2*time.Hour))
	many := map[string]string{countPrefix + "me": fresh, foldedKey: format(100, now.Add(-3*time.Hour))}
	for i := range 16 {
		many[countPrefix+string(rune('a'+i))] = old
	}
	few := map[string]string{}
	for k, v := range many {
		if k != countPrefix+"a" {
			few[k] = v
		}
	}
	cases := map[string]struct {
		reason      string
		annotations map[string]string
		want        tally
	}{
		"Nothing": {reason: "An event that we did not write counts nothing, even under our name."},
		"Ours":    {"Our count is told from those of others.", map[string]string{countPrefix + "me": fresh, countPrefix + "b": old}, tally{mine: 10, there: true, others: 1}},
		"Broken": {
			"Values that we did not write count nothing, and no count is negative.",
			map[string]string{
				countPrefix + "me": "many", countPrefix + "a": "-3 " + now.Format(time.RFC3339),
				countPrefix + "b": "3", countPrefix + "c": "", "other": fresh,
			},
			tally{},
		},
		"Huge": {
			"Sums do not wrap.",
			map[string]string{countPrefix + "a": format(math.MaxInt64, now), countPrefix + "b": fresh},
			tally{others: math.MaxInt64},
		},
		"Few":  {"Sixteen writers are not too many.", few, tally{mine: 10, there: true, others: 115, folded: 100}},
		"Many": {"Of seventeen writers, those of long ago are folded.", many, tally{mine: 10, there: true, others: 116, folded: 116}},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			got := read(&corev1.Event{ObjectMeta: metav1.ObjectMeta{Annotations: tc.annotations}}, countPrefix+"me", now)
			if n := len(got.old); (n > 0) != (title == "Many") {
				t.Errorf("%s: %d are folded", tc.reason, n)
			}
			got.old = nil
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(tally{})); diff != "" {
				t.Errorf("%s\n-want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	if got := count(math.MaxInt32 + 1); got != math.MaxInt32 {
		t.Errorf("an event's count wraps to %d", got)
	}
	if got := count(37); got != 37 {
		t.Errorf("got %d", got)
	}
}
