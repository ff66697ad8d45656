package audit

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// sweepPeriod is how often all withdrawals are looked at.
	sweepPeriod = 15 * time.Second
	// At every so many of these looks, those of owners that are gone are forgotten.
	lookForGone = 40
)

// sweepAll goes on with the trials of the last leader, and looks at all withdrawals
// for those whose time has come, and for owners that are gone.
func (r *Refusals) sweepAll(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ownerRef]) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	for ref, s := range r.stories {
		if s.trial != nil {
			queue.Add(ref)
		}
	}

	times := 0

	go wait.UntilWithContext(ctx, func(ctx context.Context) {
		r.sweep(ctx, times)
		times++
	}, sweepPeriod)

	return nil
}

func (r *Refusals) sweep(ctx context.Context, times int) {
	r.forget(time.Now())

	for name, withdrawn := range r.all(ctx) {
		gone := map[v1alpha1.Withdrawal]bool{}
		if times%lookForGone == 0 {
			gone = r.gone(ctx, withdrawn)
		}

		err := r.withdrawals.Withdraw(ctx, name, retry(time.Now(), func(w v1alpha1.Withdrawal) bool { return gone[keyOf(w)] }))
		if err != nil {
			r.log.Error(err, "cannot look at the withdrawals of an Injection, will try again", "injection", name)
		}
	}
}

// gone tells which owners are gone, or have no pods to wait for. Those that can't
// be read count as there.
func (r *Refusals) gone(ctx context.Context, all []v1alpha1.Withdrawal) map[v1alpha1.Withdrawal]bool {
	gone := map[v1alpha1.Withdrawal]bool{}

	for _, w := range all {
		ref, ok := refOf(w)

		switch {
		case w.Name == "":
		case ok:
			o, err := read(ctx, r.reader, ref)
			gone[keyOf(w)] = err == nil && (o == nil || o.idle)
		default:
			cron := &metav1.PartialObjectMetadata{}
			cron.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind(w.Kind))
			err := r.reader.Get(ctx, types.NamespacedName{Namespace: w.Namespace, Name: w.Name}, cron)
			gone[keyOf(w)] = apierrors.IsNotFound(err) || err == nil && cron.UID != w.UID
		}
	}

	return gone
}

// all returns the withdrawals of every Injection that has some.
func (r *Refusals) all(ctx context.Context) map[types.NamespacedName][]v1alpha1.Withdrawal {
	all, err := r.withdrawals.AllWithdrawn(ctx)
	if err != nil {
		r.log.Error(err, "cannot read all withdrawals, will try again")
	}

	return all
}

// resume takes over the trials of the last leader. It knows the suspects that are
// left out, and no others.
func (r *Refusals) resume(ctx context.Context, all map[types.NamespacedName][]v1alpha1.Withdrawal) {
	trials := map[ownerRef]*trial{}

	for name, withdrawn := range all {
		in := r.known.Get(name.Namespace, name.Name)

		for _, w := range withdrawn {
			if in == nil || in.Revision() != w.Revision || w.Phase != v1alpha1.TrialPhase {
				continue
			}

			for _, ref := range r.refsOf(ctx, w) {
				t := trials[ref]
				if t == nil {
					t = newTrial(keyOf(w), nil, w.Since.Time)
					t.after = at1s(w.Since.Add(-skew))
					trials[ref] = t
				}

				if len(t.suspects) < maxSuspects {
					t.suspects = append(t.suspects, suspect{name: name, injection: in.Withdrawn(nil)})
				}
			}
		}
	}

	for ref, t := range trials {
		t.without = everyone(len(t.suspects))
		t.tried[t.without] = true

		r.locked(ref, func(s *story) { s.trial = t })
		r.count(t, 1)
	}
}

// refsOf are the owners that a withdrawal is for: one, or the Jobs of a CronJob that
// go on.
func (r *Refusals) refsOf(ctx context.Context, w v1alpha1.Withdrawal) (refs []ownerRef) {
	if ref, ok := refOf(w); ok {
		return []ownerRef{ref}
	}

	jobs := &metav1.PartialObjectMetadataList{}
	jobs.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("JobList"))

	if err := r.reader.List(ctx, jobs, client.InNamespace(w.Namespace)); err != nil {
		r.log.Error(err, "cannot list the Jobs of a CronJob that is in a trial", "namespace", w.Namespace, "name", w.Name)
	}

	for _, job := range jobs.Items {
		if by := metav1.GetControllerOf(&job); by == nil || by.UID != w.UID {
			continue
		}

		ref := ownerRef{batchv1.SchemeGroupVersion.String(), "Job", job.Namespace, job.Name, job.UID}
		if o, err := read(ctx, r.reader, ref); err == nil && o != nil && !o.idle && o.key.UID == w.UID {
			refs = append(refs, ref)
		}
	}

	return refs
}

// refOf is the owner that a withdrawal is for. It is false for a CronJob, and
// where the withdrawal is for many owners.
func refOf(w v1alpha1.Withdrawal) (ownerRef, bool) {
	group := appsv1.SchemeGroupVersion
	if w.Kind == "Job" {
		group = batchv1.SchemeGroupVersion
	}

	return ownerOf(&corev1.ObjectReference{APIVersion: group.String(), Kind: w.Kind, Namespace: w.Namespace, Name: w.Name, UID: w.UID})
}

func keyOf(w v1alpha1.Withdrawal) v1alpha1.Withdrawal {
	return v1alpha1.Withdrawal{Namespace: w.Namespace, Kind: w.Kind, Name: w.Name, UID: w.UID, Template: w.Template}
}
