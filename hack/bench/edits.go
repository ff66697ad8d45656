package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/child"
)

// edits measures how soon an edit among thousands of Injections is in the
// answers. It also measures the cost of an edit there, and where there is only
// one Injection.
func (b *bench) edits(ctx context.Context) error {
	effects, err := b.effects(ctx)
	if err != nil {
		return err
	}
	b.add(row{
		what: "an edit among them takes effect", must: "≤ 100 ms",
		figure: fmt.Sprintf("p50 %s, at most %s, of %d", ms(quantile(effects, 0.5)), ms(effects[len(effects)-1]), len(effects)),
		held:   effects[len(effects)-1] <= 100*time.Millisecond,
	})

	var alone, among []time.Duration
	for range max(3, b.rounds/4) {
		cost, err := b.editCost(ctx, b.one, namespaceOf(subject))
		alone = append(alone, cost)
		if err == nil {
			cost, err = b.editCost(ctx, b.crowd, crowded(17))
			among = append(among, cost)
		}
		if err != nil {
			return err
		}
	}
	var times []float64
	for i := range alone {
		times = append(times, float64(among[i])/float64(alone[i]))
	}
	b.bound(fmt.Sprintf("CPU of an edit among them (%s), × the same edit of the only Injection (%s)", ms(median(among)), ms(median(alone))), times, 1.2)

	return b.withdrawals(ctx, among)
}

// withdrawals measures the CPU of withdrawals among thousands of Injections, beside
// that of edits there.
func (b *bench) withdrawals(ctx context.Context, edits []time.Duration) error {
	var all []time.Duration
	for range edits {
		cost, err := b.costOf(b.crowd, func(i int) error { return withdraw(ctx, b.crowd, crowded(17), i%2 == 0) })
		if err != nil {
			return err
		}
		all = append(all, cost)
	}
	var times []float64
	for i := range all {
		times = append(times, float64(all[i])/float64(edits[i]))
	}
	b.bound(fmt.Sprintf("CPU of a withdrawal among them (%s), × an edit", ms(median(all))), times, 1.2)

	return nil
}

// effects are the times from the API server's answer to an edit until
// Telltale's answers have it. Sorted.
func (b *bench) effects(ctx context.Context) ([]time.Duration, error) {
	caller, err := dial(b.crowd.telltale.address, reviewOf(crowded(17)), 0)
	if err != nil {
		return nil, err
	}
	defer caller.hangUp()

	var effects []time.Duration
	for i := range b.options.edits {
		value := fmt.Sprintf("http://proxy:%d", 10_000+i)
		if err := edit(ctx, b.crowd, crowded(17), value); err != nil {
			return nil, err
		}
		start := time.Now()
		for has := false; !has; {
			response, err := caller.call()
			if err == nil {
				has, err = patchHas(response, value)
			}
			if err == nil && time.Since(start) > child.Patience {
				err = errors.New("an edit never took effect")
			}
			if err != nil {
				return nil, err
			}
		}
		effects = append(effects, time.Since(start))
	}
	slices.Sort(effects)

	return effects, nil
}

// editCost is the CPU time that Telltale spends on an edit of one Injection: to
// read it, to compile it, and to write its status.
func (b *bench) editCost(ctx context.Context, c *cluster, namespace string) (time.Duration, error) {
	return b.costOf(c, func(i int) error {
		// The last value is the first, so the pod's checks hold.
		return edit(ctx, c, namespace, fmt.Sprintf("http://proxy:%d", 3128+b.options.edits-1-i))
	})
}

// costOf is the CPU time that Telltale spends on a change of one Injection.
func (b *bench) costOf(c *cluster, change func(i int) error) (time.Duration, error) {
	if err := c.telltale.quiet(); err != nil {
		return 0, err
	}
	before, err := child.CPU(c.telltale.pid())
	if err != nil {
		return 0, err
	}
	for i := range b.options.edits {
		if err := change(i); err != nil {
			return 0, err
		}
	}
	if err := c.telltale.quiet(); err != nil {
		return 0, err
	}
	after, err := child.CPU(c.telltale.pid())

	return (after - before) / time.Duration(b.options.edits), err
}

// edit gives a namespace's Injection another value.
func edit(ctx context.Context, c *cluster, namespace, value string) error {
	before, err := theInjection()
	if err != nil {
		return err
	}
	before.Namespace = namespace
	after := before.DeepCopy()
	before.Spec = v1alpha1.InjectionSpec{}
	after.Spec.Env[0].Value = value

	return c.objects.Patch(ctx, after, client.MergeFrom(before))
}

// withdraw withdraws a namespace's Injection from an owner, or no longer does.
func withdraw(ctx context.Context, c *cluster, namespace string, withdrawn bool) error {
	in, err := theInjection()
	if err != nil {
		return err
	}
	in.Namespace = namespace
	if err := c.objects.Get(ctx, client.ObjectKeyFromObject(in), in); err != nil {
		return err
	}
	before := in.DeepCopy()
	in.Status.Withdrawn = nil
	if withdrawn {
		until := metav1.NewTime(time.Now().Add(time.Hour))
		in.Status.Withdrawn = []v1alpha1.Withdrawal{{
			Namespace: namespace, Kind: "ReplicaSet", Name: "web", UID: "1", Revision: in.Status.Revision,
			Phase: v1alpha1.WithdrawnPhase, Since: metav1.Now(), Until: &until, Text: "refused",
		}}
	}

	return c.objects.Status().Patch(ctx, in, client.MergeFrom(before))
}

// patchHas tells whether the patch of an answer contains a text.
func patchHas(response []byte, text string) (bool, error) {
	var e envelope
	if err := json.Unmarshal(response, &e); err != nil || e.Response == nil {
		return false, fmt.Errorf("cannot read the answer %s: %w", response, err)
	}

	return bytes.Contains(e.Response.Patch, []byte(text)), nil
}
