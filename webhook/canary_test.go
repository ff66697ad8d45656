package webhook

import (
	"errors"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestCanary answers reviews of the canary pod, and of others that are not it.
func TestCanary(t *testing.T) {
	own := patches.Compile(injection("canary", "TELLTALE_CANARY", "well"))
	canary := func(namespace string) []patches.Match {
		if namespace != "home" {
			return nil
		}

		return new(patches.Set).With(own).Match(patches.Traits{}, patches.Namespace{Name: own.Namespace, Known: true})
	}

	users := injection("users", "USERS", "x")
	users.Namespace = ""
	conflict := denying(injection("users", "HTTP_PROXY", "other"))
	everywhere := func(in *v1alpha1.Injection, err error) matchFunc {
		return func(patches.Traits, string) ([]patches.Match, error) {
			set := new(patches.Set).With(patches.Compile(in))

			return set.Match(patches.Traits{}, patches.Namespace{Name: in.Namespace, Known: true}), err
		}
	}
	none := func(err error) matchFunc {
		return func(patches.Traits, string) ([]patches.Match, error) { return nil, err }
	}

	cases := map[string]struct {
		reason    string
		known     matchFunc
		namespace string
		dryRun    bool
		injected  string // what the record names; none: no record
		failed    string
	}{
		"Canary":        {"Nobody has an Injection that selects it.", none(nil), "home", true, "canary@", ""},
		"Everywhere":    {"Users' Injections are not applied to it, and can't refuse it.", everywhere(conflict, nil), "home", true, "canary@", ""},
		"NotLoaded":     {"It says that this replica does not know the users' Injections.", none(errors.New("cold")), "home", true, "canary@", "*=InjectionsNotLoaded"},
		"Exists":        {"A pod that is to exist is no canary.", everywhere(users, nil), "home", false, "users@", ""},
		"Elsewhere":     {"A dry run of a user is none either.", everywhere(users, nil), "shop", true, "users@", ""},
		"BareExists":    {"Nor has it a record.", none(nil), "home", false, "", ""},
		"BareElsewhere": {"Nor there.", none(nil), "shop", true, "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			reported := &reports{}
			in := New(tc.known, reported, Options{Canary: canary})

			body := strings.Replace(checkout(t), `"namespace":"default","operation"`, `"namespace":"`+tc.namespace+`","operation"`, 1)
			if tc.dryRun {
				body = strings.Replace(body, `"dryRun":false`, `"dryRun":true`, 1)
			}

			r, err := decodeReview([]byte(body))
			if err != nil || r.Namespace != tc.namespace || r.DryRun != tc.dryRun {
				t.Fatalf("the test's review is of %q, a dry run: %t (%v)", r.Namespace, r.DryRun, err)
			}

			a := response(t, post(in, body))
			patch := string(a.Patch)

			if !a.Allowed {
				t.Errorf("%s\nit is refused: %s", tc.reason, a.Result.Message)
			}

			if (tc.injected == "") != (patch == "") || !strings.Contains(patch, tc.injected) || !strings.Contains(patch, tc.failed) {
				t.Errorf("%s\nthe patch is %s", tc.reason, patch)
			}

			if tc.dryRun && len(reported.all()) > 0 {
				t.Errorf("%s\nit is reported: %v", tc.reason, reported.all())
			}
		})
	}
}
