//go:build audit

package audit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// churn changes all that decides, at random, while Telltale is well.
type churn struct {
	*cluster

	dice *rand.Rand
	done map[string]int // by the name of a step
	made int            // bare pods so far
}

// The objects of the churn, in each of its namespaces.
const (
	churned     = 4 // namespaces
	deployments = 5
	selectors   = 3 // Injections
)

// TestChurn edits, relabels, opts out, strips records, rolls out and changes the
// leader for some minutes, while Telltale is well all the time. Nothing is told that
// is not so. In the end, pods that are missed are told, so the audit was awake.
func TestChurn(t *testing.T) {
	const lasts, pause = 4 * time.Minute, 50 * time.Millisecond

	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64N(1_000_000)
	}
	t.Logf("-seed=%d", drawn)
	r := begin(t, fmt.Sprintf("%v of edits, relabelling, opt-outs, stripped records, rollouts and changes of the leader; seed %d", lasts, drawn),
		"no event says that a pod was missed or lost")
	c := &churn{cluster: newCluster(t, fastControllers(), 20, 3), dice: rand.New(rand.NewPCG(drawn, 1)), done: map[string]int{}}
	c.setUp(t)

	steps := 0
	changed := c.changeLeaders(t, lasts)
	for end := time.Now().Add(lasts); time.Now().Before(end); steps++ {
		step := c.draw()
		if err := step.do(t.Context()); err == nil {
			c.done[step.name]++
		}
		c.pass(t, pause)
	}
	leaders := <-changed
	for _, s := range c.steps() {
		if c.done[s.name] == 0 {
			t.Errorf("no step %q succeeded", s.name)
		}
	}
	c.pass(t, 2*thought)

	open, alarms := c.failedOpen(t), c.events(t)
	r.note("%d false alarms after %d steps and %d changes of the leader; the API server let %d pods pass without an answer",
		max(0, len(alarms)-open), steps, leaders, open)
	if len(alarms) > open {
		t.Errorf("%d alarms:\n%s\n%s", len(alarms), strings.Join(alarms, "\n"), c.history(t))
	}
	c.isAwake(t)
}

// history tells what led to alarms: the pods, the Injections, and the log of all that
// is about the audit.
func (c *churn) history(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for n := range churned {
		for _, kind := range []string{"namespace/" + churnedName(n), "pods", "injections"} {
			out, err := c.Kubectl(t.Context(), "get", kind, "-n", churnedName(n), "-o",
				`jsonpath={range .items[*]}{.metadata}{"\n"}{.spec.selector}{.status.since}{"\n"}{end}{.metadata}`, "--show-managed-fields")
			fmt.Fprintln(&all, kind, out, err)
		}
	}
	for _, r := range c.replicas {
		log, err := os.ReadFile(r.Log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "InjectionMissed") || strings.Contains(line, "InjectionLost") || strings.Contains(line, "leads") || strings.Contains(line, "injection ") {
				fmt.Fprint(&all, r.Port, " ", line)
			}
		}
	}

	return all.String()
}

// events returns the events that say that pods were missed or lost, each as often as
// it counts.
func (c *churn) events(t *testing.T) (all []string) {
	t.Helper()
	for _, reason := range []string{"InjectionMissed", "InjectionLost"} {
		list, err := c.api.CoreV1().Events("").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			e := &list.Items[i]
			for range e.Count {
				all = append(all, fmt.Sprintf("%v %s/%s: %s: %s", e.LastTimestamp, e.Namespace, e.InvolvedObject.Name, reason, e.Message))
			}
		}
	}

	return all
}

// setUp makes the objects of the churn.
func (c *churn) setUp(t *testing.T) {
	t.Helper()
	c.start(t)
	c.audits(t)
	c.ready(t)
	for n := range churned {
		c.namespace(t, churnedName(n), map[string]string{"team": "a"})
		for i := range selectors {
			c.inject(t, injection(churnedName(n), selectorName(i), appName(i)))
		}
	}
	for i := range 2 {
		if err := c.objects.Create(t.Context(), clusterInjection(i, "a")); err != nil {
			t.Fatal(err)
		}
	}
	c.inForce(t)
	for n := range churned {
		c.deploy(t, churnedName(n), "app", deployments, 3)
	}
}

func churnedName(n int) string  { return fmt.Sprintf("churn-%d", n) }
func selectorName(i int) string { return fmt.Sprintf("selects-%d", i) }

// changeLeaders restarts one replica after the other, as a rollout does: it gets no
// new connections, ends, and begins again. It sends how often the leader ended.
func (c *churn) changeLeaders(t *testing.T, lasts time.Duration) <-chan int {
	t.Helper()
	const pause = 15 * time.Second
	changed := make(chan int, 1)
	go func() {
		leaders := 0
		defer func() { changed <- leaders }()
		end := time.Now().Add(lasts)
		for {
			select {
			case <-time.After(pause):
			case <-t.Context().Done():
				return
			}
			if time.Now().After(end) {
				return
			}
			r := c.leader(t.Context())
			if r == nil {
				continue
			}
			c.balancer.Remove(r.Port)
			r.Stop(harness.Patience)
			leaders++
			if r.Start() != nil || r.WaitUntil(t.Context(), harness.Patience, r.Ready) != nil {
				return // the test fails, for want of steps
			}
			c.balancer.Add(r.Port)
		}
	}()

	return changed
}

// leader returns the replica that leads now, or nil.
func (c *cluster) leader(ctx context.Context) *telltale.Replica {
	for _, r := range c.replicas {
		if leads, err := r.Metric(ctx, "telltale_leader"); err == nil && leads == 1 {
			return r
		}
	}

	return nil
}

// failedOpen is how many pods the API server let pass because it had no answer from
// Telltale. These may be told.
func (c *cluster) failedOpen(t *testing.T) (n int) {
	t.Helper()
	metrics, err := c.api.RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		var count int
		if strings.HasPrefix(line, "apiserver_admission_webhook_fail_open_count{") {
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &count); err != nil {
				t.Fatal(err)
			}
			n += count
		}
	}

	return n
}

// isAwake has pods missed, and fails the test unless they are told.
func (c *churn) isAwake(t *testing.T) {
	t.Helper()
	c.namespace(t, "awake", map[string]string{"team": "none"})
	c.inject(t, injection("awake", "all", ""))
	c.inForce(t)
	c.ready(t)
	c.kill()
	c.deploy(t, "awake", "missed", 2, 2)
	want, err := c.told(t.Context(), "InjectionMissed")
	if err != nil {
		t.Fatal(err)
	}
	want["missed-0"], want["missed-1"] = 2, 2
	c.start(t)
	c.tells(t, want)
}

// pod draws a pod of a namespace, and returns nil if there is none.
func (c *churn) pod(ctx context.Context) *corev1.Pod {
	pods, err := c.api.CoreV1().Pods(churnedName(c.dice.IntN(churned))).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil || len(pods.Items) == 0 {
		return nil
	}

	return &pods.Items[c.dice.IntN(len(pods.Items))]
}
