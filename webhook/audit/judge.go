package audit

import (
	"slices"
	"strings"
	"time"
)

// hearing is what was heard of an owner. More may be heard at any time, during a step
// for it, too.
type hearing struct {
	newest refusal
	heard  int // refusals so far
	before int // how many came before the newest row of those that are alike
}

// hear adds a refusal. Several may have become one event.
func (h *hearing) hear(r refusal, times int) {
	if rule := r.rule(); rule == "" || rule != h.newest.rule() || r.at.Sub(h.newest.at) > trialLimit {
		h.before = h.heard
	}

	h.newest = r
	h.heard += max(times, 1)
}

// rule is the quota or the service account that a passing refusal names, without the
// figures of a quota, which change. It is empty for other refusals.
//
// Source: CheckRequest, k8s.io/apiserver v0.37.2
// pkg/admission/plugin/resourcequota/controller.go.
func (r refusal) rule() string {
	if r.kind != passingRefusal {
		return ""
	}

	rule, _, _ := strings.Cut(r.cause(), ", requested: ")

	return rule
}

// mayPass tells whether the newest refusal is the first of its rule, and mostly ends by
// itself.
func (s *story) mayPass() bool {
	return s.newest.kind == passingRefusal && s.heard-max(s.before, s.over) < 2
}

// judge says if the newest refusal begins a trial. If it can't be told yet, it says when
// to look at the owner again.
func (s *story) judge(wants, stale bool, now time.Time) (begin bool, again time.Duration) {
	switch {
	case !s.newest.isAfter(s.convicted): // of a pod that had what is left out by now
	case (stale || !wants || s.mayPass()) && s.newest.isNew(now):
		return false, lookAgain // its status may be older than the refusal
	case !wants:
		s.over = s.heard
	default:
		begin = s.newest.kind != otherRefusal && !s.mayPass()
	}

	s.handled = s.heard

	return begin, 0
}

// end ends a trial. A refusal after it is the first of its rule.
func (s *story) end() { s.trial, s.over = nil, s.heard }

// convict takes note of a trial: the pods start without what was left out.
func (s *story) convict(now time.Time) {
	s.end()
	s.acquittals, s.convicted = 0, now.Add(spread)
}

// isOld tells whether a story no longer counts. Its controller would have tried again
// before that, an event is not heard so late, and suspects are not let be for so long.
func (s *story) isOld(now time.Time) bool {
	last := slices.MaxFunc([]time.Time{s.newest.at, s.acquittedAt, s.convicted}, time.Time.Compare)

	keep := trialLimit
	if s.acquitted != "" {
		keep = lastWait
	}

	return s.trial == nil && s.handled == s.heard && now.Sub(last) > keep
}
