package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/child"
)

// perNamespace is how many Injections each namespace of the crowd has. One of
// them selects the pod.
const perNamespace = 10

// matching is how many Injections select the pod, in each of three more
// namespaces.
func matching() []int { return []int{1, 10, 100} }

// setUpCrowd starts a second API server, fills it, and starts a Telltale there.
func (b *bench) setUpCrowd(ctx context.Context) (err error) {
	b.say("starting another API server, with %s", b.crowdSize())
	if b.crowd, err = newCluster(ctx, b.options, filepath.Join(b.dir, "crowd")); err != nil {
		return err
	}
	status, err := b.finalStatus(ctx)
	if err != nil {
		return err
	}
	if err := each(b.namespaces, func(i int) error { return b.fill(ctx, i, status) }); err != nil {
		return err
	}
	for _, n := range matching() {
		if err := b.fillMatching(ctx, n); err != nil {
			return err
		}
	}
	if err := b.crowd.createNamespace(ctx, namespaceOf(unmatched), nil); err != nil {
		return err
	}
	b.say("starting Telltale there")
	if _, err := b.crowd.telltale.start(ctx); err != nil {
		return err
	}

	return b.waitQuiet(ctx)
}

// waitQuiet waits until the crowd's Telltale has written every status. An idle
// Telltale is no proof: it may wait for a busy API server.
func (b *bench) waitQuiet(ctx context.Context) error {
	for start := time.Now(); time.Since(start) < child.Patience; {
		if err := b.crowd.telltale.quiet(); err != nil {
			return err
		}
		var all v1alpha1.InjectionList
		if err := b.crowd.objects.List(ctx, &all); err != nil {
			return err
		}
		if !slices.ContainsFunc(all.Items, func(in v1alpha1.Injection) bool { return in.Status.ObservedGeneration == 0 }) {
			return nil
		}
	}

	return fmt.Errorf("cannot begin: after %v, there are Injections without a status", child.Patience)
}

// finalStatus is the status of our Injection once nothing more is to be written or
// asked. It is the status of all Injections that add the same.
func (b *bench) finalStatus(ctx context.Context) (status v1alpha1.InjectionStatus, err error) {
	in, err := theInjection()
	if err != nil {
		return status, err
	}
	in.Namespace = namespaceOf(subject)
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, child.Patience, true, func(ctx context.Context) (bool, error) {
		err := b.one.objects.Get(ctx, client.ObjectKeyFromObject(in), in)

		return in.Status.ServerCheck != nil && len(in.Status.Conditions) > 0, err
	})
	if err != nil {
		return status, fmt.Errorf("cannot wait for an Injection's status: %w", err)
	}

	return in.Status, nil
}

// fill makes a namespace of the crowd, its Injections, and a ClusterInjection, as
// they are long after they were made: with a status. Telltale would take ten
// minutes to write all of them, and twenty to ask about them.
func (b *bench) fill(ctx context.Context, i int, status v1alpha1.InjectionStatus) error {
	namespace := crowded(i)
	if err := b.crowd.createNamespace(ctx, namespace, map[string]string{"team": namespace}); err != nil {
		return err
	}
	for k := range perNamespace {
		in, err := theInjection()
		if err != nil {
			return err
		}
		in.Namespace = namespace
		if k > 0 {
			in.Name = fmt.Sprintf("%s-%d", in.Name, k)
			in.Spec.Selector.MatchLabels["app"] = fmt.Sprintf("app-%d", k)
		}
		if err := b.crowd.objects.Create(ctx, in); err != nil {
			return err
		}
		in.Status = status
		if err := b.crowd.objects.Status().Update(ctx, in); err != nil {
			return err
		}
	}
	cluster, err := stranger(i)
	if err != nil {
		return err
	}
	if err := b.crowd.objects.Create(ctx, cluster); err != nil {
		return err
	}
	cluster.Status = status

	return b.crowd.objects.Status().Update(ctx, cluster)
}

// crowded is the name of a namespace of the crowd.
func crowded(i int) string { return fmt.Sprintf("crowd-%d", i) }

// stranger is a ClusterInjection that does not select the pod. Half of them
// select by a label, a quarter by an expression, and a quarter select all pods
// of some namespaces: an index of labels is of no use for these.
func stranger(i int) (*v1alpha1.ClusterInjection, error) {
	in, err := theInjection()
	if err != nil {
		return nil, err
	}
	out := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("stranger-%d", i)}}
	out.Spec.InjectionSpec = in.Spec
	name := "cluster-app-" + strconv.Itoa(i)
	switch i % 4 {
	case 0:
		out.Spec.Selector = &metav1.LabelSelector{}
		out.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "none-" + strconv.Itoa(i)}}
	case 1:
		out.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{name, name + "-canary"}},
		}}
	default:
		out.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	}

	return out, nil
}

// fillMatching makes a namespace in which this many Injections select the pod.
// Each adds variables with names of its own.
func (b *bench) fillMatching(ctx context.Context, n int) error {
	namespace := namespaceOf(strconv.Itoa(n))
	if err := b.crowd.createNamespace(ctx, namespace, nil); err != nil {
		return err
	}
	for i := range n {
		in, err := theInjection()
		if err != nil {
			return err
		}
		in.Namespace = namespace
		if i > 0 {
			in.Name = fmt.Sprintf("%s-%d", in.Name, i)
			for e := range in.Spec.Env {
				in.Spec.Env[e].Name += "_" + strconv.Itoa(i)
			}
			in.Spec.InitContainers[0].Name += "-" + strconv.Itoa(i)
		}
		if err := b.crowd.objects.Create(ctx, in); err != nil {
			return err
		}
	}

	return nil
}

// many measures whether an admission, and an edit, cost more if there are
// thousands of Injections, and the cost of a hundred on one pod.
func (b *bench) many(ctx context.Context) error {
	arms := []*arm{
		{name: "one Injection, injects", c: b.one.telltale, review: reviewOf(namespaceOf(subject)), patches: 1},
		{name: "thousands, injects", c: b.crowd.telltale, review: reviewOf(crowded(17)), patches: 1},
		{name: "one Injection, nothing matches", c: b.one.telltale, review: reviewOf(namespaceOf(unmatched))},
		{name: "thousands, nothing matches", c: b.crowd.telltale, review: reviewOf(namespaceOf(unmatched))},
	}
	for _, n := range matching() {
		arms = append(arms, &arm{
			name: fmt.Sprintf("thousands, %d on the pod", n), c: b.crowd.telltale,
			review: reviewOf(namespaceOf(strconv.Itoa(n))), patches: 1,
		})
	}
	if err := b.measure(arms, 4); err != nil {
		return err
	}
	b.table("One Injection, and "+b.crowdSize(),
		costTable("one Injection, injecting", arms, []int{4}))
	b.bound("CPU of a pod that is injected, × one Injection: "+b.crowdSize(), ratios(arms[1], arms[0], 4), 1.2)
	b.bound("CPU of a pod that nothing matches, × one Injection: the same", ratios(arms[3], arms[2], 4), 1.2)
	b.linear(arms[4:])

	return b.edits(ctx)
}

// crowdSize says how many Injections there are, without the few on one pod.
func (b *bench) crowdSize() string {
	return fmt.Sprintf("%d Injections in %d namespaces, %d ClusterInjections", perNamespace*b.namespaces, b.namespaces, b.namespaces)
}

// linear adds the row of 1, 10 and 100 Injections on a pod. Each of the last 90
// must not cost more than each of the 9 before them, plus a quarter: the cost
// of the 9 is a small difference, so it is not exact.
func (b *bench) linear(arms []*arm) {
	var cost [3]float64 // milliseconds
	n := matching()
	for i, a := range arms {
		cost[i] = over(a.samples[4], sample.perRequest).Seconds() * 1000
	}
	first := (cost[1] - cost[0]) / float64(n[1]-n[0])
	each := (cost[2] - cost[1]) / float64(n[2]-n[1])
	b.add(row{
		what: "1, 10, 100 Injections on one pod", must: "linear",
		figure: fmt.Sprintf("%.3g, %.3g, %.3g ms: %.3g ms for each of the first 10, %.3g ms for each further one", cost[0], cost[1], cost[2], first, each),
		held:   each <= 1.25*first,
	})
}
