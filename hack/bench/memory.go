package main

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/test/child"
)

// none is how much memory may grow and still count as not growing: the same
// work leaves the garbage collector with a few pages more or less each time.
const none = 2 << 20

// afterStart adds the row of a Telltale that has started: its memory when it
// has nothing left to do, and the most before.
func (b *bench) afterStart(c *cluster, what string, most int64) error {
	if err := c.telltale.waitQuiet(); err != nil {
		return err
	}
	m, err := child.MemoryOf(c.telltale.pid())
	if err != nil {
		return err
	}
	b.add(row{
		what: what, must: fmt.Sprintf("≤ %d MiB", most),
		figure: fmt.Sprintf("%s, %s of it the program's file; at most %s", mib(m.Now), mib(m.File), mib(m.Peak)), held: m.Now <= most<<20,
	})

	return nil
}

// footprint measures Telltale's memory. It also measures the start, because
// that decides most of it.
func (b *bench) footprint(ctx context.Context) error {
	if err := b.starts(ctx); err != nil {
		return err
	}
	if err := b.growth(); err != nil {
		return err
	}
	if err := b.independence(ctx); err != nil {
		return err
	}

	return b.size()
}

// starts starts the crowd's Telltale again and again.
func (b *bench) starts(ctx context.Context) error {
	var longest, spent time.Duration
	for range b.options.starts {
		b.crowd.telltale.stop()
		took, err := b.crowd.telltale.start(ctx)
		if err != nil {
			return err
		}
		used, err := child.CPU(b.crowd.telltale.pid())
		if err != nil {
			return err
		}
		longest, spent = max(longest, took), max(spent, used)
		if err := b.crowd.telltale.quiet(); err != nil {
			return err
		}
	}
	b.add(row{
		what:   "start to ready with " + b.crowdSize(),
		must:   "≤ 2 s",
		figure: fmt.Sprintf("at most %s and %s of CPU, of %d starts", ms(longest), ms(spent), b.options.starts), held: longest <= 2*time.Second,
	})

	return b.afterStart(b.crowd, "resident with "+b.crowdSize(), 120)
}

// growth lets Telltale answer many reviews: injected, untouched and failed. It
// compares the memory after the first fifth of them with that at the end. Each
// value is the median of ten looks.
func (b *bench) growth() error {
	const looks, warm = 50, 10
	reviews := []string{subject, unmatched, conflict}
	var seen []int64
	for range looks {
		for _, name := range reviews {
			if _, err := ask(b.one.telltale, reviewOf(namespaceOf(name)), 4, 0, b.admissions/looks/len(reviews)); err != nil {
				return err
			}
		}
		m, err := child.MemoryOf(b.one.telltale.pid())
		if err != nil {
			return err
		}
		seen = append(seen, m.Now)
	}
	from, to := median(seen[warm:2*warm]), median(seen[looks-warm:])
	b.add(row{
		what: fmt.Sprintf("growth over %d admissions", b.admissions), must: "none (≤ " + mib(none) + ")",
		figure: fmt.Sprintf("%s to %s", mib(from), mib(to)), held: to-from <= none,
	})

	return nil
}

// independence fills the cluster with objects that do not concern Telltale, and
// starts it again.
func (b *bench) independence(ctx context.Context) error {
	before, err := b.restarted(ctx)
	if err != nil {
		return err
	}
	if err := b.one.createNamespace(ctx, "full", nil); err != nil {
		return err
	}
	if err := each(b.deployments, func(i int) error { return b.deploy(ctx, fmt.Sprintf("app-%d", i)) }); err != nil {
		return err
	}
	running, err := child.MemoryOf(b.one.telltale.pid())
	if err != nil {
		return err
	}
	after, err := b.restarted(ctx)
	if err != nil {
		return err
	}
	b.add(row{
		what:   fmt.Sprintf("resident after %d Deployments, ReplicaSets and pods each were created; and started anew with them", b.deployments),
		must:   "as without (± " + mib(none) + ")",
		figure: fmt.Sprintf("%s before, %s, %s", mib(before.Now), mib(running.Now), mib(after.Now)),
		held:   max(running.Now, after.Now)-before.Now <= none,
	})

	return nil
}

// restarted is the memory of a Telltale that was just started, once it has
// nothing left to do.
func (b *bench) restarted(ctx context.Context) (m child.Memory, err error) {
	b.one.telltale.stop()
	if _, err := b.one.telltale.start(ctx); err != nil {
		return m, err
	}
	if err := b.one.telltale.waitQuiet(); err != nil {
		return m, err
	}

	return child.MemoryOf(b.one.telltale.pid())
}

// deploy makes a Deployment, a ReplicaSet and a pod.
func (b *bench) deploy(ctx context.Context, name string) error {
	pod, err := podOf(checkout)
	if err != nil {
		return err
	}
	meta := metav1.ObjectMeta{Name: name, Namespace: "full", Labels: pod.Labels}
	selector := &metav1.LabelSelector{MatchLabels: pod.Labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
	if _, err := b.one.api.AppsV1().Deployments("full").Create(ctx, &appsv1.Deployment{
		ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := b.one.api.AppsV1().ReplicaSets("full").Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = b.one.api.CoreV1().Pods("full").Create(ctx, &corev1.Pod{ObjectMeta: meta, Spec: pod.Spec}, metav1.CreateOptions{})

	return err
}

// size measures the program, which is all that the image holds.
func (b *bench) size() error {
	info, err := os.Stat(b.telltale)
	if err != nil {
		return fmt.Errorf("cannot look at the program: %w", err)
	}
	program, err := elf.Open(b.telltale)
	if err != nil {
		return fmt.Errorf("cannot look at the program: %w", err)
	}
	kind, dynamic := "static", false
	for _, p := range program.Progs {
		dynamic = dynamic || p.Type == elf.PT_INTERP
	}
	if err := program.Close(); err != nil {
		return fmt.Errorf("cannot look at the program: %w", err)
	}
	if dynamic {
		kind = "dynamic"
	}
	b.add(row{
		what: "the image: one static binary", must: "≤ 45 MB",
		figure: fmt.Sprintf("%.1f MB, %s", float64(info.Size())/1e6, kind), held: !dynamic && info.Size() <= 45e6,
	})

	return nil
}
