package pods

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestGroups makes random changes of a book's pods. After each, the counts of the
// groups are those of a recount, and each controller that had a bad pod is spoilt.
func TestGroups(t *testing.T) {
	const pods, controllers, injections, steps = 12, 3, 2, 20_000

	b, draw := newBook(), rand.New(rand.NewPCG(1, 2))
	bad := map[types.UID]bool{}

	for range steps {
		n := draw.IntN(pods)
		uid := types.UID(fmt.Sprint(n))
		name := types.NamespacedName{Name: fmt.Sprint(draw.IntN(injections))}

		switch draw.IntN(4) {
		case 0:
			b.remove(uid)
		case 1:
			b.change(uid, name, State(draw.IntN(int(states))))
		default:
			by := metav1.OwnerReference{Kind: "ReplicaSet", Name: "x", UID: types.UID(fmt.Sprint("c", n%controllers)), Controller: new(true)}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{by}}}

			var all []stated
			for i := range injections {
				all = append(all, stated{tally: b.tally(types.NamespacedName{Name: fmt.Sprint(i)}), state: State(draw.IntN(int(states)))})
			}

			b.put(uid, time.Unix(draw.Int64N(1000), 0), entry{states: all, group: b.groups.of(pod), isOver: draw.IntN(4) == 0})
		}

		recount(t, b, bad)
	}
}

func recount(t *testing.T, b *book, bad map[types.UID]bool) {
	t.Helper()

	want := map[types.UID]group{}

	for _, e := range b.pods {
		uid := e.group.controller.UID
		g := want[uid]

		whole, lacks := true, false
		for _, s := range e.states {
			whole = whole && (s.state == Injected || s.state == Outdated || s.state == Previewed || s.state == Unfit)
			lacks = lacks || s.state == Failed || s.state == Missed || s.state == Lost || s.state == Stuck
		}

		if whole {
			g.whole++
		}

		if whole || !e.isOver {
			g.pods++
		}

		bad[uid] = bad[uid] || lacks && !e.isOver
		want[uid] = g
	}

	for uid, w := range want {
		if g := b.groups.all[uid]; w.pods > 0 && (g == nil || g.pods != w.pods || g.whole != w.whole) {
			t.Fatalf("group %s: got %+v, want %+v", uid, g, w)
		}
	}

	for uid, g := range b.groups.all {
		if w := want[uid]; g.pods != w.pods || g.whole != w.whole {
			t.Fatalf("group %s: got %+v, want %+v", uid, g, w)
		}
	}

	for uid, is := range bad {
		if _, spoilt := b.groups.spoilt[uid]; spoilt != is {
			t.Fatalf("controller %s is spoilt: %t, want %t", uid, spoilt, is)
		}
	}
}
