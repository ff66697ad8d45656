package pods

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// lookPeriod is how often to look for changes of other things than pods.
	lookPeriod = time.Second
	// At every so many of these looks, the registration is read, the mark written,
	// Injections are withdrawn, what is restored is told, and Injections and namespaces
	// are counted.
	readRegistration, writeMark, withdraws, tellsRestored, counts = 5, 5, 5, 5, 5
	// readsDenied is how often the events of pods that were refused are read, if there
	// may be some. The API server looks at all events for that.
	readsDenied = 30 * time.Second
	// showPeriod is how often the counts of one Injection are shown at most.
	showPeriod = 5 * time.Second
	// pauses is how long no list of all pods follows one, in times of its duration, nor a
	// look at events another.
	pauses = 4
	// registered is the name of our webhook in the registration.
	registered = "pods.telltale.dev"
	// quiet is for how long no pod must have been written until the API server is asked
	// whether that is so.
	quiet = time.Minute
)

// term is one time as the leader. One goroutine does all, but for those that hear of
// changes.
type term struct {
	*Audit

	changes *changes
	book    *book
	mounts  *mounts
	hangs   *hangs
	stories *stories

	// The mark, and how it was at the start.
	mark             mark
	lease            *coordinationv1.Lease
	began            time.Time
	before           time.Time
	beforeHeld       map[string]time.Time
	beforeNamespaces string
	nextNamespaces   string             // for the mark: all up to it are handled by its next time
	lostPods         map[string]lostPod // for mark.Lost, once events tell of them

	// The view of all pods.
	rested  time.Time // no list of all pods before
	skipped bool      // the list of all pods has not looked at one, as all injection was stopped
	isWhole bool      // a list has looked at all pods
	heard   time.Time // all pods created before are known; zero: at the start
	sounded sounding

	candidates map[string]*candidate
	injections map[edit]Since
	denies     bool      // an Injection has onFailure: Deny
	nextDenied time.Time // no look at their events before
}

func newTerm(a *Audit) *term {
	b, c := newBook(), newChanges()
	m := &mounts{Audit: a, book: b, changes: c, all: map[types.UID]*mount{}}

	return &term{
		Audit: a, changes: c, book: b, mounts: m,
		hangs:   &hangs{Audit: a, book: b, mounts: m, all: map[hangKey]*hang{}},
		stories: &stories{Audit: a, groups: &b.groups, all: map[types.UID]*story{}},

		lostPods: map[string]lostPod{}, candidates: map[string]*candidate{}, injections: map[edit]Since{},
	}
}

// edit is one edit of an Injection.
type edit struct {
	uid        types.UID
	generation int64
}

// term audits until ctx ends, or something fails.
func (a *Audit) term(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()

	t := newTerm(a)

	if err := t.start(ctx); err != nil {
		return err
	}

	err := t.keep(ctx)
	if ctx.Err() != nil {
		return t.leave(ctx)
	}

	return err
}

// start learns what earlier leaders knew, and begins to hear of changes.
func (t *term) start(ctx context.Context) error {
	if err := t.loadMark(ctx); err != nil {
		return err
	}

	if err := t.loadEvents(ctx); err != nil {
		return err
	}

	if err := t.seeRegistration(ctx); err != nil {
		return err
	}

	if err := t.saveMark(ctx); err != nil {
		return err
	}

	if err := t.changes.follow(ctx, t.cache); err != nil {
		return err
	}

	return t.census(ctx, true)
}

// keep looks at all pods, and then at those that change. It does so again when a watch
// has ended.
func (t *term) keep(ctx context.Context) error {
	start := time.Now()

	for first := true; ctx.Err() == nil; first = false {
		version, err := t.list(ctx, "")
		if err != nil {
			return err
		}

		if first {
			t.show(time.Now())
			t.metrics.firstPass(time.Since(start))
		}

		began := time.Now()

		if err := t.watch(ctx, version); err != nil {
			return err
		}

		if time.Since(began) < again { // something ends watches at once
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
	}

	return nil
}

// seeRegistration reads the registration. If it is not there, the last one counts.
func (t *term) seeRegistration(ctx context.Context) error {
	registration := &admissionregistrationv1.MutatingWebhookConfiguration{}

	err := t.live.Get(ctx, types.NamespacedName{Name: t.o.Registration}, registration)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("cannot read the registration: %w", err)
	}

	i := slices.IndexFunc(registration.Webhooks, func(w admissionregistrationv1.MutatingWebhook) bool { return w.Name == registered })
	if i < 0 {
		return nil
	}

	if t.mark.Scopes.see(&registration.Webhooks[i], time.Now().UTC().Truncate(time.Second)) {
		t.changes.lookAgain("")
	}

	return nil
}

// look looks for changes of other things than pods. If something fails, the next
// look tries again. It returns an error if the mark is another's: the term must end.
func (t *term) look(ctx context.Context, times int) error {
	now := time.Now()
	err := t.seeStop(ctx, now)

	if times%readRegistration == 0 {
		err = errors.Join(err, t.seeRegistration(ctx), t.listDirty(ctx))
	}

	err = errors.Join(err, t.confirm(ctx, now), t.mounts.read(ctx, now), t.readDenied(ctx, now))
	t.hangs.tell(now)

	if times%withdraws == 0 {
		err = errors.Join(err, t.hangs.withdraw(ctx, now))
	}

	t.show(now)

	if times%tellsRestored == 0 {
		if e := t.stories.tell(ctx, now); !errors.Is(e, errLater) {
			err = errors.Join(err, e)
		}
	}

	if times%counts == 0 {
		err = errors.Join(err, t.census(ctx, false))
	}

	if times%writeMark == 0 {
		err = errors.Join(err, t.sound(ctx, now))
		t.advance()
		err = errors.Join(err, t.saveMark(ctx))
	}

	if errors.Is(err, errOvertaken) {
		return err
	}

	t.complain(ctx, err)

	return nil
}

// seeStop notes whether all injection is stopped. Meanwhile pods are not looked at.
func (t *term) seeStop(ctx context.Context, now time.Time) error {
	stopped, ended := t.known.Stopped()
	if stopped {
		ended = now
	}

	wasStopped := t.mark.Stopped || !stopped && ended.After(t.mark.StoppedUntil)
	t.mark.Stopped = stopped

	if ended.After(t.mark.StoppedUntil) {
		t.mark.StoppedUntil = ended
	}

	if wasStopped == stopped {
		return nil
	}

	if !stopped {
		t.changes.lookAgain("")
	}

	return t.saveMark(ctx)
}

// listDirty looks again at the pods of namespaces that something has changed in.
func (t *term) listDirty(ctx context.Context) (err error) {
	dirty := t.changes.takeDirty(!time.Now().Before(t.rested))

	for namespace := range dirty {
		t.changes.forgetUnknown(namespace)

		if _, failed := t.list(ctx, namespace); failed != nil {
			t.changes.lookAgain(namespace)

			err = errors.Join(err, failed)
		}
	}

	return err
}

// isStopped asks the API server itself whether injection is stopped.
func (t *term) isStopped(ctx context.Context) (bool, error) {
	stop := &metav1.PartialObjectMetadata{}
	stop.SetGroupVersionKind(configMapKind)

	err := t.live.Get(ctx, types.NamespacedName{Namespace: t.o.Namespace, Name: t.o.Stop}, stop)

	return err == nil, client.IgnoreNotFound(err)
}
