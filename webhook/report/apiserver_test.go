//go:build apiserver

package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// TestOwners: a failure is shown on the object that a person would describe,
// whatever made the pod.
func TestOwners(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web, bareSet, bareJob := c.deployment(), c.replicaSet("bare"), c.job("bare")
	db := c.made(&appsv1.StatefulSet{ObjectMeta: named("db"), Spec: appsv1.StatefulSetSpec{Selector: selector(), Template: template()}})
	agent := c.made(&appsv1.DaemonSet{ObjectMeta: named("agent"), Spec: appsv1.DaemonSetSpec{Selector: selector(), Template: template()}})
	backup := c.made(&batchv1.CronJob{ObjectMeta: named("backup"), Spec: batchv1.CronJobSpec{
		Schedule: "@daily", JobTemplate: batchv1.JobTemplateSpec{Spec: jobSpec()},
	}})
	rollout := c.unknownKind("canary")
	pod := &corev1.Pod{ObjectMeta: named("once"), Spec: template().Spec}
	pod.Annotations = map[string]string{v1alpha1.FailedAnnotation: "proxy@5f3c9a1b=InjectionConflict"}
	once := c.made(pod)
	driver := c.made(&corev1.Pod{ObjectMeta: named("driver"), Spec: template().Spec})
	nameless := failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: c.namespace}
	unborn := once
	unborn.UID = ""

	cases := map[string]struct {
		reason     string
		controller failure.Ref // from the review
		want       failure.Ref
	}{
		"Deployment":            {"The ReplicaSet has a controller.", c.replicaSet("web-1", web), web},
		"ReplicaSet":            {"It has no controller.", bareSet, bareSet},
		"StatefulSet":           {"It makes its pods itself.", db, db},
		"DaemonSet":             {"It makes its pods itself.", agent, agent},
		"Job":                   {"It has no controller.", bareJob, bareJob},
		"CronJob":               {"The Job has a controller.", c.job("backup-1", backup), backup},
		"UnknownKind":           {"We need no rights to its kind.", rollout, rollout},
		"UnknownKindReplicaSet": {"We need no rights to the kind of the ReplicaSet's controller.", c.replicaSet("canary-1", rollout), rollout},
		"Pod":                   {"It had no uid in the review.", unborn, once},
		"PodOfPod":              {"A pod may control others.", driver, driver},
		"NamelessPod":           {"A pod without a name can't be found.", nameless, ledger.Namespace(c.namespace)},
	}
	r, _ := running(t, cp.Config)
	want := map[failure.Ref]int32{}
	for _, tc := range cases {
		r.reportTimes(3, failed(tc.controller))
		want[tc.want] += 3
	}
	for _, tc := range cases {
		c.wantCount(tc.want, want[tc.want])
	}
	all := &corev1.EventList{}
	if err := c.List(t.Context(), all, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != len(want) {
		t.Errorf("%d events, want %d: another object got one", len(all.Items), len(want))
	}
}

// TestKubectl: people look for events in three ways, and each shows ours.
func TestKubectl(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment()
	r, _ := running(t, cp.Config)
	r.reportTimes(37, failed(c.replicaSet("web-1", web)))
	c.wantCount(web, 37)

	text := `Injection "proxy" not applied: container "app" already sets env HTTP_PROXY. ` +
		`Remove it there, or set onConflict on the Injection. Last pod: web-1-*`
	for _, args := range []string{"describe deployment web", "events --for deployment/web", "get events"} {
		out, err := cp.Kubectl(t.Context(), append(strings.Fields(args), "--namespace", c.namespace)...)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		last := lines[len(lines)-1]
		for _, part := range []string{"Warning", "InjectionConflict", text} {
			if !strings.Contains(last, part) {
				t.Errorf("kubectl %s does not end in %q:\n%s", args, part, out)
			}
		}
		if args == "describe deployment web" && (!strings.Contains(last, "x37") || !strings.Contains(last, "telltale")) {
			t.Errorf("kubectl %s does not show the count, or the component:\n%s", args, out)
		}
	}
}

// TestTwoReporters: two reporters write at the same time, and there is one
// event, with the sum of both.
func TestTwoReporters(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment()
	r1, _ := running(t, cp.Config)
	r2, _ := running(t, cp.Config)
	for i := range 20 {
		set := c.replicaSet(fmt.Sprintf("web-%d", i), web)
		r1.reportTimes(3, failed(set))
		r2.reportTimes(4, failed(set))
	}
	c.wantCount(web, 20*7)
	r1.Report(failed(c.replicaSet("web-late", web)))
	c.wantCount(web, 20*7+1)
}

// TestCallsOfThree: in a storm on one owner, three replicas make two calls at most
// for each write, and two more for each time when it met another's. The count is
// exact. (They write every second here, so they meet ten times as often as by
// default. A busy machine has them meet more often.)
func TestCallsOfThree(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment()
	set := c.replicaSet("web-1", web)
	replicas := make([]*Reporter, 3)
	for i := range replicas {
		replicas[i], _ = running(t, cp.Config)
	}
	var calls, writes, met int64
	n := int32(0)
	harness.Eventually(t, "90 writes", func(context.Context) error {
		calls, writes, met = 0, 0, 0
		for _, r := range replicas {
			r.Report(failed(set))
			n++
			for result, n := range r.branches[0].sink.(*event.Writer).Calls() {
				calls += n
				if result == event.Created || result == event.Patched {
					writes += n
				}
				if result == event.Conflict {
					met += n
				}
			}
		}
		if writes < 90 {
			return fmt.Errorf("%d writes", writes)
		}

		return nil
	})
	t.Logf("%.2f calls for each of %d writes, of which %d met another's", float64(calls)/float64(writes), writes, met)
	if inFlight := int64(len(replicas)); calls > 2*(writes+met)+inFlight {
		t.Errorf("%d calls", calls)
	}
	c.wantCount(web, n)
}

// TestDeletedEvent: the failures on a deleted event stay reported; later ones
// are on a new event.
func TestDeletedEvent(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment()
	set := c.replicaSet("web-1", web)
	r, _ := running(t, cp.Config)
	r.reportTimes(5, failed(set))
	c.wantCount(web, 5)
	if err := c.Delete(t.Context(), &c.events(t.Context(), web)[0]); err != nil {
		t.Fatal(err)
	}
	r.reportTimes(2, failed(set))
	c.wantCount(web, 2)
}

// TestRecreatedDeployment: a new Deployment of the same name starts its own
// count.
func TestRecreatedDeployment(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	r, _ := running(t, cp.Config)
	first := c.deployment()
	r.reportTimes(5, failed(c.replicaSet("web-1", first)))
	c.wantCount(first, 5)
	c.deleteDeployment()
	second := c.deployment()
	r.reportTimes(2, failed(c.replicaSet("web-2", second)))
	c.wantCount(second, 2)
	c.wantCount(first, 5)
}

// TestAdopted: a Deployment is deleted and leaves its ReplicaSet behind, and
// another one of that name adopts the ReplicaSet. Failures are on the ReplicaSet
// while nothing controls it, and then on the new Deployment. None is lost.
func TestAdopted(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	r, _ := running(t, cp.Config)
	first := c.deployment()
	set := c.replicaSet("web-1", first)
	r.Report(failed(set))
	c.wantCount(first, 1)

	c.deleteDeployment()
	c.control(set)
	n := 1 + c.reportUntilOn(r, set, set)
	second := c.deployment()
	c.control(set, second)
	n += c.reportUntilOn(r, set, second)
	harness.Eventually(t, "all are on events", func(ctx context.Context) error {
		sum := int32(0)
		for _, on := range []failure.Ref{first, set, second} {
			for _, e := range c.events(ctx, on) {
				sum += e.Count
			}
		}
		if sum != n {
			return fmt.Errorf("%d of %d failures", sum, n)
		}

		return nil
	})
}

// TestForgedReview: a forged review leads to no event, and is counted.
func TestForgedReview(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment()
	set := c.replicaSet("web-1", web)
	r, _ := running(t, cp.Config)
	otherUID, otherName, otherNamespace := set, set, set
	otherUID.UID = "forged"
	otherName.Name = "forged"
	otherNamespace.Namespace = "no-such"
	for _, forged := range []failure.Ref{otherUID, otherName, otherNamespace} {
		r.reportTimes(4, failed(forged))
	}
	db := failure.Ref{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: "no-such", Name: "db", UID: "forged"}
	r.reportTimes(2, failed(db)) // its owner is believed, but there is nowhere to write
	r.Report(failure.Failure{Reason: failure.Error})

	want := map[ledger.Cause]int64{ledger.OwnerUnconfirmed: 8, ledger.NamespaceGone: 4 + 2, ledger.NoOwner: 1}
	harness.Eventually(t, "unreported", func(context.Context) error {
		var got ledger.Stats
		b := r.branches[0]
		b.locked(func() { got = b.ledger.Stats() })
		ok := got.Pending == 0 && got.Reported == 0
		for cause, n := range want {
			ok = ok && got.Unreported[cause] == n
		}
		if !ok {
			return fmt.Errorf("want %v, got %+v", want, got)
		}

		return nil
	})
	if events := c.events(t.Context(), web); len(events) > 0 {
		t.Errorf("the real Deployment got %v", events)
	}
}

// TestForbiddenThenAllowed: without the rights, failures are kept, and a log
// line says which rights are missing. With them, the count is exact.
func TestForbiddenThenAllowed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	web := c.deployment()
	set := c.replicaSet("web-1", web)
	user := cp.User("telltale-of-" + c.namespace)
	r, log := running(t, user)
	b := r.branches[0]
	r.reportTimes(6, failed(set))
	harness.Eventually(t, "a log line", func(context.Context) error {
		if log.count("create and patch on events") != 1 {
			return errors.New("no line says which rights are missing")
		}

		return nil
	})
	if n := b.pending(); n != 6 {
		t.Errorf("%d pending", n)
	}

	c.grant(user.Impersonate.UserName, "apps", "replicasets", "get")
	r.reportTimes(3, failed(set))
	harness.Eventually(t, "the owner is found, but events are still forbidden", func(context.Context) error {
		var owing []ledger.Entry
		b.locked(func() { owing = b.ledger.Owing() })
		if len(owing) != 1 || owing[0].Owner != web {
			return fmt.Errorf("owing: %+v", owing)
		}

		return nil
	})
	if events := c.events(t.Context(), web); len(events) > 0 || b.pending() != 9 {
		t.Errorf("%d pending, events: %v", b.pending(), events)
	}

	c.grant(user.Impersonate.UserName, "", "events", "create", "patch")
	r.reportTimes(1, failed(set))
	c.wantCount(web, 10)
}

// TestFoldedOnNamespace: failures beyond the bound are on their namespace, and
// none is lost.
func TestFoldedOnNamespace(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	r, err := New(cp.Config, Options{MaxKeys: 10, Every: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		r.reportTimes(2, failed(c.replicaSet(fmt.Sprintf("web-%d", i))))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil { // it ends when all are shown
		t.Fatal(err)
	}
	list := &corev1.EventList{}
	if err := c.List(t.Context(), list, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	var sum int32
	for _, e := range list.Items {
		sum += e.Count
	}
	if sum != 60 || len(list.Items) != 11 {
		t.Errorf("%d failures on %d events", sum, len(list.Items))
	}
	c.wantCount(ledger.Namespace(c.namespace), 2*20)
}
