package injections

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/version"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// secret is in every value of these tests, and must be in no text.
const secret = `s3cr3t "with: quotes"` + "\nand lines"

// TestVersionOf holds that an API server that emulates another version is told
// from the same one that does not.
func TestVersionOf(t *testing.T) {
	cases := map[string]struct {
		reason string
		info   version.Info
		want   string
	}{
		"Itself":   {"The usual case.", version.Info{GitVersion: "v1.37.2", Major: "1", Minor: "37", EmulationMajor: "1", EmulationMinor: "37"}, "v1.37.2"},
		"Plus":     {"Clouds add a sign to the minor version.", version.Info{GitVersion: "v1.37.2-gke.1", Major: "1", Minor: "37+", EmulationMajor: "1", EmulationMinor: "37"}, "v1.37.2-gke.1"},
		"Old":      {"Older servers do not say what they emulate.", version.Info{GitVersion: "v1.32.0", Major: "1", Minor: "32"}, "v1.32.0"},
		"Emulates": {"Fields of 1.37 are dropped.", version.Info{GitVersion: "v1.37.2", Major: "1", Minor: "37", EmulationMajor: "1", EmulationMinor: "36"}, "v1.37.2 as 1.36"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := versionOf(tc.info); got != tc.want {
				t.Errorf("%s\ngot %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

// TestIsDue asks about a revision once, once a day, and when another version may answer
// otherwise.
func TestIsDue(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }
	said := func(revision, refused string) *v1alpha1.ServerCheck {
		return &v1alpha1.ServerCheck{Revision: revision, ServerVersion: "v1", Time: metav1.NewTime(start), Refused: refused}
	}

	cases := map[string]struct {
		reason  string
		before  *v1alpha1.ServerCheck // of v1, at the start
		version string
		now     float64 // hours later
		seen    float64 // when there was one of v1
		want    bool
	}{
		"Never":           {"Each is asked about once.", nil, "v1", 0, 0, true},
		"Holds":           {"And not again for a day.", said("r1", ""), "v1", 23.9, 23.9, false},
		"NextDay":         {"Feature gates may have changed.", said("r1", ""), "v1", 24, 24, true},
		"AnotherRevision": {"An edit: the old answer is of no use.", said("r0", "no"), "v1", 0, 0, true},
		"NewVersion":      {"Another version, other rules.", said("r1", ""), "v2", 0.1, 0.1, true},
		"Stricter":        {"One server takes it, the other one does not: a pod may get to either.", said("r1", "no"), "v2", 20, 19.1, false},
		"Upgraded":        {"The one that refused it is gone.", said("r1", "no"), "v2", 1, 0, true},
		"RefusedLongAgo":  {"Feature gates may have changed.", said("r1", "no"), "v2", 24, 24, true},
		"RefusedStill":    {"It is the one that refused it.", said("r1", "no"), "v1", 5, 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			seen := func(version string) time.Time {
				if version != "v1" {
					t.Errorf("%s asked for %s", c.reason, version)
				}

				return at(c.seen)
			}
			if got := isDue(c.before, "r1", c.version, seen, at(c.now)); got != c.want {
				t.Errorf("%s due: %t", c.reason, got)
			}
		})
	}
}

// TestUpgrade has the servers of a control plane upgraded one by one, and then the
// replica that asks them restarted: it has not seen the old version, which may be there.
func TestUpgrade(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before := &v1alpha1.ServerCheck{Revision: "r1", ServerVersion: "v1", Time: metav1.NewTime(now), Refused: "no"}

	var v versions

	due := func() bool { return isDue(before, "r1", v.newest, v.last, now) }

	for _, version := range []string{"v1", "v2", "v1", "v2", "v2"} {
		now = now.Add(lookAtAll)
		v.saw(version, now)

		if due() {
			t.Errorf("asked after %v, with v1 seen at %v", now, v.last("v1"))
		}
	}

	v = versions{}
	for range 6 {
		v.saw("v2", now)

		if due() {
			t.Error("asked as soon as another replica leads")
		}

		now = now.Add(lookAtAll)
	}

	v.saw("v2", now)

	if !due() {
		t.Error("not asked an hour after v1 was last seen")
	}
}

// TestRefusalOf tells judgements from other answers. No text has a value in it.
func TestRefusalOf(t *testing.T) {
	template := schema.GroupKind{Kind: "PodTemplate"}
	env := field.NewPath("template", "spec", "containers").Index(0).Child("env").Index(1).Child("value")
	init := field.NewPath("template", "spec", "initContainers").Index(0)
	own := field.NewPath("template", "spec", "containers").Index(0).Child("securityContext", "privileged")

	invalid := func(errs ...*field.Error) error { return apierrors.NewInvalid(template, "telltale-x", errs) }
	cases := map[string]struct {
		reason string
		err    error
		want   string // "" is no judgement
	}{
		"String":      {"The value is quoted.", invalid(field.Invalid(env, secret, "must be longer")), "spec.env[1].value: must be longer"},
		"NoDetail":    {"Only what is wrong with it.", invalid(field.Invalid(env, secret, "")), "spec.env[1].value: Invalid value"},
		"Number":      {"As JSON.", invalid(field.Invalid(init.Child("ports"), int64(70000), "must be less")), "spec.initContainers[0].ports: must be less"},
		"Struct":      {"As JSON.", invalid(field.Invalid(env, struct{ Value string }{secret}, "must be: other")), "spec.env[1].value: must be: other"},
		"NotJSON":     {"It can't be told where the value ends.", invalid(field.Invalid(env, map[any]string{1: secret}, "must be other")), "spec.env[1].value: Invalid value"},
		"Duplicate":   {"No detail.", invalid(field.Duplicate(env, secret)), "spec.env[1].value: Duplicate value"},
		"Unsupported": {"What is supported is no secret.", invalid(field.NotSupported(env, secret, []string{"A", "B"})), `spec.env[1].value: supported values: "A", "B"`},
		"Forbidden":   {"No value.", invalid(field.Forbidden(init.Child("lifecycle"), "may not be set: never")), "spec.initContainers[0].lifecycle: may not be set: never"},
		"Required":    {"No value.", invalid(field.Required(init.Child("image"), "")), "spec.initContainers[0].image: Required value"},
		"TooMany":     {"A number.", invalid(field.TooMany(init, 9, 8)), "spec.initContainers[0]: must have at most 8 items"},
		"OfSample":    {"What is not the sample's own comes first.", invalid(field.Forbidden(own, "no"), field.Forbidden(init, "no")), "spec.initContainers[0]: no"},
		"SampleAlone": {"If there is nothing else.", invalid(field.Forbidden(own, "no")), "spec.securityContext.privileged: no"},

		"Right":     {"We may not ask.", apierrors.NewForbidden(schema.GroupResource{Resource: "podtemplates"}, secret, errors.New(secret)), ""},
		"Policy":    {"A policy says so with the code of a judgement, of the resource.", policyStatus("podtemplates"), ""},
		"OtherKind": {"Another object's.", apierrors.NewInvalid(schema.GroupKind{Group: "example.com", Kind: "PodTemplate"}, secret, nil), ""},
		"Conflict":  {"Nothing of ours.", apierrors.NewConflict(schema.GroupResource{Resource: "podtemplates"}, secret, errors.New(secret)), ""},
		"Webhook":   {"A webhook's own text.", apierrors.NewGenericServerResponse(http.StatusBadRequest, "create", schema.GroupResource{}, secret, secret, 0, false), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := refusalOf(c.err)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%s got %q, %v, want %q", c.reason, got, err, c.want)
			}

			if strings.Contains(got, "s3cr3t") || err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%s a value is told: %q, %v", c.reason, got, err)
			}
		})
	}
}

// policyStatus is what a ValidatingAdmissionPolicy answers.
func policyStatus(resource string) error {
	err := apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "telltale-x", errors.New(secret))
	err.ErrStatus.Reason, err.ErrStatus.Code = metav1.StatusReasonInvalid, http.StatusUnprocessableEntity

	return err
}

// TestStatusIsHeard has a replica hear from the status what the API server said,
// without compiling anew.
func TestStatusIsHeard(t *testing.T) {
	in := New(logr.Discard())
	early := injection("early", 1, "A")
	early.Status.ServerCheck = &v1alpha1.ServerCheck{Revision: revisionOf(t, early), Refused: "spec.env: no"}
	in.onInjection().OnAdd(early, true)
	in.load(t.Context())

	if err := in.compiled(early).Err(); err == nil || err.Error() != "spec.env: no" {
		t.Errorf("known at the start: %v", err)
	}

	on := in.onInjection()
	o := injection("a", 1, "A")
	on.OnAdd(o, false)

	compiled := in.compiled(o)
	step := func(reason string, check *v1alpha1.ServerCheck, wantErr, wantSame bool) {
		t.Helper()

		next := o.DeepCopy()
		next.Status.ServerCheck = check
		on.OnUpdate(o, next)

		before := compiled
		if compiled = in.compiled(next); (compiled.Err() != nil) != wantErr || (compiled == before) != wantSame {
			t.Errorf("%s %v, the same: %t", reason, compiled.Err(), compiled == before)
		}
	}

	revision := compiled.Revision()
	step("Taken.", &v1alpha1.ServerCheck{Revision: revision}, false, true)
	step("Another revision's.", &v1alpha1.ServerCheck{Revision: "other", Refused: "no"}, false, true)
	step("Refused.", &v1alpha1.ServerCheck{Revision: revision, Refused: "no"}, true, false)
	step("The same again.", &v1alpha1.ServerCheck{Revision: revision, Refused: "no"}, true, true)
	step("Taken after all.", &v1alpha1.ServerCheck{Revision: revision}, false, false)
}

func revisionOf(t *testing.T, o *v1alpha1.Injection) string {
	t.Helper()

	in := New(logr.Discard())
	in.load(t.Context())
	in.onInjection().OnAdd(o, false)

	return in.compiled(o).Revision()
}
