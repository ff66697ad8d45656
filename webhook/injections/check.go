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
	// lookAtAll is how often each Injection is looked at, for an answer that
	// holds no longer.
	lookAtAll = 10 * time.Minute
	// After a failed question, the next one follows after ten seconds, later after
	// an hour at most.
	firstQuestion, lastQuestion = 10 * time.Second, time.Hour
)

// isDue tells whether the API server is to be asked about a revision. The answer
// before is nil if it was not asked.
func isDue(before *v1alpha1.ServerCheck, revision, version string, now time.Time) bool {
	return before == nil || before.Revision != revision || before.ServerVersion != version || now.Sub(before.Time.Time) >= holds
}

// strictest is an answer in the light of the one before: a refusal stands for
// its time. Servers of one control plane may differ, and a pod may get to either.
func strictest(before *v1alpha1.ServerCheck, answer v1alpha1.ServerCheck) *v1alpha1.ServerCheck {
	if before == nil || before.Revision != answer.Revision || before.Refused == "" || answer.Refused != "" ||
		answer.Time.Sub(before.Time.Time) >= holds {
		return &answer
	}

	stands := *before
	stands.ServerVersion = answer.ServerVersion

	return &stands
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
	if err != nil || !isDue(before, compiled.Revision(), version, time.Now()) {
		return before, err
	}

	refused, err := s.server.refused(ctx, spec)
	if err != nil {
		return before, err
	}

	return strictest(before, v1alpha1.ServerCheck{
		Revision: compiled.Revision(), ServerVersion: version, Time: metav1.Now().Rfc3339Copy(), Refused: refused,
	}), nil
}
