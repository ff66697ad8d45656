package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// bench is one run.
type bench struct {
	options

	start time.Time
	out   io.Writer
	dir   string

	own   map[string]*candidate // limit, floor, constant, textbook
	one   *cluster              // its Telltale has one Injection for a pod
	crowd *cluster              // its Telltale has thousands; nil if no section needs it

	report
}

// say prints the present step.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.1fs  %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}

// run measures the sections that are asked for. It leaves it to stop to end all
// that was started.
func (b *bench) run(ctx context.Context) error {
	if err := b.setUp(ctx); err != nil {
		return err
	}
	for _, section := range []struct {
		name    string
		measure func(context.Context) error
	}{{"cost", b.cost}, {"pods", b.creations}, {"crowd", b.many}, {"memory", b.footprint}} {
		if !b.asked(section.name) {
			continue
		}
		b.say("measuring %s", section.name)
		if err := section.measure(ctx); err != nil {
			return fmt.Errorf("cannot measure %s: %w", section.name, err)
		}
	}
	b.say("done")
	b.print(b.out)

	return nil
}

func (b *bench) asked(section string) bool { return slices.Contains(b.only, section) }

// setUp starts all that is measured, and waits until it is quiet.
func (b *bench) setUp(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "telltale-bench-"); err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	b.own = map[string]*candidate{}
	for _, name := range []string{limit, floor, constant, textbook} {
		if b.own[name], err = startOwn(ctx, b.dir, name); err != nil {
			return err
		}
	}
	b.say("starting an API server, and Telltale with one Injection for a pod")
	if b.one, err = newCluster(ctx, b.options, filepath.Join(b.dir, "one")); err != nil {
		return err
	}
	if err := b.setUpOne(ctx); err != nil {
		return err
	}
	if !b.asked("crowd") && !b.asked("memory") {
		return nil
	}

	return b.setUpCrowd(ctx)
}

// setUpOne gives each candidate a namespace. Telltale gets an Injection in its
// own namespace, one in another with a quota and limits, one in a third that is
// in conflict with the pod, one that joins a value, one that only looks,
// those that choose, and one that requires a ConfigMap.
func (b *bench) setUpOne(ctx context.Context) error {
	changes := choices()
	maps.Copy(changes, map[string]func(*v1alpha1.Injection){
		subject:   func(*v1alpha1.Injection) {},
		limited:   func(*v1alpha1.Injection) {},
		conflict:  clash,
		joined:    join,
		previewed: look,
	})
	others := []string{floor, constant, textbook, policy, patch, nothing, unmatched}
	for _, name := range append(others, slices.Collect(maps.Keys(changes))...) {
		if err := b.one.createNamespace(ctx, namespaceOf(name), nil); err != nil {
			return err
		}
	}
	for name, change := range changes {
		in, err := theInjection()
		if err != nil {
			return err
		}
		in.Namespace = namespaceOf(name)
		change(in)
		if err := b.one.objects.Create(ctx, in); err != nil {
			return err
		}
	}
	if err := b.limit(ctx); err != nil {
		return err
	}
	if err := b.provide(ctx); err != nil {
		return err
	}
	if _, err := b.one.telltale.start(ctx); err != nil {
		return err
	}

	return b.afterStart(b.one, "resident after start, with 11 Injections", 45)
}

// stop ends all that was started, and removes what was written.
func (b *bench) stop() error {
	for _, c := range b.own {
		c.stop()
	}

	return errors.Join(b.one.stop(), b.crowd.stop(), os.RemoveAll(b.dir))
}
