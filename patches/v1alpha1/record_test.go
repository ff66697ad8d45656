package v1alpha1

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	cases := map[string]struct {
		reason, annotation string
		want               []Recorded
		cut                bool
	}{
		"None":     {reason: "No annotation says nothing."},
		"Injected": {"One of each kind.", "proxy@5f3c9a1b,cluster/corp-ca@77d0e2c4", []Recorded{{Name: "proxy", Revision: "5f3c9a1b"}, {Name: "cluster/corp-ca", Revision: "77d0e2c4"}}, false},
		"Failed":   {"With the reason.", "proxy@5f3c9a1b=InjectionConflict", []Recorded{{Name: "proxy", Revision: "5f3c9a1b", Reason: "InjectionConflict"}}, false},
		"Old":      {"Pods that exist have no revisions.", "proxy,cluster/corp-ca", []Recorded{{Name: "proxy"}, {Name: "cluster/corp-ca"}}, false},
		"OldFailed": {
			"Nor have their failures; old and new may be side by side.", "a=InjectionUnsafe,b@5f3c9a1b=InjectionUnsafe",
			[]Recorded{{Name: "a", Reason: "InjectionUnsafe"}, {Name: "b", Revision: "5f3c9a1b", Reason: "InjectionUnsafe"}},
			false,
		},
		"All":      {"No Injection was known, so there is no revision.", "*=InjectionsNotLoaded", []Recorded{{Name: "*", Reason: "InjectionsNotLoaded"}}, false},
		"Cut":      {"There were more.", "proxy@5f3c9a1b,...", []Recorded{{Name: "proxy", Revision: "5f3c9a1b"}}, true},
		"CutWhole": {"There was no room for one.", "...", nil, true},
		"Dots":     {"A name may have dots.", "a.b.c", []Recorded{{Name: "a.b.c"}}, false},
		"Nameless": {"Anybody can write an annotation.", ",=,@,a@=,=InjectionUnsafe,@5f3c9a1b", []Recorded{{Name: "a"}}, false},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, whole := ParseRecord(c.annotation)
			if diff := cmp.Diff(c.want, got); diff != "" || whole == c.cut {
				t.Errorf("%s whole: %t, -want +got\n%s", c.reason, whole, diff)
			}
		})
	}
}

// FuzzParseRecord reads what anybody may write, and what it made of it.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{"proxy@5f3c9a1b,cluster/corp-ca", "a=InjectionUnsafe,b@5f3c9a1b=InjectionConflict", "*=InjectionError", "a,...", "a@b@c=d=e@f,,@,="} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, annotation string) {
		record, _ := ParseRecord(annotation)

		entries := make([]string, len(record))
		for i, r := range record {
			entries[i] = r.String()
		}

		again, whole := ParseRecord(strings.Join(entries, ","))
		if diff := cmp.Diff(record, again); diff != "" || !whole {
			t.Errorf("%q is read in two ways (whole: %t): -first +second\n%s", annotation, whole, diff)
		}
	})
}
