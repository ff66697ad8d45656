package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Reconcile takes the next step for an owner.
func (r *Refusals) Reconcile(ctx context.Context, ref ownerRef) (reconcile.Result, error) {
	var s story
	r.locked(ref, func(known *story) { s = *known })

	switch {
	case s.trial != nil:
	case s.heard == s.handled:
		return reconcile.Result{}, nil
	case !r.mayTry(ref.namespace):
		return reconcile.Result{RequeueAfter: again}, nil
	}

	handled := s.handled

	wait, err := r.step(ctx, ref, &s)
	if err != nil {
		s.handled = handled // the step is taken again
	}

	r.locked(ref, func(known *story) { // it may have heard more meanwhile; the rest is changed here only
		s.hearing = known.hearing

		if *known = s; s.gone && s.handled == s.heard {
			*known = story{}
		}
	})

	if errors.Is(err, context.Canceled) {
		return reconcile.Result{}, nil // no longer the leader
	}

	return reconcile.Result{RequeueAfter: wait}, err
}

// step returns how long to wait before the next one.
func (r *Refusals) step(ctx context.Context, ref ownerRef, s *story) (time.Duration, error) {
	o, err := read(ctx, r.reader, ref)
	if err != nil {
		return 0, err
	}

	heard := s.heard

	switch {
	case (o == nil || o.idle) && s.trial != nil:
		err = r.acquit(ctx, s)
	case o == nil:
	case s.trial != nil:
		return r.follow(ctx, o, s)
	default:
		return r.begin(ctx, o, s)
	}

	if err == nil {
		s.handled, s.gone = heard, o == nil
	}

	return 0, err
}

// begin starts a trial, if a refusal is a reason for one.
func (r *Refusals) begin(ctx context.Context, o *owner, s *story) (time.Duration, error) {
	if ok, again := s.judge(o.wants, o.stale, time.Now()); !ok {
		return again, nil
	}

	all, err := r.suspects(ctx, o, s.newest.words)
	if err != nil || !s.maySuspect(o.key, all, time.Now()) {
		return 0, err
	}

	pods, err := o.pods(ctx, r.reader)
	if err != nil {
		return 0, err
	}

	s.trial = newTrial(o.key, all, time.Now())
	for i := range pods {
		s.trial.before[pods[i].UID] = true
	}

	r.count(s.trial, 1)
	r.log.Info("pods are refused: the next one is tried without", "owner", o.String(), "refusal", s.newest.words)

	return r.try(ctx, o, s)
}

// try leaves the next suspects out. If none are left to try, all are acquitted.
func (r *Refusals) try(ctx context.Context, o *owner, s *story) (time.Duration, error) {
	t := s.trial

	next := nextTrial(len(t.suspects), t.tried, t.without, named(t.suspects, s.newest.words))
	if next == 0 {
		return 0, r.acquit(ctx, s)
	}

	if err := r.edit(ctx, t, t.without&^next, acquit); err != nil {
		return 0, err
	}

	t.plan(next)

	return r.leaveOut(ctx, o, s)
}

// leaveOut leaves out the suspects that are planned to be, once no replica leaves
// out others still: a pod that both were left out of would prove nothing.
func (r *Refusals) leaveOut(ctx context.Context, o *owner, s *story) (time.Duration, error) {
	t := s.trial

	if wait := t.clears(r.inTrial(o, t, everyone(len(t.suspects))&^t.planned), time.Now()); wait > 0 {
		return wait, nil
	}

	err := r.edit(ctx, t, t.planned, func(key v1alpha1.Withdrawal, revision string) edit {
		return tryWithout(key, revision, s.newest.words, time.Now())
	})
	if err != nil {
		return 0, err
	}

	t.begin(time.Now())

	return t.next(), nil
}

// follow looks how a trial goes.
func (r *Refusals) follow(ctx context.Context, o *owner, s *story) (time.Duration, error) {
	t, now := s.trial, time.Now()
	inForce := t.planned == 0 && r.inForce(o, t)
	mayWait := t.slow || now.Sub(t.began) <= slow || r.letWait(t)

	switch {
	case !inForce && (!r.isCurrent(o, t) || now.Sub(t.began) >= trialLimit):
		return 0, r.acquit(ctx, s)
	case t.planned != 0:
		return r.leaveOut(ctx, o, s)
	case !inForce:
		return firstPoll, nil // it is still to be written, or to come back as known
	case t.spread.IsZero():
		t.spread = now.Add(spread)
	}

	heard := s.heard

	switch passed, err := o.hasPassed(ctx, r.reader, t); {
	case err != nil:
		return 0, err
	case passed:
		s.handled = heard

		return 0, r.convict(ctx, s)
	case t.isRefused(s.newest):
		s.handled = heard

		return r.try(ctx, o, s)
	case now.Sub(t.began) >= trialLimit:
		return 0, r.acquit(ctx, s)
	case !mayWait, // the next refusal begins another
		!o.wants && !o.stale && now.Sub(t.changed) > skew: // it has all its pods, with the Injection
		s.handled = heard

		return 0, r.drop(ctx, s)
	default:
		return t.next(), nil
	}
}

// inForce tells whether the trial is known to all that match pods here.
func (r *Refusals) inForce(o *owner, t *trial) bool {
	yes := true

	t.without.each(func(i int) {
		in := r.known.Get(t.suspects[i].name.Namespace, t.suspects[i].name.Name)
		yes = yes && in != nil && in.WithdrawnFor(o.reference(), o.namespace) != nil
	})

	return yes
}

// inTrial tells whether a pod may still be answered without some of these, for a trial.
func (r *Refusals) inTrial(o *owner, t *trial, which suspects) bool {
	yes := false

	which.each(func(i int) {
		in := r.known.Get(t.suspects[i].name.Namespace, t.suspects[i].name.Name)
		if in != nil {
			w := in.WithdrawnFor(o.reference(), o.namespace)
			yes = yes || w != nil && w.Phase == v1alpha1.TrialPhase
		}
	})

	return yes
}

// isCurrent tells whether the Injections of a trial are as they were at its start.
func (r *Refusals) isCurrent(o *owner, t *trial) bool {
	current := true

	(t.without | t.planned).each(func(i int) {
		in := r.known.Get(t.suspects[i].name.Namespace, t.suspects[i].name.Name)
		current = current && in != nil && in.Revision() == t.suspects[i].injection.Revision()
	})

	return current && o.key == t.key
}

// suspects are the Injections that a pod of the owner gets. For one that says
// onFailure: Deny there is no trial; if the refusal names a part of it, the owner
// is told that.
func (r *Refusals) suspects(ctx context.Context, o *owner, words string) ([]suspect, error) {
	pod, err := o.pod()
	if err != nil {
		return nil, err
	}

	matches, err := r.known.Match(pod.Traits(), o.namespace)
	if err != nil {
		return nil, fmt.Errorf("cannot tell which Injections a pod has: %w", err)
	}

	var open []patches.Match

	for _, m := range matches {
		newest, err := r.withdrawals.Withdrawn(ctx, nameOf(m.Injection)) // newer than those that are known
		if err != nil {
			return nil, err
		}

		if w := m.Withdrawn(newest).WithdrawnFor(o.reference(), o.namespace); w == nil || w.Phase == v1alpha1.TrialPhase {
			m.Injection = m.Injection.Withdrawn(nil)
			open = append(open, m)
		}
	}

	var all []suspect

	for _, in := range candidates(ctx, pod, open) {
		switch part := patches.NamedIn(in, words); {
		case !in.Deny && len(all) < maxSuspects:
			all = append(all, suspect{name: nameOf(in), injection: in})
		case in.Deny && part != "":
			r.reporter.Report(failure.Failure{
				Reason: failure.Refused, Injection: failure.Injection{Cluster: in.Cluster(), Name: in.Name}, Revision: in.Revision(),
				Owner: o.failureRef(), Pod: o.name + "-*",
				Text: "pods may be refused because of its " + part + ": " + strings.TrimRight(words, ".") + ". It says onFailure: Deny, so no pod is tried without it. Correct the Injection, or set onFailure: Admit.",
			})
		}
	}

	return all, nil
}

// candidates are the Injections that a pod gets, and those that it may get once others
// are left out, because they are in conflict with these.
func candidates(ctx context.Context, pod *patches.Pod, open []patches.Match) []*patches.Injection {
	result := patches.New(ctx, pod, open)
	all := result.Injected

	for _, f := range result.Failed {
		if f.Reason != patches.Conflict || f.Injection.Deny {
			continue
		}

		alone := slices.DeleteFunc(slices.Clone(open), func(m patches.Match) bool { return m.Injection != f.Injection })
		all = append(all, patches.New(ctx, pod, alone).Injected...)
	}

	return all
}
