package failure_test

import (
	"testing"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// A pod's annotations hold names: each reads back as the Injection that it was.
func TestInjectionOf(t *testing.T) {
	for name, want := range map[string]failure.Injection{
		"proxy":           {Name: "proxy"},
		"cluster":         {Name: "cluster"},
		"cluster/corp-ca": {Cluster: true, Name: "corp-ca"},
		"*":               {},
	} {
		if got := failure.InjectionOf(name); got != want || got.String() != name {
			t.Errorf("%q is %+v, and then %q; want %+v", name, got, got.String(), want)
		}
	}
}
