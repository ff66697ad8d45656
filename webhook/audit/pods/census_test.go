package pods

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestCensus has Injections and namespaces come and go: what is gone is forgotten.
func TestCensus(t *testing.T) {
	t.Parallel()

	at := map[string]time.Time{"shop": edited, "gone": edited}
	one := &term{
		injections: map[edit]Since{{"a", 1}: {}, {"a", 6}: {}, {"a", 7}: {}, {"b", 1}: {}},
		changes: &changes{
			namespaces: map[string]Since{"shop": {}, "gone": {}},
			relabelled: map[string]time.Time{"shop": edited, "gone": edited},
		},
		mark: mark{Relabelled: at},
	}

	one.keepInjections(map[types.UID]int64{"a": 7})
	one.keepNamespaces(map[string]bool{"shop": true})
	one.changes.addTo(one.mark.Relabelled)

	if _, before := one.injections[edit{"a", 6}]; !before || len(one.injections) != 2 {
		t.Errorf("edits: %v", one.injections)
	}

	if diff := cmp.Diff([]int{1, 1, 1}, []int{len(one.changes.namespaces), len(one.changes.relabelled), len(one.mark.Relabelled)}); diff != "" {
		t.Errorf("namespaces: -want +got\n%s", diff)
	}
}

// TestMarkBounds relabels more namespaces, and pods, than a mark has room for: the
// newest are in it, and an annotation can have it.
func TestMarkBounds(t *testing.T) {
	t.Parallel()

	one := newTerm(&Audit{})
	one.mark = mark{Relabelled: map[string]time.Time{}, Pods: namedPods{}, TimedOut: namedPods{}, Lost: namedPods{}}
	name := func(i int) string { return fmt.Sprintf("%s%05d", strings.Repeat("n", 58), i) }

	for i := range maxRelabelled + 500 {
		one.changes.relabelled[name(i)] = edited.Add(time.Duration(i) * time.Second)
	}

	for i := range maxPods + 5 {
		for _, pods := range []namedPods{one.mark.Pods, one.mark.TimedOut, one.mark.Lost} {
			pods.add(failure.OnceOf(types.UID(name(i)), types.NamespacedName{Name: "proxy"}, failure.Missed), edited.Add(time.Duration(i)*time.Second+1))
		}
	}

	one.mark.Held = map[string]time.Time{}
	for i := range maxHeld {
		one.mark.Held[name(i)] = edited
	}

	for range 2 { // as later
		one.changes.addTo(one.mark.Relabelled)
	}

	if _, kept := one.mark.Relabelled[name(maxRelabelled+499)]; !kept || len(one.mark.Relabelled) != maxRelabelled || len(one.changes.relabelled) != maxRelabelled {
		t.Errorf("%d and %d namespaces, the newest is there: %t", len(one.mark.Relabelled), len(one.changes.relabelled), kept)
	}

	if text, err := json.Marshal(one.mark); err != nil || len(text) > 250_000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// TestForgetGone begins a term with the names of failures of two pods, of which one
// is gone.
func TestForgetGone(t *testing.T) {
	t.Parallel()

	proxy := types.NamespacedName{Namespace: "shop", Name: "proxy"}
	here, gone := failure.OnceOf("here", proxy, failure.Lost), failure.OnceOf("gone", proxy, failure.Lost)
	one := newTerm(&Audit{told: map[string]bool{here: true, gone: true}})
	one.book.put("here", edited, entry{states: []stated{{tally: one.book.tally(proxy), state: Lost}}})
	one.forgetGone()

	if !one.told[here] || one.told[gone] {
		t.Errorf("told: %v, want %s without %s", one.told, here, gone)
	}
}
