package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestRefusedTwice begins a trial for a refusal that mostly ends by itself only when the
// next pod was refused for the same, too.
func TestRefusedTwice(t *testing.T) {
	const (
		quota   = `Error creating: pods "web-%d" is forbidden: exceeded quota: q, requested: pods=1, used: pods=%d, limited: pods=9`
		other   = `Error creating: pods "web-%d" is forbidden: exceeded quota: r, requested: pods=1, used: pods=%d, limited: pods=9`
		account = `Error creating: pods "web-%d" is forbidden: error looking up service account shop/late: serviceaccount "late" not found (%d)`
		away    = `Error creating: Internal error occurred: failed calling webhook "x" (%d, %d)`
		policy  = `Error creating: pods "web-%d" is forbidden: no %d`
	)

	cases := map[string]struct {
		reason string
		heard  []string
		apart  time.Duration
		want   bool
	}{
		"Policy":    {"It lasts.", []string{policy}, time.Second, true},
		"Once":      {"The quota may be free by the next try.", []string{quota}, time.Second, false},
		"Twice":     {"The figures change.", []string{quota, quota}, time.Second, true},
		"AfterAway": {"The first was of something else.", []string{away, quota}, time.Second, false},
		"AfterMany": {"All were of something else.", []string{away, policy, away, quota}, time.Second, false},
		"OtherRule": {"Each of the two may end.", []string{quota, other}, time.Second, false},
		"Account":   {"A quota that has ended.", []string{quota, account}, time.Second, false},
		"Between":   {"A pod got past the quota.", []string{quota, away, quota}, time.Second, false},
		"LongAgo":   {"No controller waits that long.", []string{quota, quota}, trialLimit + 1, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

			var s story

			for i, message := range tc.heard {
				now = now.Add(tc.apart)
				words, kind := refusalIn(fmt.Sprintf(message, i, i))
				s.hear(refusal{words: words, kind: kind, at: now}, 1)
			}

			if begin, _ := s.judge(true, false, now); begin != tc.want {
				t.Errorf("%s got %t", tc.reason, begin)
			}
		})
	}
}

// TestRefusedOnceAndCreated has the pod come in at the next try, and another be refused
// a while later: each time it is the first.
func TestRefusedOnceAndCreated(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

	var s story

	for range 3 {
		s.hear(refusal{words: `pods "web" is forbidden: exceeded quota: q`, kind: passingRefusal, at: now, happened: now}, 1)

		if begin, again := s.judge(true, false, now); begin || again == 0 {
			t.Fatalf("want a second look: %t, %v", begin, again)
		}

		now = now.Add(skew)
		if begin, again := s.judge(false, false, now); begin || again != 0 {
			t.Fatalf("it has its pods: %t, %v", begin, again)
		}

		now = now.Add(time.Minute)
	}
}

// TestJudge draws refusals of an owner, and moments in which it has its pods, and holds
// each judgement against the whole history.
func TestJudge(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 11))

	for range 500 {
		m := judged{now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
		for range 60 {
			m.step(t, draw)
		}
	}
}

// judged is a story and its history: the refusals, and an empty one for each moment
// after which a row begins anew.
type judged struct {
	story
	now     time.Time
	history []refusal
}

func (m *judged) step(t *testing.T, draw *rand.Rand) {
	t.Helper()

	m.now = m.now.Add(time.Duration(draw.ExpFloat64() * float64(2*time.Minute)))

	if draw.IntN(10) < 6 {
		r := drawRefusal(draw, m.now)
		times := 1 + draw.IntN(2)*draw.IntN(2)
		m.hear(r, times)

		for range times {
			m.history = append(m.history, r)
		}
	}

	if m.handled == m.heard {
		return
	}

	wants := draw.IntN(4) > 0
	begin, again := m.judge(wants, false, m.now.Add(skew))

	if want := wants && m.newest.isAfter(m.convicted) && m.isReason(); begin != want || again != 0 {
		t.Fatalf("begin %t, want %t; again %v, %+v", begin, want, again, m.history)
	}

	switch {
	case begin && draw.IntN(2) == 0:
		m.story.convict(m.now)
		m.history = append(m.history, refusal{})
	case begin:
		m.acquit(newTrial(v1alpha1.Withdrawal{}, nil, m.now), m.now)
	case !wants && m.newest.isAfter(m.convicted):
		m.history = append(m.history, refusal{})
	}
}

// isReason tells whether the newest refusal lasts, or is the second of a row at least.
func (m *judged) isReason() bool {
	last := m.history[len(m.history)-1]
	if last.kind != passingRefusal || len(m.history) == 1 {
		return last.kind == lastingRefusal
	}

	before := m.history[len(m.history)-2]

	return before.kind == passingRefusal && before.words[:20] == last.words[:20] && last.at.Sub(before.at) <= trialLimit
}

// drawRefusal draws one of a few rules. The figures differ each time.
func drawRefusal(draw *rand.Rand, now time.Time) refusal {
	r := refusal{at: now, kind: passingRefusal}

	switch rule := draw.IntN(5); rule {
	case 0:
		r.kind, r.words = otherRefusal, "Internal error occurred: failed calling webhook"
	case 1:
		r.kind, r.words = lastingRefusal, `pods "x" is forbidden: no`
	case 2:
		r.words = `pods: error looking up service account shop/late: not found`
	default:
		r.words = fmt.Sprintf("pods: quota %d: exceeded quota, requested: pods=1, used: pods=%d", rule, draw.IntN(9))
	}

	return r
}

// TestListedAnew has the watch of events begin anew: no pod was refused again.
func TestListedAnew(t *testing.T) {
	r := &Refusals{stories: map[ownerRef]*story{}}

	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ownerRef]())
	defer queue.ShutDown()

	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{ResourceVersion: "7"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Namespace: "shop", Name: "job", UID: "1"},
		Message:        `Error creating: pods "x" is forbidden: exceeded quota: q`, LastTimestamp: metav1.Now(), Count: 1,
	}
	r.hear(e, int(e.Count), queue)
	r.hearMore(e, e.DeepCopy(), queue)

	ref, _ := ownerOf(&e.InvolvedObject)
	if n := r.stories[ref].heard; n != 1 {
		t.Errorf("heard %d refusals of 1", n)
	}

	again := e.DeepCopy()
	again.ResourceVersion, again.Count = "8", 3
	r.hearMore(e, again, queue)

	if n := r.stories[ref].heard; n != 3 {
		t.Errorf("heard %d refusals of 3", n)
	}
}
