package pods

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Healer has pods created anew that are better off as new ones.
type Healer interface {
	// Ails tells of a pod that lacks an Injection, or does not start because of it: the
	// failure, failure.Missed or failure.Stuck, names the pod and its controller. Each pod
	// is told of more than once, and nothing is told if it recovers.
	Ails(uid types.UID, created time.Time, injection types.NamespacedName, f failure.Failure)
	// IsGone tells that a pod is gone.
	IsGone(uid types.UID)
}

// nobody heals.
type nobody struct{}

// Ails does nothing.
func (nobody) Ails(types.UID, time.Time, types.NamespacedName, failure.Failure) {}

// IsGone does nothing.
func (nobody) IsGone(types.UID) {}
