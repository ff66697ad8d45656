package injections

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// holds is how long an answer of the API server holds: its feature gates
	// change without its version.
	holds = 24 * time.Hour
	// remains is how long a refusal holds after an API server of the version that
	// gave it was last seen.
	remains = time.Hour
	// lookAtAll is how often each Injection is looked at, for an answer that
	// holds no longer.
	lookAtAll = 10 * time.Minute
	// After a failed question, the next one follows after ten seconds, later after
	// an hour at most.
	firstQuestion, lastQuestion = 10 * time.Second, time.Hour
)

// isDue tells whether the API server, which has this version, is to be asked about a
// revision. The answer before is nil if it was not asked; seen says when a server of a
// version was last seen. Servers of one control plane may differ, and a pod may get to
// either: so a refusal holds while there are servers of its version.
func isDue(before *v1alpha1.ServerCheck, revision, version string, seen func(version string) time.Time, now time.Time) bool {
	switch {
	case before == nil || before.Revision != revision || now.Sub(before.Time.Time) >= holds:
		return true
	case before.ServerVersion == version:
		return false
	default:
		return before.Refused == "" || now.Sub(seen(before.ServerVersion)) >= remains
	}
}

// check returns the API server's answer on a revision: the one before while that
// holds, or else a new one. If it can't be asked, that is an error, and the answer
// before still holds.
func (s *Status) check(
	ctx context.Context, spec *v1alpha1.InjectionSpec, compiled *patches.Injection, before *v1alpha1.ServerCheck,
) (*v1alpha1.ServerCheck, error) {
	if compiled.Refused("").Err() != nil {
		return nil, nil //nolint:nilerr // our own checks are enough
	}

	if before != nil && before.Revision != compiled.Revision() {
		before = nil
	}

	version, err := s.server.versionNow(ctx)
	if err != nil || !isDue(before, compiled.Revision(), version, s.server.lastSeen, time.Now()) {
		return before, err
	}

	refused, err := s.server.refused(ctx, spec)
	if err != nil {
		return before, err
	}

	return &v1alpha1.ServerCheck{
		Revision: compiled.Revision(), ServerVersion: version, Time: metav1.Now().Rfc3339Copy(), Refused: refused,
	}, nil
}
