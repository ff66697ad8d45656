package pods

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Ailing is a pod that may be better off as a new one.
type Ailing struct {
	UID     types.UID
	Created time.Time
	// Injection is the one that it lacks, or that keeps it from starting.
	Injection types.NamespacedName
	// Failure is the one that was told: failure.Missed or failure.Stuck.
	Failure failure.Failure
}

// Healer has ailing pods created anew. It is told of each of them more than once, and
// not if one recovers.
type Healer interface {
	Ails(a Ailing)
	IsGone(uid types.UID)
}

// nobody heals.
type nobody struct{}

// Ails does nothing.
func (nobody) Ails(Ailing) {}

// IsGone does nothing.
func (nobody) IsGone(types.UID) {}
