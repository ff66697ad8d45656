package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const revision = "5f3c9a1b"

func keyed(namespace, name string) v1alpha1.Withdrawal {
	return v1alpha1.Withdrawal{Namespace: namespace, Kind: "ReplicaSet", Name: name, UID: types.UID(name)}
}

// TestWithdrawalsOfAnOwner follows one owner: tried, withdrawn, tried again, each
// time for longer.
func TestWithdrawalsOfAnOwner(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	key := keyed("shop", "checkout-1")
	none := func(v1alpha1.Withdrawal) bool { return false }

	var all []v1alpha1.Withdrawal
	for try, wait := range []time.Duration{10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 160 * time.Minute, 320 * time.Minute, 6 * time.Hour, 6 * time.Hour} {
		all = tryWithout(key, revision, "no", now)(all)
		if again := tryWithout(key, revision, "other", now.Add(time.Second))(slices.Clone(all)); again[0].Text != "no" || !again[0].Since.Time.Equal(now) {
			t.Errorf("a trial that goes on has another text or time: %+v", again[0])
		}

		all = convict(key, revision, now)(all)
		if len(all) != 1 || all[0].Phase != v1alpha1.WithdrawnPhase || !all[0].Until.Time.Equal(now.Add(wait)) || all[0].Tries != int32(try+1) {
			t.Fatalf("try %d: want it withdrawn for %v: %+v", try, wait, all)
		}

		if early := retry(now.Add(wait-time.Second), none)(all); early[0].Phase != v1alpha1.WithdrawnPhase {
			t.Errorf("try %d: it ended early: %+v", try, early)
		}

		now = now.Add(wait)
		all = retry(now, none)(all)

		if all[0].Phase != v1alpha1.RetryPhase || all[0].Until != nil {
			t.Fatalf("try %d: want a retry: %+v", try, all)
		}
	}

	if all = retry(now.Add(remembered), none)(all); len(all) != 0 {
		t.Errorf("an owner that had no trouble for a day is remembered: %+v", all)
	}
}

// TestAcquit ends a trial without a trace, and touches nothing else.
func TestAcquit(t *testing.T) {
	now := time.Now()
	all := convict(keyed("shop", "a"), revision, now)(tryWithout(keyed("shop", "a"), revision, "no", now)(nil))
	before := append([]v1alpha1.Withdrawal{}, all...)

	all = acquit(keyed("shop", "b"), revision)(tryWithout(keyed("shop", "b"), revision, "no", now)(all))
	all = acquit(keyed("shop", "a"), revision)(all) // its trial is over

	if diff := cmp.Diff(before, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestManyOwners has more and more owners refused: then it is withdrawn from
// whole namespaces, and in the end from all pods.
func TestManyOwners(t *testing.T) {
	now := time.Now()

	var all []v1alpha1.Withdrawal

	refuse := func(namespace, name string) {
		key := keyed(namespace, name)
		all = convict(key, revision, now)(tryWithout(key, revision, "no", now)(all))
	}
	for i := range manyOwners - 1 {
		refuse("shop", fmt.Sprint(i))
	}

	if len(all) != manyOwners-1 {
		t.Fatalf("%d owners have %d withdrawals", manyOwners-1, len(all))
	}

	refuse("shop", "last")

	if len(all) != 1 || all[0].Name != "" || all[0].Namespace != "shop" || all[0].Text != "no" || all[0].Tries != 1 {
		t.Fatalf("want one withdrawal of the namespace: %+v", all)
	}

	for i := range manyWithdrawals - 2 {
		refuse(fmt.Sprint("other-", i), "one")
	}

	if len(all) != manyWithdrawals-1 {
		t.Fatalf("want %d withdrawals, have %d", manyWithdrawals-1, len(all))
	}

	refuse("one-more", "one")

	if len(all) != 1 || all[0].Name != "" || all[0].Namespace != "" || all[0].Until == nil {
		t.Fatalf("want one withdrawal of all: %+v", all)
	}
}

// TestManyTrials has the trials of many owners go on, which prove nothing, and some
// that were withdrawn and are no longer.
func TestManyTrials(t *testing.T) {
	now := time.Now()

	var all []v1alpha1.Withdrawal
	for i := range 2 * manyWithdrawals {
		all = tryWithout(keyed(fmt.Sprint("shop-", i), "one"), revision, "no", now)(all)
	}

	if all = convict(keyed("shop-0", "one"), revision, now)(all); len(all) != 2*manyWithdrawals || all[0].Phase != v1alpha1.WithdrawnPhase {
		t.Fatalf("one proven owner of many: %d are left: %+v", len(all), all[0])
	}

	all = nil
	for i := range manyWithdrawals + 9 {
		key := keyed(fmt.Sprint("shop-", i), "one")
		all = convict(key, revision, now)(tryWithout(key, revision, "no", now)(all))
		all = retry(now.Add(firstWait), func(v1alpha1.Withdrawal) bool { return false })(all)
	}

	if len(all) > manyWithdrawals || all[len(all)-1].Namespace != fmt.Sprint("shop-", manyWithdrawals+8) {
		t.Errorf("%d owners are remembered, the last is %+v", len(all), all[len(all)-1])
	}
}

// TestForgotten drops owners that are gone, and trials of a leader that is gone.
func TestForgotten(t *testing.T) {
	now := time.Now()
	all := tryWithout(keyed("shop", "trial"), revision, "no", now)(nil)
	all = convict(keyed("shop", "gone"), revision, now)(tryWithout(keyed("shop", "gone"), revision, "no", now)(all))
	all = convict(keyed("shop", "here"), revision, now)(tryWithout(keyed("shop", "here"), revision, "no", now)(all))

	all = retry(now, func(w v1alpha1.Withdrawal) bool { return w.Name == "gone" })(all)
	if len(all) != 2 || all[0].Name != "trial" || all[1].Name != "here" {
		t.Errorf("want trial and here: %+v", all)
	}

	all = retry(now.Add(trialLimit+time.Minute), func(v1alpha1.Withdrawal) bool { return false })(all)
	if len(all) != 1 || all[0].Name != "here" || all[0].Phase != v1alpha1.RetryPhase {
		t.Errorf("want here, to be tried again: %+v", all)
	}
}

// TestManyAlike has many owners refused for the same cause. A few that are proven
// then speak for all; they do not for those that are refused for something else.
func TestManyAlike(t *testing.T) {
	now := time.Now()

	for _, c := range []struct {
		proven, alike, others int
		want                  bool
	}{
		{fewOwners, manyOwners - fewOwners, 0, true},
		{fewOwners - 1, 2 * manyOwners, 0, false},
		{fewOwners, manyOwners - fewOwners - 1, manyOwners, false},
	} {
		var all []v1alpha1.Withdrawal

		begin := func(n int, cause string) (keys []v1alpha1.Withdrawal) {
			for i := range n {
				key := keyed("shop", fmt.Sprintf("%s-%d", cause, i))
				all = tryWithout(key, revision, fmt.Sprintf("pods %q is forbidden: %s", key.Name, cause), now)(all)
				keys = append(keys, key)
			}

			return keys
		}

		begin(c.others, "other")

		for _, key := range begin(c.proven+c.alike, "policy")[:c.proven] {
			all = convict(key, revision, now)(all)
		}

		if is := len(all) == 1 && all[0].Name == ""; is != c.want {
			t.Errorf("%+v: withdrawn from the namespace: %t", c, is)
		}
	}
}

// TestWithdrawStuck withdraws without a trial. In a retry, only a pod that was created
// since is a reason for more: those from before are stuck still.
func TestWithdrawStuck(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	key := keyed("shop", "web-1")
	none := func(v1alpha1.Withdrawal) bool { return false }
	stuck := func(all []v1alpha1.Withdrawal, created time.Time) []v1alpha1.Withdrawal {
		return withdrawStuck(key, revision, "no image", created, now)(slices.Clone(all))
	}

	created := now.Add(-2 * time.Minute)

	all := stuck(nil, created)
	if len(all) != 1 || all[0].Phase != v1alpha1.WithdrawnPhase || all[0].Fate() != "did not start" || all[0].Tries != 1 || !all[0].Until.Time.Equal(now.Add(firstWait)) {
		t.Fatalf("want it withdrawn: %+v", all)
	}

	if diff := cmp.Diff(all, stuck(all, now)); diff != "" {
		t.Errorf("it is withdrawn already (-want +got):\n%s", diff)
	}

	now = now.Add(firstWait)
	all = retry(now, none)(all)

	if diff := cmp.Diff(all, stuck(all, created)); diff != "" {
		t.Errorf("a pod from before says nothing (-want +got):\n%s", diff)
	}

	all = stuck(all, now.Add(time.Second))
	if len(all) != 1 || all[0].Tries != 2 || !all[0].Until.Time.Equal(now.Add(2*firstWait)) {
		t.Errorf("want it withdrawn for twice as long: %+v", all)
	}

	// A trial goes on: its outcome comes first. A refusal in a retry is no hang.
	trial := tryWithout(key, revision, "refused", now)(nil)
	if diff := cmp.Diff(trial, stuck(trial, now)); diff != "" {
		t.Errorf("in a trial (-want +got):\n%s", diff)
	}

	all = tryWithout(key, revision, "refused", now)(retry(now.Add(2*firstWait), none)(all))
	if all[0].Fate() != "were refused" {
		t.Errorf("want a trial for a refusal: %+v", all)
	}

	var many []v1alpha1.Withdrawal
	for i := range manyOwners {
		many = withdrawStuck(keyed("shop", fmt.Sprint(i)), revision, "no image", now, now)(many)
	}

	if len(many) != 1 || many[0].Name != "" || many[0].Fate() != "did not start" {
		t.Errorf("want one withdrawal of the namespace: %+v", many)
	}
}

// TestStartedSince tells when a pod has started.
func TestStartedSince(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	waiting := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}
	crashed := waiting
	crashed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1}

	for name, tc := range map[string]struct {
		status      []corev1.ContainerStatus
		initialized time.Duration
		want        bool
	}{
		"Lately":  {[]corev1.ContainerStatus{running}, time.Second, true},
		"Before":  {[]corev1.ContainerStatus{running}, -time.Second, false},
		"Waits":   {[]corev1.ContainerStatus{running, waiting}, time.Second, false},
		"Crashes": {[]corev1.ContainerStatus{crashed}, time.Second, true}, // for reasons of its own
		"NoNode":  {nil, time.Second, false},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: tc.status, Conditions: []corev1.PodCondition{
			{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(tc.initialized))},
		}}}
		if got := startedSince(pod, now); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// TestTextIsBounded puts a long refusal of several lines into withdrawals: it becomes a
// line, as does one that an earlier version has written.
func TestTextIsBounded(t *testing.T) {
	now := time.Now()
	long := "pods \"web-1\" is forbidden:\n" + strings.Repeat("no image from <elsewhere>;\r\n", 1500)
	key := keyed("shop", "web-1")
	none := func(v1alpha1.Withdrawal) bool { return false }
	earlier := v1alpha1.Withdrawal{Namespace: "shop", Kind: "Job", Name: "a", Revision: revision, Phase: v1alpha1.WithdrawnPhase, Text: long}

	for name, all := range map[string][]v1alpha1.Withdrawal{
		"Trial":   tryWithout(key, revision, long, now)(nil),
		"Stuck":   withdrawStuck(key, revision, long, now, now)(nil),
		"Earlier": retry(now, none)([]v1alpha1.Withdrawal{earlier}),
	} {
		text := all[0].Text
		if len(text) > maxText || strings.ContainsAny(text, "\r\n") || !strings.HasPrefix(text, "pods \"web-1\" is forbidden: no image from") {
			t.Errorf("%s: %d bytes: %q", name, len(text), text)
		}
	}
}

// TestMostTexts has as many withdrawals as there can be at a time, each with the
// longest text and name: they fit into an object of etcd (1.5 MiB).
func TestMostTexts(t *testing.T) {
	now := time.Now()
	long := strings.Repeat("no \"image\"; ", 9000)

	var all []v1alpha1.Withdrawal
	for i := range 3 * manyWithdrawals { // trials, those that wait, and withdrawals
		key := keyed(fmt.Sprintf("%063d", i), strings.Repeat("n", 253))
		all = tryWithout(key, revision, long, now)(all)
	}

	raw, err := json.Marshal(all)
	if err != nil || len(raw) > 3<<19 {
		t.Errorf("%d bytes: %v", len(raw), err)
	}
}

// TestLongAlike has owners with names of many lengths refused in the same words, which
// are cut at another place in each.
func TestLongAlike(t *testing.T) {
	now := time.Now()
	cause := strings.Repeat("no image from elsewhere; ", 90)

	var all []v1alpha1.Withdrawal
	for i := range manyOwners {
		key := keyed("shop", strings.Repeat("x", i+1))
		all = tryWithout(key, revision, fmt.Sprintf("pods %q is forbidden: %s", key.Name, cause), now)(all)
	}

	for i := range fewOwners {
		all = convict(keyed("shop", strings.Repeat("x", i+1)), revision, now)(all)
	}

	if len(all) != 1 || all[0].Name != "" {
		t.Errorf("want one withdrawal of the namespace: %d", len(all))
	}
}
