//go:build apiserver

package property

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

var (
	seed  = flag.Uint64("seed", 1, "the pairs are made from it, the same ones each time; 0 draws a new seed")
	pairs = flag.Int("pairs", 3000, "how many pods are compared with and without Telltale")
	why   = flag.Bool("why", false, "say why pods were refused without Telltale")
	only  = flag.Int("only", -1, "the number of the one pair to compare")
	parts = flag.String("draw", allDraws, "what is drawn beside the common, of "+allDraws)
)

// podsPerRoom is how many pods share the Injections of a namespace.
const podsPerRoom = 12

// run is one run of the property.
type run struct {
	*cluster

	draws draws

	asked, refused, injected, failed, reported atomic.Int64
	reasons                                    sync.Map

	mu     sync.Mutex
	broken map[string][]*pair // by the kind of the fault
	texts  map[*pair]string
}

// TestProperty compares pods with and without Telltale.
func TestProperty(t *testing.T) {
	drawSeed()
	t.Logf("seed %d: go test -tags apiserver ./test/property -args -seed=%d -pairs=%d -draw=%s", *seed, *seed, *pairs, *parts)

	draws, err := parseDraws(*parts)
	if err != nil {
		t.Fatal(err)
	}

	r := &run{cluster: startCluster(t), draws: draws, broken: map[string][]*pair{}, texts: map[*pair]string{}}
	start := time.Now()
	all := r.pairs(t, *pairs)
	r.waitForQuotas(t)
	harness.Start(t, r.telltale)
	harness.WaitReady(t, r.telltale) // it knows all Injections
	r.waitForChecks(t)
	t.Logf("%v for the Injections", time.Since(start).Round(time.Second))

	each(8, all, func(p *pair) { r.compare(t, p) })

	n := int(r.asked.Load())
	t.Logf("%d pairs in %v: %d pods were refused without Telltale; on %d, %d Injections applied and %d failed",
		len(all), time.Since(start).Round(time.Second), r.refused.Load(), n, r.injected.Load(), r.failed.Load())
	r.reasons.Range(func(reason, n any) bool {
		t.Logf("%s: %d", reason, n.(*atomic.Int64).Load())

		return true
	})

	// An older API server does not take all fields: fewer Injections apply.
	if *only < 0 && (n < len(all)/2 || int(r.injected.Load()) < n/4) {
		t.Error("too few of them say anything: are the pods good, and the Injections?")
	}

	r.checkCounts(t)
	r.report(t)
}

// pairs makes the namespaces and their Injections, and the pods.
func (r *run) pairs(t *testing.T, n int) (all []*pair) {
	t.Helper()

	var cluster []declared
	for _, in := range newDice(r.draws, *seed, 1<<63, 0).clusterInjections(8) {
		cluster = r.declare(t, cluster, "cluster/"+in.Name, "/apis/telltale.dev/v1alpha1/clusterinjections", encode(t, in))
	}

	rooms := make([]*room, (n+podsPerRoom-1)/podsPerRoom)
	numbers := make([]int, len(rooms))

	for i := range rooms {
		numbers[i] = i
	}

	each(8, numbers, func(i int) {
		if *only < 0 || *only/podsPerRoom == i {
			rooms[i] = r.newRoom(t, i, cluster)
		}
	})

	for number := range n {
		if *only < 0 || *only == number {
			all = append(all, newPair(t, r.draws, *seed, number, rooms[number/podsPerRoom]))
		}
	}

	if *only < 0 {
		all = append(all, r.cases(t)...)
	}

	return all
}

func (r *run) newRoom(t *testing.T, i int, cluster []declared) *room {
	t.Helper()

	d := newDice(r.draws, *seed, uint64(i)<<1, 35)
	labels := map[string]string{}

	if !d.chance(30) {
		cluster = nil
	} else {
		labels["cluster"] = "yes"
	}

	room := r.openRoom(t, strconv.Itoa(i), d.law(), labels)
	room.injections = slices.Clone(cluster)

	for _, in := range d.injections() {
		room.injections = r.declare(t, room.injections, in.Name,
			"/apis/telltale.dev/v1alpha1/namespaces/"+room.with+"/injections", encode(t, in))
	}

	return room
}

// openRoom makes two namespaces of the same law.
func (r *run) openRoom(t *testing.T, name string, law law, labels map[string]string) *room {
	t.Helper()

	room := &room{with: "in-" + name, without: "out-" + name, law: law}
	for name, own := range map[string]map[string]string{room.with: labels, room.without: {v1alpha1.InjectLabel: v1alpha1.Disabled}} {
		ns := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: maps.Clone(own)}}
		maps.Copy(ns.Labels, law.Security)
		r.mustCreate(t, "/api/v1/namespaces", ns)

		for _, m := range law.configMaps() {
			r.mustCreate(t, "/api/v1/namespaces/"+name+"/configmaps", m)
		}

		for _, q := range law.quotas() {
			r.mustCreate(t, "/api/v1/namespaces/"+name+"/resourcequotas", q)
		}

		for _, l := range law.limits() {
			r.mustCreate(t, "/api/v1/namespaces/"+name+"/limitranges", l)
		}
	}

	return room
}

func (r *run) mustCreate(t *testing.T, path string, object any) {
	t.Helper()

	if a := r.create(t.Context(), path, encode(t, object), false); a.err != nil {
		t.Error(a.err)
	}
}

// declare applies an Injection. One that the API server refuses is not used.
func (r *run) declare(t *testing.T, to []declared, name, path string, raw []byte) []declared {
	t.Helper()

	a := r.create(t.Context(), path, raw, false)
	if a.err != nil {
		return to
	}

	return append(to, declared{name, decode[v1alpha1.Injection](t, a.raw).Spec, raw})
}

// compare creates the pod in both namespaces.
func (r *run) compare(t *testing.T, p *pair) {
	t.Helper()

	without := r.create(t.Context(), "/api/v1/namespaces/"+p.room.without+"/pods", p.pod, p.dryRun)
	if without.err != nil {
		r.refused.Add(1)

		if *why {
			t.Logf("refused: %s", kindOf(without.err.Error()))
		}

		return
	}

	with := r.create(t.Context(), "/api/v1/namespaces/"+p.room.with+"/pods", p.pod, p.dryRun)
	r.asked.Add(1)
	r.count(p, with)

	if *why {
		for _, w := range with.warnings {
			t.Logf("warned: %s", kindOf(w))
		}
	}

	if broken := p.check(t, without, with); broken != "" {
		r.mu.Lock()
		defer r.mu.Unlock()

		key := kindOf(broken)
		r.broken[key] = append(r.broken[key], p)
		r.texts[p] = broken

		return
	}

	if p.again && with.err == nil {
		r.compare(t, p.second(t, with.raw))
	}
}

func (r *run) count(p *pair, a answer) {
	var pod corev1.Pod
	if a.err != nil || json.Unmarshal(a.raw, &pod) != nil {
		return
	}

	record, _ := recordOf(&pod)
	if len(p.matches) == 0 {
		return // a record that came with the pod
	}

	r.injected.Add(int64(len(record.injected)))
	r.failed.Add(int64(len(record.failed)))

	for _, reason := range record.failed {
		n, _ := r.reasons.LoadOrStore(reason, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
	}

	if !p.dryRun {
		r.reported.Add(int64(max(len(record.failed), notApplied(a.warnings))))
	}
}

// notApplied counts the warnings that are ours.
func notApplied(warnings []string) (n int) {
	for _, w := range warnings {
		if strings.Contains(w, "njection \"") && strings.Contains(w, " not applied: ") {
			n++
		}
	}

	return n
}

// checkCounts compares the answers with the counts of Telltale and of the API
// server: failurePolicy Ignore would hide a webhook that was not asked.
func (r *run) checkCounts(t *testing.T) {
	t.Helper()

	if got := r.metric(t, "telltale_admission_requests_total"); got != int(r.asked.Load()) {
		t.Errorf("Telltale answered %d reviews, want %d", got, r.asked.Load())
	}

	if got := r.metric(t, "telltale_admission_requests_total", "malformed"); got != 0 {
		t.Errorf("%d reviews were malformed", got)
	}

	if got := r.metric(t, "telltale_injection_failures_total"); got != int(r.reported.Load()) {
		t.Errorf("Telltale counts %d failures; the pods that were really created have %d", got, r.reported.Load())
	}

	if lines := r.failedOpen(t); len(lines) > 0 {
		t.Errorf("the API server did without Telltale: %s", lines)
	}
}

// each calls f for all elements, as many at a time as there are workers.
func each[T any](workers int, all []T, f func(T)) {
	var wg sync.WaitGroup

	next := make(chan T)

	for range workers {
		wg.Go(func() {
			for v := range next {
				f(v)
			}
		})
	}

	for _, v := range all {
		next <- v
	}

	close(next)
	wg.Wait()
}

// kindOf is a text without the parts that differ from pod to pod.
func kindOf(text string) string {
	for _, r := range []struct{ from, to string }{
		{`pod-\S+|static-\d+`, "P"}, {`\[\d+\]`, "[N]"}, {`^.*(Pod|pods) "[^"]*" `, ""}, {`"(\\.|[^"\\])*"`, `"S"`}, {`\b(in|cl|c|v|side)-\d+(@\w+)?`, "X"}, {`\{.*`, ""}, {` \(want .*`, ""}, {`must specify .*`, "must specify"}, {`\d+`, "0"},
	} {
		text = regexp.MustCompile(r.from).ReplaceAllString(text, r.to)
	}

	return text[:min(len(text), 300)]
}

// report prints the smallest example of each kind of fault.
func (r *run) report(t *testing.T) {
	t.Helper()

	kinds := make([]string, 0, len(r.broken))
	for k := range r.broken {
		kinds = append(kinds, k)
	}

	slices.SortFunc(kinds, func(a, b string) int { return len(r.broken[b]) - len(r.broken[a]) })

	for i, kind := range kinds {
		smallest := slices.MinFunc(r.broken[kind], func(a, b *pair) int { return a.size() - b.size() })
		text := fmt.Sprintf("%s and %d more: %s", smallest.name, len(r.broken[kind])-1, r.texts[smallest])

		if i < 40 && smallest.size() < 100<<10 {
			text += "\n" + r.shrink(t, smallest)
		}

		t.Error(text[:min(len(text), 6000)])
	}
}

func (p *pair) size() int {
	n := len(p.pod)
	for _, in := range p.matches {
		n += len(in.raw)
	}

	return n
}

func lines(parts ...string) string { return strings.Join(parts, "\n") }
