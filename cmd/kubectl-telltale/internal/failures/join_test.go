package failures

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// event is one of Telltale's, on a Deployment of namespace shop.
func event(owner string, reason failure.Reason, message string, count int32, last time.Duration, names ...string) *corev1.Event {
	e := &corev1.Event{
		InvolvedObject: corev1.ObjectReference{Kind: "Deployment", Name: owner}, Reason: string(reason), Message: message, Count: count,
		FirstTimestamp: ago(last + time.Minute), LastTimestamp: ago(last),
	}
	e.Namespace = "shop"
	e.Annotations = map[string]string{failure.OncePrefix + "w": strings.Join(names, ",")}

	return e
}

func once(uid, injection string, reason failure.Reason) string {
	return failure.OnceOf(types.UID(uid), types.NamespacedName{Namespace: "shop", Name: injection}, reason)
}

// of is a pod of a Deployment of namespace shop.
func of(owner, uid, failed string) pod {
	return pod{namespace: "shop", uid: uid, owner: Object{"Deployment", owner}, created: ago(time.Minute), failed: failed}
}

func injection(name string, change func(*v1alpha1.Injection)) scan.Injection {
	in := &v1alpha1.Injection{}
	in.Namespace, in.Name = "shop", name
	change(in)

	return scan.InjectionOf(in)
}

// TestRows joins events, pods and Injections, and holds each line of the table, so
// the order as well.
func TestRows(t *testing.T) {
	const missed, stuck = failure.Missed, failure.Stuck

	cases := map[string]struct {
		reason string
		found  found
		want   []string
	}{
		"Events": {
			"An event of an owner counts what there was; records say how many pods lack it now. Nothing is left of the second.",
			found{
				events: []*corev1.Event{
					event("payments", failure.Conflict, `Injection "proxy" not applied: container "app" already sets env A.`, 37, 5*time.Second),
					event("web", failure.Conflict, `ClusterInjection "ca" not applied: no.`, 2, time.Minute),
				},
				pods: []pod{of("payments", "1", "proxy@5f3c9a1b=InjectionConflict"), of("payments", "2", "proxy@5f3c9a1b=InjectionConflict"), of("web", "3", "")},
			},
			[]string{
				`5s InjectionConflict deployment/payments proxy 37 2 not applied: container "app" already sets env A. open`,
				`60s InjectionConflict deployment/web cluster/ca 2 0 not applied: no.`,
			},
		},
		"Expired": {
			"The event has expired; the records of the pods have not.",
			found{pods: []pod{of("payments", "1", "cluster/ca@77d0e2c4=InjectionUnsafe,*=InjectionOverload")}},
			[]string{
				"60s InjectionOverload deployment/payments * - 1  open",
				"60s InjectionUnsafe deployment/payments cluster/ca - 1  open",
			},
		},
		"Told": {
			"Pods that were missed have no record; the event names them. Two are gone, and one of the stuck ones has started.",
			found{
				events: []*corev1.Event{
					event("a", missed, `Injection "proxy" not applied: Telltale was not asked.`, 3, time.Second, once("1", "proxy", missed), once("gone", "proxy", missed), once("gone too", "proxy", missed)),
					event("b", stuck, `Injection "mesh" keeps pods from starting: no image.`, 2, time.Second, once("2", "mesh", stuck), once("3", "mesh", stuck)),
				},
				pods: []pod{of("a", "1", ""), of("b", "2", ""), of("b", "3", "")}, pending: map[string]bool{"3": true},
			},
			[]string{
				"1s InjectionStuck deployment/b mesh 2 1 keeps pods from starting: no image. open",
				"1s InjectionMissed deployment/a proxy 3 1 not applied: Telltale was not asked. open",
			},
		},
		"NotTold": {
			"A pod that timed out has no record. InjectionRestored ends the first, and not the second, which is newer.",
			found{events: []*corev1.Event{
				event("a", failure.Timeout, `Injections not applied: late.`, 1, time.Minute),
				event("a", failure.Restored, "All 3 pods have their Injections.", 1, time.Second),
				event("b", failure.Restored, "All 3 pods have their Injections.", 1, time.Hour),
				event("b", failure.Timeout, `Injections not applied: late.`, 1, time.Minute),
			}},
			[]string{
				"60s InjectionTimeout deployment/b * 1 ? not applied: late. open",
				"60s InjectionTimeout deployment/a * 1 ? not applied: late.",
			},
		},
		"Denied": {
			"The owner lacks the pods, which is worse than a pod that lacks an Injection.",
			found{
				events: []*corev1.Event{
					event("web", failure.Conflict, `Injection "other" not applied: no.`, 9, time.Minute),
					event("web", failure.Conflict, `Injection "must" not applied: no.`, 4, time.Minute),
				},
				pods:       []pod{of("web", "1", "other@5f3c9a1b=InjectionConflict")},
				injections: []scan.Injection{injection("must", func(in *v1alpha1.Injection) { in.Spec.OnFailure = v1alpha1.Deny })},
			},
			[]string{
				"60s InjectionConflict deployment/web must 4 refused not applied: no. open",
				"60s InjectionConflict deployment/web other 9 1 not applied: no. open",
			},
		},
		"Injections": {
			"One can't be used; of another the events have expired; a third has its event, so its count is not said twice.",
			found{
				events: []*corev1.Event{event("a", missed, `Injection "third" not applied: not asked.`, 1, time.Second, once("1", "third", missed))},
				pods:   []pod{of("a", "1", "")},
				injections: []scan.Injection{
					injection("bad", func(in *v1alpha1.Injection) {
						in.Status.Conditions = []metav1.Condition{{Type: v1alpha1.StalledCondition, Status: metav1.ConditionTrue, Reason: "InjectionInvalid", Message: "no.", LastTransitionTime: ago(time.Hour)}}
					}),
					injection("old", func(in *v1alpha1.Injection) { in.Status.Pods = &v1alpha1.PodCounts{Missed: 3} }),
					injection("third", func(in *v1alpha1.Injection) { in.Status.Pods = &v1alpha1.PodCounts{Missed: 1} }),
				},
			},
			[]string{
				"- InjectionMissed injection/old old - 3 3 pods; the events on their owners have expired. kubectl telltale restart-outdated lists the owners. open",
				"1s InjectionMissed deployment/a third 1 1 not applied: not asked. open",
				"60m InjectionInvalid injection/bad bad - - no. open",
			},
		},
		"NoPods": {
			"Without the right to list pods it is not told that none lacks it.",
			found{noPods: true, events: []*corev1.Event{event("a", failure.Conflict, `Injection "proxy" not applied: no.`, 1, time.Second)}},
			[]string{"1s InjectionConflict deployment/a proxy 1 ? not applied: no. open"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string

			for _, r := range tc.found.rows() {
				line := strings.Join((&table{}).cells(r, now), " ")
				if r.Open {
					line += " open"
				}

				got = append(got, line)
			}

			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestCut fits rows into a terminal.
func TestCut(t *testing.T) {
	header := []string{"A", "MESSAGE"}
	rows := [][]string{{"12345", strings.Repeat("é", 100)}, {"1", "short"}}
	cut(rows, header, 40)

	if want := strings.Repeat("é", 31) + "…"; rows[0][1] != want || rows[1][1] != "short" {
		t.Errorf("got %q", rows)
	}
}
