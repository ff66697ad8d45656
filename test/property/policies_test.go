//go:build apiserver

package property

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

var (
	owners    = flag.Int("owners", 200, "how many ReplicaSets are judged by policies and ServiceAccounts")
	onlyGuard = flag.Int("room", -1, "the number of the one namespace of such ReplicaSets to make")
)

const (
	// ownersPerRoom is how many ReplicaSets share policies: fewer than have an
	// Injection withdrawn from their whole namespace.
	ownersPerRoom = 8
	// A ReplicaSet's own waits double to 1,000 s. It is made to try again once a trial
	// is known to all, and now and then. It has 25 events at most, so that more than as
	// many refusals are not heard of.
	round, nudges = 4 * time.Second, 15 * time.Second
	// between is longer than from the end of one try of a trial to the next one.
	between = 30 * time.Second
	// clusterNumber is the number of the first ClusterInjection.
	clusterNumber = 10
	// stuck is how long nothing changes when no more pods are to come.
	stuck = 90 * time.Second
)

// TestPolicies has real controllers create the pods of many ReplicaSets, which
// random policies and ServiceAccounts refuse, for what Injections add or for what
// is the pods' own. In the end the pods run that would run without Telltale. Each
// lacks the Injections that it can't have, no others, and its ReplicaSet says so. If
// a pod is refused for its own sake, no Injection is blamed, and once that ends the
// pod has all that it can have.
func TestPolicies(t *testing.T) {
	drawSeed()
	t.Logf("seed %d: go test -tags apiserver ./test/property -run TestPolicies -args -seed=%d -owners=%d", *seed, *seed, *owners)

	r := &run{cluster: startCluster(t)}
	begin := time.Now()
	rooms := r.guardedRooms(t)
	r.waitForPolicies(t)
	harness.Start(t, r.telltale)
	harness.WaitReady(t, r.telltale)
	r.waitForChecks(t)
	t.Logf("%v for the Injections", time.Since(begin).Round(time.Second))

	var sets []*set
	for _, room := range rooms {
		sets = append(sets, room.sets...)
	}

	each(8, sets, func(s *set) { s.judge(t, r) })
	each(8, sets, func(s *set) { s.create(t, r) })
	r.waitQuiet(t, sets)
	r.checkSets(t, sets, "while all policies are in force")

	r.endFaults(t, rooms)
	r.excuse(t, sets)
	each(8, sets, func(s *set) { s.judge(t, r) })
	each(8, sets, func(s *set) { s.nudge(t, r) })
	r.waitQuiet(t, sets)
	r.checkSets(t, sets, "after the faults of the pods ended")
	r.checkShown(t)
	t.Logf("%v in all", time.Since(begin).Round(time.Second))
}

// drawSeed draws a seed if it is to be a new one.
func drawSeed() {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
}

// guardedRooms makes the namespaces, their Injections, policies and ServiceAccounts.
func (r *run) guardedRooms(t *testing.T) (rooms []*guarded) {
	t.Helper()

	var cluster []declared
	for i := range 4 {
		c := &v1alpha1.ClusterInjection{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClusterInjection"},
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("cl-%d", i)},
		}
		c.Spec.InjectionSpec = newDice(nil, *seed, 1<<63|uint64(i)<<1, 0).judgedSpec(clusterNumber + i)
		c.Spec.Selector.MatchLabels = map[string]string{"app": pick(newDice(nil, *seed, 1<<63|uint64(i)<<1|1, 0), "web", "cart")}
		c.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"cluster": fmt.Sprint(i)}}
		cluster = r.declare(t, cluster, "cluster/"+c.Name, "/apis/telltale.dev/v1alpha1/clusterinjections", encode(t, c))
	}

	all := make([]*guarded, (*owners+ownersPerRoom-1)/ownersPerRoom)
	numbers := make([]int, len(all))

	for i := range all {
		numbers[i] = i
	}

	each(8, numbers, func(i int) {
		if *onlyGuard < 0 || *onlyGuard == i {
			all[i] = r.guard(t, i, cluster)
		}
	})

	return slices.DeleteFunc(all, func(g *guarded) bool { return g == nil })
}

// waitForPolicies waits until all policies are in force. The API server reads them in
// the order in which they were made, so that one more tells.
func (r *run) waitForPolicies(t *testing.T) {
	t.Helper()

	last := policy{expression: "object.metadata.name != 'probe'", message: "all policies are in force."}
	r.apply(t, "last", last, nil)
	harness.Eventually(t, "all policies", func(ctx context.Context) error {
		if a := r.create(ctx, "/api/v1/namespaces/default/pods", encode(t, probe()), true); a.err == nil || !strings.Contains(a.err.Error(), last.message) {
			return fmt.Errorf("the pod is taken, or refused for another reason: %w", a.err)
		}

		return nil
	})
}

// probe is a pod that Telltale is not asked about.
func probe() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{v1alpha1.InjectLabel: v1alpha1.Disabled}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}},
	}
}

// waitQuiet waits until no more pods come, every ReplicaSet with a pod is in no trial, and
// every one without has had a trial that has ended. Others may follow. The outcome of a
// trial is told a little later.
func (r *run) waitQuiet(t *testing.T, sets []*set) {
	t.Helper()

	begin, before, changed := time.Now(), -1, time.Now()

	for time.Since(changed) < stuck {
		waiting := r.look(t, sets)
		if len(waiting) != before {
			before, changed = len(waiting), time.Now()
		}

		if len(waiting) == 0 && time.Since(changed) > round {
			t.Logf("quiet after %v", time.Since(begin).Round(time.Second))

			return
		}

		each(8, waiting, func(s *set) {
			known := s.tried.Add(round)
			if !s.tried.IsZero() && time.Now().After(known) && s.nudged.Before(known) || time.Since(s.nudged) > nudges {
				s.nudge(t, r)
			}
		})
		time.Sleep(500 * time.Millisecond) // it looks at many objects
	}

	t.Logf("not quiet after %v: for %v, nothing changed for %d", time.Since(begin).Round(time.Second), stuck, before)
}

// look returns the ReplicaSets that a pod or the end of a trial is still to come for.
func (r *run) look(t *testing.T, sets []*set) (waiting []*set) {
	t.Helper()

	var pods corev1.PodList
	if err := r.api.Get().Resource("pods").Do(t.Context()).Into(&pods); err != nil {
		t.Fatal(err)
	}

	by := map[types.UID]*corev1.Pod{}

	for i := range pods.Items {
		if c := metav1.GetControllerOf(&pods.Items[i]); c != nil {
			by[c.UID] = &pods.Items[i]
		}
	}

	trials := map[types.UID]time.Time{}

	for _, w := range r.withdrawals(t) {
		if w.Phase == v1alpha1.TrialPhase {
			trials[w.UID] = w.Since.Time
		}

		if w.Name == "" {
			t.Fatalf("an Injection is withdrawn from many owners: draw fewer of one: %v", w)
		}
	}

	log, err := os.ReadFile(r.telltale.Log)
	if err != nil {
		t.Fatal(err)
	}

	for _, s := range sets {
		began := strings.Contains(string(log), fmt.Sprintf("%q", "replicaset "+s.room.with+"/"+s.object.Name))
		s.see(by[s.uid], began, trials[s.uid])

		if s.pod == nil && (s.runs || s.suspected && !s.ended) || s.pod != nil && !s.tried.IsZero() {
			waiting = append(waiting, s)
		}
	}

	return waiting
}

// withdrawals are those of all Injections.
func (r *run) withdrawals(t *testing.T) (all []v1alpha1.Withdrawal) {
	t.Helper()

	for _, kind := range []string{"injections", "clusterinjections"} {
		raw, err := r.api.Get().AbsPath("/apis/telltale.dev/v1alpha1/" + kind).Do(t.Context()).Raw()
		if err != nil {
			t.Fatal(err)
		}

		for _, in := range decode[v1alpha1.InjectionList](t, raw).Items {
			all = append(all, in.Status.Withdrawn...)
		}
	}

	return all
}

// endFaults ends what refuses pods for their own sake.
func (r *run) endFaults(t *testing.T, rooms []*guarded) {
	t.Helper()

	each(8, rooms, func(g *guarded) { g.end(t, r) })
	// In the order in which they are read, this one comes last.
	const path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/last"
	if err := r.api.Delete().AbsPath(path).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}

	harness.Eventually(t, "the policies end", func(ctx context.Context) error {
		return r.create(ctx, "/api/v1/namespaces/default/pods", encode(t, probe()), true).err
	})
	// The cache of ServiceAccounts.
	harness.Eventually(t, "the ServiceAccounts", func(ctx context.Context) error {
		var broken error
		for _, g := range rooms {
			broken = errors.Join(broken, g.ended(ctx, t, r))
		}

		return broken
	})
}

// excuse lets be the ReplicaSets that were in a trial when the faults ended: an
// Injection may be blamed for a refusal that has just ended by itself.
func (r *run) excuse(t *testing.T, sets []*set) {
	t.Helper()

	had := map[*set]bool{}
	for _, s := range sets {
		had[s] = s.pod != nil
	}

	time.Sleep(round) // the last refusals of before are heard by then
	r.look(t, sets)

	for _, s := range sets {
		s.checked = s.checked || !s.tried.IsZero() || s.pod != nil && !had[s]
	}
}
