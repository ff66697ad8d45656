package pods

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// stuckCase is a leader's term, and a pod of a ReplicaSet.
type stuckCase struct {
	*term

	t        *testing.T
	declared *v1alpha1.Injection
	pod      *corev1.Pod
	told     []failure.Failure
	asked    []string // the texts of the withdrawals
}

func newStuckCase(t *testing.T) *stuckCase {
	t.Helper()

	c := &stuckCase{t: t, declared: starter()}
	c.term = newTerm(&Audit{known: c, reporter: c, withdrawer: c, told: map[string]bool{}})
	c.o.setDefaults()

	pod := newPod()
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "web", Controller: new(true)}}
	c.pod = inject(t, pod, c.declared)

	return c
}

// Get returns the Injection.
func (c *stuckCase) Get(string, string) *patches.Injection { return patches.Compile(c.declared) }

// Match is not asked.
func (c *stuckCase) Match(patches.Traits, string) ([]patches.Match, error) { return nil, nil }

// Previews is not asked.
func (c *stuckCase) Previews(patches.Traits, string) []patches.Match { return nil }

// Stopped is false.
func (c *stuckCase) Stopped() (bool, time.Time) { return false, time.Time{} }

// NamespacesUpTo is not asked.
func (c *stuckCase) NamespacesUpTo() string { return "" }

// Report notes a failure.
func (c *stuckCase) Report(f failure.Failure) { c.told = append(c.told, f) }

// Owed is not asked.
func (c *stuckCase) Owed(...failure.Reason) map[string]bool { return nil }

// WithdrawStuck notes what it is asked.
func (c *stuckCase) WithdrawStuck(_ context.Context, _ *metav1.ObjectMeta, _ *patches.Injection, text string, _ time.Time, isStuck func(types.UID) bool) error {
	if !isStuck(c.pod.UID) {
		c.t.Error("the pod is not stuck")
	}

	c.asked = append(c.asked, text)

	return nil
}

// passes lets the pod be seen with a status, and then time pass.
func (c *stuckCase) passes(d time.Duration, init ...corev1.ContainerStatus) {
	c.t.Helper()

	c.pod.Status.InitContainerStatuses = init
	in, p := patches.Compile(c.declared), decode(c.t, c.pod)
	all := judge(p, birthOf(c.pod), "shop", matches(in, c.pod), func(*patches.Injection) Since { return Since{} })

	var next []stated
	for _, v := range all {
		name := nameOf(v.injection)
		was, _ := c.book.state(c.pod.UID, name)
		s := sighting{pod: c.pod, was: was, symptoms: c.mounts.symptoms(c.pod, p, all)}
		next = append(next, stated{tally: c.book.tally(name), state: c.stateOf(s, v)})
	}

	c.book.put(c.pod.UID, c.pod.CreationTimestamp.Time, entry{states: next, group: c.book.groups.of(c.pod), isOver: isOver(c.pod)})

	for range int(d / time.Second) {
		time.Sleep(time.Second)
		c.hangs.tell(time.Now())

		if err := c.hangs.withdraw(c.t.Context(), time.Now()); err != nil {
			c.t.Error(err)
		}
	}
}

// is fails the test unless the pod has this state, and so many failures were told and
// withdrawals asked for.
func (c *stuckCase) is(want State, told, asked int) {
	c.t.Helper()

	got, _ := c.book.state(c.pod.UID, types.NamespacedName{Namespace: "shop", Name: "starter"})
	if got != want || len(c.told) != told || len(c.asked) != asked {
		c.t.Errorf("state %d, told %v, asked %v; want %d, %d, %d", got, c.told, c.asked, want, told, asked)
	}
}

func running(name string, restarts int32) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: name, RestartCount: restarts, Started: new(true)}
	s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Now()}

	if restarts > 0 {
		s.LastTerminationState = ended(name, 1).State
	}

	return s
}

// TestStuck tells a pod once it has hung for half a minute, and asks for a withdrawal
// after two, ever less often.
func TestStuck(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		reason string
		run    func(*stuckCase)
	}{
		"Lasts": {"It hangs for good.", func(c *stuckCase) {
			c.passes(29*time.Second, waiting("wait", "ErrImagePull", ""))
			c.is(Injected, 0, 0)
			c.passes(2*time.Second, waiting("wait", "ImagePullBackOff", ""))
			c.is(Stuck, 1, 0)
			c.passes(100*time.Second, waiting("wait", "ImagePullBackOff", ""))
			c.is(Stuck, 1, 2)
			c.passes(10*time.Minute, waiting("wait", "ImagePullBackOff", ""))
			c.is(Stuck, 1, 7)
		}},
		"Hiccup": {"A pull that fails once.", func(c *stuckCase) {
			c.passes(15*time.Second, waiting("wait", "ImagePullBackOff", ""))
			c.passes(time.Minute, running("wait", 0))
			c.is(Injected, 0, 0)
		}},
		"OneCrash": {"A container that fails once.", func(c *stuckCase) {
			c.passes(2*time.Second, ended("mesh", 1))
			c.passes(time.Hour, running("mesh", 1))
			c.is(Injected, 0, 0)
		}},
		"Loop": {"It runs for a moment each time.", func(c *stuckCase) {
			for i := range int32(4) {
				c.passes(3*time.Second, running("mesh", i))
				c.passes(10*time.Second, looping("mesh"))
			}
			c.is(Stuck, 1, 0)
		}},
		"Recovers": {"It is counted no more, and not told again.", func(c *stuckCase) {
			c.passes(time.Minute, looping("mesh"))
			again := running("mesh", 1)
			c.passes(5*time.Second, again)
			c.is(Stuck, 1, 0)
			c.passes(6*time.Second, again)
			c.is(Injected, 1, 0)
			c.passes(time.Minute, looping("mesh"))
			c.is(Stuck, 1, 0)
		}},
		"Mended": {"Its image is there.", func(c *stuckCase) {
			c.passes(time.Minute, waiting("wait", "ImagePullBackOff", ""))
			c.passes(time.Second, ended("wait", 0))
			c.is(Injected, 1, 0)
		}},
		"Edited": {"An edit is a new try; the pod hangs on.", func(c *stuckCase) {
			c.passes(time.Minute, waiting("wait", "ImagePullBackOff", ""))
			c.declared.Spec.InitContainers[0].Image = "registry.example/wait:2"
			c.passes(time.Hour, waiting("wait", "ImagePullBackOff", ""))
			c.is(Stuck, 1, 0)
		}},
		"Deny": {"The user wants no pod without it.", func(c *stuckCase) {
			c.declared.Spec.OnFailure = v1alpha1.Deny
			c.passes(time.Hour, waiting("wait", "ImagePullBackOff", ""))
			c.is(Stuck, 1, 0)
		}},
		"NextLeader": {"It knows by the event that it was told.", func(c *stuckCase) {
			c.Audit.told[failure.OnceOf(c.pod.UID, types.NamespacedName{Namespace: "shop", Name: "starter"}, failure.Stuck)] = true
			c.passes(time.Hour, waiting("wait", "ImagePullBackOff", ""))
			c.is(Stuck, 0, 17)
		}},
		"Gone": {"It is deleted before it is told.", func(c *stuckCase) {
			c.passes(time.Second, looping("mesh"))
			c.forget(c.pod.UID, c.book.remove(c.pod.UID))
			time.Sleep(time.Hour)
			c.hangs.tell(time.Now())
			c.is(Earlier, 0, 0)
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				t.Log(tc.reason)
				tc.run(newStuckCase(t))
			})
		})
	}
}
