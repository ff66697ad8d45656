package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// noticeBytes are those of a notice that tell which pod and Injection it is about.
	// Four more tell it from other notices of the same. noticeSize is how many bytes it
	// takes in a heartbeat: 14 letters, quotes and a comma.
	noticeBytes, noticeSize = 6, 17
	// maxNotices is how many a heartbeat has at most: 17 kB.
	maxNotices = 1000
	// tellFor is how long a notice is told if there is space, and tellAtLeast how long
	// in any case: other replicas read heartbeats every 3 s.
	tellFor, tellAtLeast = time.Minute, 10 * time.Second
	// keepFor is how long a notice is known for sure: by then the leader has seen the
	// pod. maxKnown bounds how many are known, of all replicas, and how many are held.
	keepFor, maxKnown = 5 * time.Minute, 20_000
)

// Unanswered hands failures on to a reporter. It holds those of reviews that the API
// server did not wait for until all replicas know of them: such a pod has no record,
// so the leader would say that it was missed. If the leader did not wait for this
// replica, because it stood still, the leader says so, and the failures are dropped
// here. So each such pod is told once (TestUnanswered, telltale.TestHalted). It says
// nothing of a pod that has a record all the same, so that failure is never dropped.
//
// It is the Notices of package freshness.
type Unanswered struct {
	reporter Reporter
	onNew    func()

	mu    sync.Mutex
	salt  uint32
	held  []heldReview
	told  []notice            // of this replica, the oldest first
	known map[string]*reviews // of all replicas, by what noticeOf returns
}

// heldReview is a failure, and the notice of it.
type heldReview struct {
	failure          failure.Failure
	notice           string
	isAsked, isTaken bool // in the last Tell
}

type notice struct {
	text string
	at   time.Time
}

// reviews are those of pods with the same trace, mostly one, and the pods.
type reviews struct {
	at      time.Time
	notices []string
	pods    []types.UID
}

// NewUnanswered returns one that holds nothing.
func NewUnanswered(reporter Reporter) *Unanswered {
	salt := make([]byte, 4)
	_, _ = rand.Read(salt) // it never fails, as its doc says

	return &Unanswered{reporter: reporter, onNew: func() {}, salt: binary.BigEndian.Uint32(salt), known: map[string]*reviews{}}
}

// OnNew has a function called when there is something to tell. Call it once, before
// Report.
func (u *Unanswered) OnNew(call func()) { u.onNew = call }

// Report hands a failure on, or holds it until all replicas know of it.
func (u *Unanswered) Report(f failure.Failure) {
	if f.Trace == "" {
		u.reporter.Report(f)

		return
	}

	about := noticeOf(f.Trace, f.Injection)

	u.mu.Lock()
	defer u.mu.Unlock()

	switch {
	case len(u.held) < maxKnown:
		u.salt++
		salt := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, u.salt))
		u.held = append(u.held, heldReview{failure: f, notice: about + salt})
	case f.HasRecord:
		u.reporter.Report(f)
	default: // the leader says that the pod was missed
	}

	u.onNew()
}

// noticeOf is what a notice of an Injection on a pod begins with.
func noticeOf(trace string, in failure.Injection) string {
	hash := sha256.Sum256([]byte(trace + "\x00" + in.String()))

	return base64.RawURLEncoding.EncodeToString(hash[:noticeBytes])
}

// Tell returns the notices for the next heartbeat.
func (u *Unanswered) Tell(withNew bool, space int) (all []string) {
	most := min(maxNotices, space/noticeSize)

	u.mu.Lock()
	defer u.mu.Unlock()

	u.told = slices.DeleteFunc(u.told, func(n notice) bool { return time.Since(n.at) > tellFor })

	for len(u.told) > 0 && len(u.told)+len(u.held) > most && time.Since(u.told[0].at) > tellAtLeast {
		u.told = u.told[1:]
	}

	for _, n := range u.told {
		all = append(all, n.text)
	}

	for i := range u.held {
		h := &u.held[i]
		h.isAsked, h.isTaken = true, withNew && len(all) < most

		if h.isTaken {
			all = append(all, h.notice)
		}
	}

	return all
}

// Told hands on the failures that were told. It drops those that the leader has not
// waited for and tells of, unless there are no other replicas.
func (u *Unanswered) Told(inTime, isOnly bool) {
	for _, f := range u.takeDue(inTime, isOnly, time.Now()) {
		u.reporter.Report(f)
	}
}

func (u *Unanswered) takeDue(inTime, isOnly bool, now time.Time) (due []failure.Failure) {
	u.mu.Lock()
	defer u.mu.Unlock()

	var later []heldReview

	for _, h := range u.held {
		switch {
		case inTime && h.isAsked && (h.isTaken || isOnly):
			due = append(due, h.failure)
			u.told = append(u.told, notice{h.notice, now})
			u.know(h.notice, now)
		case isOnly, inTime && !h.isAsked:
			later = append(later, h)
		case h.failure.HasRecord:
			due = append(due, h.failure)
		}
	}

	u.held = later
	u.told = u.told[max(0, len(u.told)-maxNotices):]

	return due
}

// Hear takes note of another replica's notices.
func (u *Unanswered) Hear(all []string) {
	u.mu.Lock()
	defer u.mu.Unlock()

	for _, text := range all {
		u.know(text, time.Now())
	}
}

// know takes note of one notice.
func (u *Unanswered) know(text string, now time.Time) {
	if len(text) < base64.RawURLEncoding.EncodedLen(noticeBytes) {
		return
	}

	key := text[:base64.RawURLEncoding.EncodedLen(noticeBytes)]

	r := u.known[key]
	if r == nil {
		u.forget(now)

		r = &reviews{at: now}
		u.known[key] = r
	}

	if !slices.Contains(r.notices, text) {
		r.notices = append(r.notices, text)
	}
}

// forget makes space for another review.
func (u *Unanswered) forget(now time.Time) {
	for _, age := range []time.Duration{keepFor, tellFor, tellAtLeast, 0} {
		if len(u.known) < maxKnown {
			return
		}

		maps.DeleteFunc(u.known, func(_ string, r *reviews) bool { return now.Sub(r.at) >= age })
	}
}

// Has tells whether the API server did not wait for the answer about a pod and an
// Injection, as far as this replica knows. Of several pods with the same trace, as many
// have it as there were such reviews.
func (u *Unanswered) Has(trace string, in failure.Injection, pod types.UID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()

	for _, in := range []failure.Injection{in, {}} {
		r := u.known[noticeOf(trace, in)]

		switch {
		case r == nil:
		case slices.Contains(r.pods, pod):
			return true
		case len(r.pods) < len(r.notices):
			r.pods = append(r.pods, pod)

			return true
		}
	}

	return false
}
