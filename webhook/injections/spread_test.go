package injections

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"

	"github.com/telltale-dev/telltale/patches"
)

// peers is a view that may be outdated, and a replica that may lack edits.
type peers struct {
	err   error
	lacks atomic.Pointer[func(kind, resourceVersion string) string]
}

func (p *peers) Err() error { return p.err }

func (p *peers) Lacks(kind, resourceVersion string) string {
	if lacks := p.lacks.Load(); lacks != nil {
		return (*lacks)(kind, resourceVersion)
	}

	return ""
}

func (p *peers) Changed() {}

// TestOutdatedView has a replica that may lack changes say so with each answer: what
// it knows comes with an error, also that all injection is stopped.
func TestOutdatedView(t *testing.T) {
	p := &peers{err: errors.New("outdated")}
	in := New(logr.Discard())
	in.Compare(p)
	in.onInjection().OnAdd(injection("proxy", 1, "A"), true)

	if matches, err := in.Match(patches.Traits{}, "shop"); !errors.Is(err, ErrNotLoaded) || matches != nil {
		t.Errorf("not loaded: %v, %v", matches, err)
	}

	in.load(t.Context())

	if matches, err := in.Match(patches.Traits{}, "shop"); !errors.Is(err, p.err) || len(matches) != 1 {
		t.Errorf("loaded: %v, %v", matches, err)
	}

	in.setStop("why")

	if matches, err := in.Match(patches.Traits{}, "shop"); !errors.Is(err, p.err) || matches != nil {
		t.Errorf("stopped: %v, %v", matches, err)
	}

	p.err = nil

	if matches, err := in.Match(patches.Traits{}, "shop"); err != nil || matches != nil {
		t.Errorf("stopped, and up to date: %v, %v", matches, err)
	}
}
