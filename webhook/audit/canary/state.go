package canary

import "time"

// turn is how many canary pods in a row must tell the same before an outage begins,
// or ends. One alone may have met a replica that was just leaving.
const turn = 3

// mark is what the next leader must know: the last outage.
type mark struct {
	// Began is when the first pod of the outage was not asked about. Zero: there
	// was no outage.
	Began time.Time `json:"began,omitzero"`
	// Ended is when Telltale was first asked again. Zero: the outage lasts.
	Ended time.Time `json:"ended,omitzero"`
	// Finding is the cause.
	Finding finding `json:"finding,omitzero"`
	// Told is when the Warning was last written as it is now. Zero: it is owed.
	Told time.Time `json:"told,omitzero"`
	// ToldEnd is true once the Normal event is written.
	ToldEnd bool `json:"toldEnd,omitempty"`
}

// lasts tells whether there is an outage.
func (m mark) lasts() bool { return !m.Began.IsZero() && m.Ended.IsZero() }

// owes tells which events are to be written: the Warning of an outage, again before
// the last one expires, and the Normal one of its end.
func (m mark) owes(now time.Time) (warning, normal bool) {
	if m.Began.IsZero() {
		return false, false
	}

	warning = m.Told.IsZero() || m.lasts() && now.Sub(m.Told) >= refresh

	return warning, !m.lasts() && !m.ToldEnd
}

// state is what the canary pods have told. It has no clock.
type state struct {
	mark mark

	last  verdict
	times int       // the last verdict, in a row
	since time.Time // the first of these

	other finding // one that was found last, and is not the mark's
}

// see takes the next verdict. It is true if an outage begins with it, and its cause
// must be looked for, or lasts, and may have another.
func (s *state) see(v verdict, now time.Time) (look bool) {
	if s.times == 0 || v != s.last {
		s.last, s.times, s.since = v, 0, now
	}

	s.times++

	if v == asked && s.mark.lasts() && s.times >= turn {
		s.mark.Ended, s.other = s.since, finding{}
	}

	return v == bypassed && (s.mark.lasts() || s.times >= turn)
}

// found takes the cause. The cause of an outage that lasts is replaced only by one
// that was found twice in a row: while something is put right, looks come too late.
func (s *state) found(f finding) {
	switch {
	case !s.mark.Began.IsZero() && !s.mark.Ended.IsZero() && !s.mark.ToldEnd:
		s.mark.Ended = time.Time{} // as far as anyone was told, it goes on
	case !s.mark.lasts():
		s.mark = mark{Began: s.since, Finding: f}
	case f == s.mark.Finding:
		s.other = finding{}
	case f == s.other:
		s.mark.Finding, s.mark.Told, s.other = f, time.Time{}, finding{}
	default:
		s.other = f
	}
}

// hurries tells whether the next pod is to follow soon: it may turn the state.
func (s *state) hurries() bool {
	unsettled := s.last == bypassed && !s.mark.lasts() || s.last == asked && s.mark.lasts()

	return s.times == 0 || unsettled || s.other != finding{}
}

// result is what is known now.
func (s *state) result() Result {
	switch {
	case s.mark.lasts():
		return s.mark.Finding.Result
	case s.last == unclear:
		return Unknown
	default:
		return Well
	}
}
