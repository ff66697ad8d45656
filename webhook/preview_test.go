package webhook

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestPreviews judges a pod with Injections that only look: nothing fails, nothing is
// refused, and the record says what would be.
func TestPreviews(t *testing.T) {
	would, wouldFail := injection("would", "A", "a"), denying(injection("would-fail", "LOG_LEVEL", "debug"))
	would.Spec.Mode, wouldFail.Spec.Mode = v1alpha1.Preview, v1alpha1.Preview
	set := new(patches.Set).With(patches.Compile(would), patches.Compile(wouldFail))
	reported := &reports{}

	in := New(matchFunc(func(map[string]string, string) ([]patches.Match, error) { return nil, nil }), reported, Options{
		Previews: func(labels map[string]string, namespace string) []patches.Match {
			return set.Previews(labels, patches.Namespace{Name: namespace, Known: true})
		},
	})

	a := response(t, post(in, checkout(t)))
	want := `telltale.dev~1previewed","value":"` + recorded(would) + "," + recorded(wouldFail) + `=InjectionConflict"`
	if !a.Allowed || !strings.Contains(string(a.Patch), want) {
		t.Errorf("allowed: %t, patch %s, want %s", a.Allowed, a.Patch, want)
	}

	if strings.Contains(string(a.Patch), "/spec") || len(a.Warnings)+len(reported.all()) > 0 {
		t.Errorf("patch %s, warnings %q, failures %v", a.Patch, a.Warnings, reported.all())
	}

	if got := testutil.ToFloat64(in.metrics.requests[Untouched]); got != 1 {
		t.Errorf("%v reviews count as untouched, want 1", got)
	}
}
