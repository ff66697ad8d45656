//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// hospital is apps that are healed, seen from outside. Nothing but the healer takes a
// pod away.
type hospital struct {
	*kubelet
	*auditCase

	replicas map[string]int          // by app
	here     map[types.UID]string    // the app of each pod that is there
	since    map[types.UID]time.Time // when it was first seen
	evicted  map[string]int          // by app
	hold     bool                    // new pods do not become ready
	running  bool                    // all pods were ready once
}

// look takes note of all pods, and has each new one run after a while. Of each app
// one pod may be away.
func (h *hospital) look(ctx context.Context, t *testing.T) (ready, injected map[string]int, err error) {
	t.Helper()

	ready, injected = map[string]int{}, map[string]int{}
	now := map[types.UID]string{}

	for app, replicas := range h.replicas {
		pods, err := h.pods(ctx, app)
		if err != nil {
			return nil, nil, err
		}

		for i := range pods {
			p := &pods[i]
			now[p.UID] = app

			if h.since[p.UID].IsZero() {
				h.since[p.UID] = time.Now()
			}

			if isReady(p) {
				ready[app]++
			} else if !h.hold && time.Since(h.since[p.UID]) > time.Second {
				_ = h.run(ctx, p) // it may be gone
			}

			if p.Annotations[v1alpha1.InjectedAnnotation] != "" {
				injected[app]++
			}
		}

		if h.running && ready[app] < replicas-1 {
			t.Errorf("%d of %d pods of %s are ready", ready[app], replicas, app)
		}
	}

	for uid, app := range h.here {
		if now[uid] == "" {
			h.evicted[app]++
		}
	}

	h.here = now

	return ready, injected, nil
}

// TestCanaryHeal has pods of several apps healed, while the API server does not ask
// Telltale for 60 intervals of the canary: an hour with the default one. Nothing is
// evicted in that time. Before and after, one pod of an app at most is away. An app
// whose replacements are no better, because another webhook takes the Injection and its
// record away, has one pod evicted in all.
func TestCanaryHeal(t *testing.T) {
	if !*wholeCanary {
		t.Skip("no -canary")
	}

	const interval = time.Second

	c := &auditCase{cluster: startCluster(t)}
	port := harness.FreePort(t)
	c.install(t, port)
	c.kubectl(t, "apply", "-f", "../../config/components/heal/role.yaml", "-f", "../../config/components/heal/role_binding.yaml")

	r := c.launch(t, port, "--heal=missed", "--heal-per-minute=6000", "--canary-interval="+interval.String())
	c.replicas = append(c.replicas, r)
	c.audits(t)
	c.apply(t, strings.Replace(envInjection("proxy", "x", "PROXY", "x"), "{matchLabels: {app: x}}", "{}", 1))
	c.inForce(t)
	r.Kill()
	c.another(t, func(pod *corev1.Pod) {
		if pod.Labels["app"] == "vain" {
			delete(pod.Annotations, v1alpha1.InjectedAnnotation)
			pod.Spec.Containers[0].Env = nil
		}
	})
	c.apply(t, deployment("web", 3)+budget+deployment("api", 4)+deployment("vain", 3)+
		workload("StatefulSet", "db", "\n  serviceName: db\n  replicas: 3\n  podManagementPolicy: Parallel"))

	h := &hospital{
		kubelet: newKubelet(t, c), auditCase: c, replicas: map[string]int{"web": 3, "api": 4, "db": 3, "vain": 3},
		here: map[types.UID]string{}, since: map[types.UID]time.Time{}, evicted: map[string]int{},
	}
	h.waits(t, "all pods run, without it", func(app string, ready, _ int) bool { return ready == h.replicas[app] })
	h.running, h.hold = true, true

	harness.Start(t, r)
	h.waits(t, "one of each is replaced", func(app string, ready, _ int) bool { return ready == h.replicas[app]-1 && h.evicted[app] == 1 })

	if err := telltale.Register(t.Context(), c.ControlPlane, harness.FreePort(t)); err != nil {
		t.Fatal(err)
	}

	harness.Eventually(t, "the canary fails", func(ctx context.Context) error {
		n, err := r.Metric(ctx, "telltale_canary", "well")
		if err == nil && n != 0 {
			err = errors.New("it is well")
		}

		return err
	})

	h.hold = false
	before := fmt.Sprint(h.evicted)

	for start := time.Now(); time.Since(start) < 60*interval; time.Sleep(50 * time.Millisecond) {
		if _, _, err := h.look(t.Context(), t); err != nil {
			t.Fatal(err)
		}
	}

	if after := fmt.Sprint(h.evicted); after != before {
		t.Errorf("pods were evicted while the canary failed: %s, and %s before", after, before)
	}

	if err := telltale.Register(t.Context(), c.ControlPlane, port); err != nil {
		t.Fatal(err)
	}

	mended := time.Now()

	h.waits(t, "all are healed", func(app string, ready, injected int) bool {
		return ready == h.replicas[app] && (app == "vain" || injected == h.replicas[app])
	})
	t.Logf("all are healed %v after the API server asks again", time.Since(mended))

	for start := time.Now(); time.Since(start) < 15*time.Second; time.Sleep(50 * time.Millisecond) { // three more rounds
		if _, _, err := h.look(t.Context(), t); err != nil {
			t.Fatal(err)
		}
	}

	t.Logf("evicted: %v; none of them in the %v while the canary failed", h.evicted, 60*interval)

	if got, want := fmt.Sprint(h.evicted), "map[api:4 db:3 vain:1 web:3]"; got != want {
		t.Errorf("evicted are %s, and want %s", got, want)
	}

	c.tells(t, "InjectionHealed", map[string]int{"Deployment/web": 3, "Deployment/api": 4, "StatefulSet/db": 3, "Deployment/vain": 1})
}

// waits looks until a condition is true for each app.
func (h *hospital) waits(t *testing.T, what string, is func(app string, ready, injected int) bool) {
	t.Helper()
	harness.Within(t, 3*harness.Patience, what, func(ctx context.Context) error {
		ready, injected, err := h.look(ctx, t)
		for app := range h.replicas {
			if err == nil && !is(app, ready[app], injected[app]) {
				err = fmt.Errorf("ready %v, injected %v, evicted %v", ready, injected, h.evicted)
			}
		}

		return err
	})
}
