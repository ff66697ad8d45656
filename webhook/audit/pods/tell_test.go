package pods

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/audit"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// reports are the reasons of all that was reported.
type reports []failure.Reason

func (r *reports) Report(f failure.Failure) { *r = append(*r, f.Reason) }

func (r *reports) Owed(...failure.Reason) map[string]bool { return map[string]bool{} }

// TestStateOf sets verdicts against what the book has of the pod.
func TestStateOf(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		how     watch.EventType
		new     bool // the book does not have the pod
		known   bool // the book has the Injection on it
		was     State
		verdict State
		want    State
		marked  bool // the last leader's mark has it
		lost    bool // and told
		waits   bool // a candidate for InjectionMissed
	}{
		"Added": {
			"Telltale was not asked about a pod that appears.",
			watch.Added, true, false, 0, Missed, Unsure, false, false, true,
		},
		"RecordAndEffectTaken": {
			"Something took away all that was on it.",
			watch.Modified, false, true, Injected, Missed, Lost, false, true, false,
		},
		"EditedSinceStripped": {
			"The record is gone, and an edit has added a part: the pod is older than that.",
			watch.Bookmark, false, true, Injected, Earlier, Outdated, false, false, false,
		},
		"EditedJustNow": {
			"The record is gone, and an edit that adds a part is on its way.",
			watch.Modified, false, true, Injected, Unsure, Injected, false, false, false,
		},
		"OtherRecord": {
			"It had all of it by another Injection, and an edit has added a part.",
			watch.Bookmark, false, true, Injected, Relabelled, Relabelled, false, false, false,
		},
		"RelabelledIntoScope": {
			"The label that removed the opt-out came later.",
			watch.Modified, true, false, 0, Missed, Relabelled, false, false, false,
		},
		"RelabelledForAnother": {
			"Another Injection is in the book; its record is gone. A label came later.",
			watch.Modified, false, false, 0, Missed, Relabelled, false, false, false,
		},
		"RelabelledBefore": {
			"The last leader has seen that the opt-out was removed.",
			watch.Bookmark, true, false, 0, Missed, Relabelled, true, false, false,
		},
		"TimedOutBefore": {
			"The last leader knew that its review timed out. The event has expired.",
			watch.Bookmark, true, false, 0, Missed, Failed, false, false, false,
		},
		"StillRelabelled": {
			"Only its status has changed.",
			watch.Modified, false, true, Relabelled, Missed, Relabelled, false, false, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			told := reports{}
			now := time.Now()
			a := &Audit{o: Options{Reviews: noReviews{}}, reporter: &told, told: map[string]bool{}}
			m := newTerm(a)
			m.before, m.mark = now.Add(-time.Hour), mark{Pods: namedPods{}, TimedOut: namedPods{}, Lost: namedPods{}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "1", CreationTimestamp: metav1.NewTime(now.Add(-time.Minute))}}

			in := patches.Compile(proxy())
			once := failure.OnceOf("1", nameOf(in), failure.Missed)

			if c.marked {
				m.mark.Pods[once] = now
			}

			if c.want == Failed {
				m.mark.TimedOut[once] = now
			}

			got := m.stateOf(
				sighting{pod: pod, how: c.how, isNew: c.new, known: c.known, was: c.was},
				verdict{injection: in, state: c.verdict},
			)
			if _, marked := m.mark.Pods[once]; marked != (c.want == Relabelled && c.verdict == Missed) {
				t.Errorf("the next leader knows that it was relabelled: %v: %s", marked, c.reason)
			}

			if got != c.want || len(told) > 0 != c.lost || len(m.candidates) > 0 != c.waits {
				t.Errorf("state %d, told %v, %d candidates; want state %d: %s", got, told, len(m.candidates), c.want, c.reason)
			}
		})
	}
}

// owing is a reporter with events that are still to be written, in some namespaces.
type owing struct {
	*reports

	in []string
}

func (o *owing) Owed(...failure.Reason) map[string]bool {
	owed := map[string]bool{}
	for _, namespace := range o.in {
		owed[namespace] = true
	}

	return owed
}

// TestLostAndKilled has a leader find an old pod that lost an Injection, and the next
// leaders find it again: after an event told of it, and when that has expired.
func TestLostAndKilled(t *testing.T) {
	now := time.Now()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "1", CreationTimestamp: metav1.NewTime(now.Add(-10 * time.Minute))}}
	saved := mark{}

	lead := func(reason string, owes []string, onEvent map[string]bool, want int) {
		t.Helper()

		told := owing{&reports{}, owes}
		a := &Audit{reporter: &told, told: onEvent, known: knowsNothing{}}
		m := newTerm(a)
		m.before, m.mark = now.Add(-time.Minute), saved
		m.mark.makePods()

		for range 2 {
			m.stateOf(sighting{pod: pod, isNew: true}, verdict{injection: patches.Compile(proxy()), state: Lost})
		}

		m.advance()
		saved = m.mark

		if len(*told.reports) != want {
			t.Errorf("told %d times, want %d: %s", len(*told.reports), want, reason)
		}
	}

	once := failure.OnceOf("1", nameOf(patches.Compile(proxy())), failure.Lost)
	lead("It is killed before the event is written.", []string{"shop"}, map[string]bool{}, 1)
	lead("No event tells of it.", []string{""}, map[string]bool{}, 1)
	lead("The event has its name.", []string{"other"}, map[string]bool{once: true}, 0)
	lead("The event has expired.", nil, map[string]bool{}, 0)
}

// knowsNothing is Known of no Injections.
type knowsNothing struct{ Known }

func (knowsNothing) NamespacesUpTo() string     { return "" }
func (knowsNothing) Stopped() (bool, time.Time) { return false, time.Time{} }

func (knowsNothing) Match(patches.Traits, string) ([]patches.Match, error) { return nil, nil }
func (knowsNothing) Previews(patches.Traits, string) []patches.Match       { return nil }

// TestHeard has events wait while the leader looks at other things. A pod is known when
// its event was read, not before.
func TestHeard(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	m := newTerm(&Audit{o: Options{Healer: nobody{}}, known: knowsNothing{}, metrics: newMetrics()})
	m.heard = now.Add(-time.Hour)
	event := func(how watch.EventType, version string, created, status time.Duration) {
		t.Helper()

		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1", ResourceVersion: version, CreationTimestamp: metav1.NewTime(now.Add(created))}}
		if status != 0 {
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{Subresource: "status", Time: &metav1.Time{Time: now.Add(status)}}}
		}

		if err := m.changed(t.Context(), watch.Event{Type: how, Object: pod}); err != nil {
			t.Fatal(err)
		}
	}
	heard := func(want time.Duration, reason string) {
		t.Helper()

		if !m.heard.Equal(now.Add(want)) {
			t.Errorf("heard %v ago, want %v: %s", m.heard.Sub(now), want, reason)
		}
	}

	event(watch.Added, "10", -20*time.Second, 0)
	heard(-20*time.Second, "Younger pods may wait behind it.")
	event(watch.Modified, "11", -time.Hour, -10*time.Second)
	heard(-10*time.Second, "Its status was written then.")
	event(watch.Modified, "12", -time.Hour, -15*time.Second)
	heard(-10*time.Second, "It has been known before.")

	event(watch.Modified, "13", -time.Hour, time.Hour)
	heard(-10*time.Second, "A user has made up a time.")

	m.sounded = sounding{"20", now}
	event(watch.Bookmark, "19", -time.Hour, 0)
	heard(-10*time.Second, "The watch has not come to it.")
	event(watch.Bookmark, "20", -time.Hour, 0)
	heard(0, "The API server has no newer pods.")
}

// asked are the reviews that replicas tell of.
type asked struct{ has, heard bool }

func (a asked) Has(string, failure.Injection, types.UID) bool { return a.has }
func (a asked) HeardSince(time.Time) bool                     { return a.heard }

// TestRipe has a pod without a record wait until it is known why.
func TestRipe(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		reviews asked
		age     time.Duration // since it was found
		want    State
	}{
		"Young":    {"A watch may be late.", asked{heard: true, has: true}, time.Second, Unsure},
		"NotHeard": {"A replica may have been asked, and it stands still.", asked{}, time.Minute, Unsure},
		"TimedOut": {"The replica that was asked has reported it.", asked{heard: true, has: true}, 4 * time.Second, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			now, told := time.Now(), reports{}
			a := &Audit{o: Options{Reviews: c.reviews}, reporter: &told, told: map[string]bool{}}
			m := newTerm(a)
			m.mark = mark{TimedOut: namedPods{}}
			in := patches.Compile(proxy())
			m.candidates = map[string]*candidate{"x": {uid: "1", injection: in, since: now.Add(-c.age)}}
			m.book.put("1", now, entry{states: []stated{{tally: m.book.tally(nameOf(in)), state: Unsure}}})

			if err := m.confirm(t.Context(), now); err != nil {
				t.Fatal(err)
			}

			state, _ := m.book.state("1", nameOf(in))
			if state != c.want || m.mark.TimedOut.has("x") != (c.want == Failed) || len(told) > 0 {
				t.Errorf("state %d, want %d; the next leader knows: %v; told %v: %s", state, c.want, m.mark.TimedOut, told, c.reason)
			}
		})
	}
}

// TestNextLeader has reviews of an owner's pods time out, other pods of it be missed,
// and the leader change twice. No leader takes a missed pod for one that timed out,
// nor the other way round.
func TestNextLeader(t *testing.T) {
	now, in, saved := time.Now(), patches.Compile(proxy()), mark{}

	look := func(reviews asked, uids ...types.UID) *term {
		t.Helper()

		a := &Audit{o: Options{Reviews: reviews}, reporter: &reports{}, told: map[string]bool{}}
		m := newTerm(a)
		m.mark = saved
		m.mark.makePods()

		for _, uid := range uids {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid, CreationTimestamp: metav1.NewTime(now)}}
			state := m.stateOf(sighting{pod: pod, how: watch.Bookmark, isNew: true}, verdict{injection: in, state: Missed})
			m.book.put(uid, now, entry{states: []stated{{tally: m.book.tally(nameOf(in)), state: state}}})
		}

		return m
	}

	m := look(asked{heard: true, has: true}, "timed out 1", "timed out 2")
	if err := m.confirm(t.Context(), now.Add(2*ripe)); err != nil {
		t.Fatal(err)
	}

	for _, reason := range []string{"The next leader begins.", "And another one."} {
		text, err := json.Marshal(m.mark)
		if err == nil {
			saved = mark{}
			err = json.Unmarshal(text, &saved)
		}

		if err != nil {
			t.Fatal(err)
		}

		m = look(asked{heard: true}, "missed 1", "timed out 1", "missed 2", "timed out 2", "missed 3")
		if got := m.book.tally(nameOf(in)).pods; got[Failed] != 2 || got[Unsure] != 3 || len(m.candidates) != 3 {
			t.Errorf("%d of 2 pods timed out, %d of 3 will be told as missed: %s", got[Failed], len(m.candidates), reason)
		}
	}
}

// heard are reviews that all replicas have told of.
type heard struct{ *audit.Unanswered }

func (heard) HeardSince(time.Time) bool { return true }

// TestSameTraceNextLeader has two pods with the same trace, of which one timed out, as
// the last leader's mark says. The next leader does not take the other one for it.
func TestSameTraceNextLeader(t *testing.T) {
	now, in := time.Now(), patches.Compile(proxy())
	pod := func(uid types.UID) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", UID: uid, CreationTimestamp: metav1.NewTime(now)}}
	}

	u, injection, trace := audit.NewUnanswered(&reports{}), failure.Injection{Name: in.Name}, patches.Trace(pod(""), "")
	u.Report(failure.Failure{Reason: failure.Timeout, Injection: injection, Trace: trace})
	u.Tell(true, 1000)
	u.Told(true, false)

	a := &Audit{o: Options{Reviews: heard{u}}, reporter: &reports{}, told: map[string]bool{}}
	m := newTerm(a)
	m.mark.makePods()
	m.mark.TimedOut.add(failure.OnceOf("timed out", nameOf(in), failure.Missed), now)

	for uid, want := range map[types.UID]State{"missed": Unsure, "timed out": Failed} {
		s := sighting{pod: pod(uid), how: watch.Bookmark, isNew: true}
		if got := m.stateOf(s, verdict{injection: in, state: Missed}); got != want {
			t.Errorf("the pod that %s has state %d, want %d", uid, got, want)
		}
	}

	if u.Has(trace, injection, "missed") {
		t.Error("the pod that was missed counts as timed out")
	}
}

// TestMarkHeld has a leader with something to tell in one namespace. Until it is told,
// the next leader must not take its pods for such that were told before; those of others
// it must.
func TestMarkHeld(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	gap, last := now.Add(-30*time.Minute), now.Add(-time.Hour)
	many := make([]string, maxHeld+1)

	for i := range many {
		many[i] = fmt.Sprint("shop", i)
	}

	for name, c := range map[string]struct {
		reason      string
		candidate   *candidate
		owed        []string
		shop, other time.Time // the marks
	}{
		"Nothing":   {"All is told.", nil, nil, now.Add(-behind), now.Add(-behind)},
		"Candidate": {"A pod of the gap was found.", &candidate{namespace: "shop", created: gap}, nil, last, now.Add(-behind)},
		"Old":       {"It was told by the last leader.", &candidate{namespace: "shop", created: gap, isOld: true}, nil, now.Add(-behind), now.Add(-behind)},
		"Young":     {"The next leader looks at it anyway.", &candidate{namespace: "shop", created: now}, nil, now.Add(-behind), now.Add(-behind)},
		"Unsure":    {"Nobody could tell for long.", &candidate{namespace: "shop", created: last.Add(-time.Hour)}, nil, last.Add(-time.Hour), now.Add(-behind)},
		"Refused":   {"A policy refuses the event.", nil, []string{"shop"}, last, now.Add(-behind)},
		"Folded":    {"It can be of any namespace.", nil, []string{""}, last, last},
		"Many":      {"The Lease has no room for so many.", nil, many, last, last},
	} {
		t.Run(name, func(t *testing.T) {
			m := newTerm(&Audit{reporter: &owing{&reports{}, c.owed}, known: knowsNothing{}})
			m.heard, m.mark = now, mark{UpTo: last}
			if c.candidate != nil {
				m.candidates = map[string]*candidate{"1": c.candidate}
			}

			for range 2 {
				m.advance()
			}

			next := newTerm(&Audit{})
			next.mark, next.before, next.beforeHeld = m.mark, m.mark.UpTo, m.mark.Held
			if shop, other := next.toldBefore("shop"), next.toldBefore("other"); !shop.Equal(c.shop) || !other.Equal(c.other) {
				t.Errorf("%s The mark is %v behind for shop and %v for others", c.reason, now.Sub(shop), now.Sub(other))
			}
		})
	}

	// Later it is told.
	m := newTerm(&Audit{reporter: &reports{}, known: knowsNothing{}})
	m.heard, m.mark = now, mark{UpTo: now.Add(-behind), Held: map[string]time.Time{"shop": last}}
	m.advance()

	if len(m.mark.Held) != 0 {
		t.Errorf("%v are still held", m.mark.Held)
	}
}
