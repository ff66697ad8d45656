package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// replicaSets is a client.Reader that gets them by name.
type replicaSets struct {
	client.Reader

	mu     sync.Mutex
	byName map[string]*appsv1.ReplicaSet
	gets   map[string]int
	err    error
}

func (r *replicaSets) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	time.Sleep(answered) // so that one who asks and waits for nothing is always first

	r.mu.Lock()
	defer r.mu.Unlock()

	r.gets[key.Name]++

	found, ok := into.(*appsv1.ReplicaSet)
	if from := r.byName[key.Name]; ok && from != nil && r.err == nil {
		from.DeepCopyInto(found)

		return nil
	}

	if r.err != nil {
		return r.err
	}

	return apierrors.NewNotFound(schema.GroupResource{Resource: "replicasets"}, key.Name)
}

func (r *replicaSets) make(name string, excluded ...metav1.LabelSelectorRequirement) failure.Ref {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.byName[name] = &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name)},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{
			MatchLabels: map[string]string{"app": "web"}, MatchExpressions: excluded,
		}},
	}

	return refOfReplicaSet(name)
}

// fails has it answer with an error from now on, or, with nil, no longer.
func (r *replicaSets) fails(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.err = err
}

// times is how often one was asked for.
func (r *replicaSets) times(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.gets[name]
}

func refOfReplicaSet(name string) failure.Ref {
	return failure.Ref{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name)}
}

func noTrack() metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: "track", Operator: metav1.LabelSelectorOpDoesNotExist}
}

// answered is how long an answer takes.
const answered = time.Millisecond

// TestSelectors asks about controllers before and after they are read.
func TestSelectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &replicaSets{byName: map[string]*appsv1.ReplicaSet{}, gets: map[string]int{}}
		s := newSelectors(cluster, logr.Discard())

		go func() { _ = s.Start(t.Context()) }()

		knows := func(why string, ref failure.Ref, want string) {
			t.Helper()

			if got := s.Excluding(ref).String(); got != want {
				t.Errorf("%s got %q, want %q", why, got, want)
			}
		}
		asked := func(why string, ref failure.Ref, want int) {
			t.Helper()
			time.Sleep(2 * answered)

			if got := cluster.times(ref.Name); got != want {
				t.Errorf("%s %s was read %d times, want %d", why, ref.Name, got, want)
			}
		}

		first := cluster.make("web-1", noTrack())
		for range 3 {
			knows("It does not wait.", first, "")
		}

		asked("Once is enough.", first, 1)
		knows("It was read.", first, "!track")
		asked("A selector never changes.", first, 1)

		next := cluster.make("web-2", noTrack())
		knows("The last rollout's is taken until it is read.", next, "!track")
		asked("It is read, too.", next, 1)

		again := cluster.make("web-3")
		knows("The Deployment was made anew.", again, "!track")
		asked("So it is read.", again, 1)
		knows("It excludes nothing.", again, "")
		knows("Nor does the next rollout.", cluster.make("web-4"), "")

		plain := cluster.make("plain-1")
		knows("Not read yet.", plain, "")
		asked("As any other.", plain, 1)
		knows("It excludes nothing.", plain, "")
		asked("That is kept as well.", plain, 1)

		other := refOfReplicaSet("web-1")
		other.UID = "forged"
		knows("A stranger's review.", other, "")
		time.Sleep(2 * answered)
		knows("What the API server does not know is not kept.", other, "")

		for _, kind := range []string{"ReplicationController", "Pod", "Rollout"} {
			ref := refOfReplicaSet("none-1")
			ref.Kind = kind
			knows("Its selector is of another shape, or unknown.", ref, "")
			asked("So it is not read.", ref, 0)
		}

		cluster.fails(errors.New("away"))
		late := cluster.make("late-1", noTrack())
		knows("It can't be read.", late, "")
		asked("No one waits for that.", late, 1)

		cluster.fails(nil)

		knows("Still unknown.", late, "")
		asked("At its next pod it is read again.", late, 2)
		knows("Now it is known.", late, "!track")
	})
}

// TestSelectorsAreBounded asks about more controllers than may wait.
func TestSelectorsAreBounded(t *testing.T) {
	s := newSelectors(&replicaSets{gets: map[string]int{}}, logr.Discard())
	for i := range 2 * maxAsked {
		s.Excluding(refOfReplicaSet(fmt.Sprint("web-", i)))
	}

	if len(s.queue) != maxAsked || len(s.asked) != maxAsked {
		t.Errorf("%d wait, and %d are said to", len(s.queue), len(s.asked))
	}
}
