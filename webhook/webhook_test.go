package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// matchFunc is a Matcher.
type matchFunc func(pod patches.Traits, namespace string) ([]patches.Match, error)

func (f matchFunc) Match(pod patches.Traits, namespace string) ([]patches.Match, error) {
	return f(pod, namespace)
}

// knows is a Matcher that has loaded some Injections.
func knows(injections ...*v1alpha1.Injection) matchFunc {
	set := &patches.Set{}
	for _, in := range injections {
		set = set.With(patches.Compile(in))
	}

	return func(pod patches.Traits, namespace string) ([]patches.Match, error) {
		return set.Match(pod, patches.Namespace{Name: namespace, Known: true}), nil
	}
}

// doubts is a Matcher that may know old Injections.
func doubts(injections ...*v1alpha1.Injection) matchFunc {
	return func(pod patches.Traits, namespace string) ([]patches.Match, error) {
		matches, _ := knows(injections...)(pod, namespace)

		return matches, errors.New("the store is cold")
	}
}

// reports collects the reported failures.
type reports struct {
	mu       sync.Mutex
	failures []failure.Failure
}

func (r *reports) Report(f failure.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.failures = append(r.failures, f)
}

func (r *reports) all() []failure.Failure {
	r.mu.Lock()
	defer r.mu.Unlock()

	return append([]failure.Failure{}, r.failures...)
}

func (r *reports) reasons() []failure.Reason {
	reasons := []failure.Reason{}
	for _, f := range r.all() {
		reasons = append(reasons, f.Reason)
	}

	return reasons
}

// injection sets one variable in every pod of namespace default.
func injection(name, variable, value string) *v1alpha1.Injection {
	in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	in.Spec.Selector = &metav1.LabelSelector{}
	in.Spec.Env = []v1alpha1.EnvVar{{Name: variable, Value: value}}

	return in
}

// recorded is an Injection, as applied, in a pod's record.
func recorded(in *v1alpha1.Injection) string { return in.Name + "@" + patches.Compile(in).Revision() }

func denying(in *v1alpha1.Injection) *v1alpha1.Injection {
	in.Spec.OnFailure = v1alpha1.Deny

	return in
}

// checkout is a real review of a Deployment's pod: its container app sets
// LOG_LEVEL.
func checkout(tb testing.TB) string {
	tb.Helper()

	raw, err := os.ReadFile("testdata/review-checkout.json")
	if err != nil {
		tb.Fatal(err)
	}

	return string(raw)
}

func post(in *Injector, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	in.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body)))

	return w
}

func response(t *testing.T, w *httptest.ResponseRecorder) *admissionv1.AdmissionResponse {
	t.Helper()

	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}

	if w.Code != http.StatusOK || review.Response == nil || review.Kind != "AdmissionReview" ||
		review.APIVersion != "admission.k8s.io/v1" {
		t.Fatalf("no answer: status %d, %s", w.Code, w.Body)
	}

	return review.Response
}

// TestAnswer checks the answers to a real review.
func TestAnswer(t *testing.T) {
	log := injection("log", "LOG_LEVEL", "debug")
	conflict := failure.Failure{
		Reason: failure.Conflict, Injection: failure.Injection{Name: "log"}, Revision: patches.Compile(log).Revision(),
		Pod: "checkout-5d7f9689b7-*",
		Owner: failure.Ref{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "default", Name: "checkout-5d7f9689b7",
			UID: "6fea9cfb-0e54-499b-8f78-c6e2dbde2c3b",
		},
		Text: `container "app" already sets env LOG_LEVEL. Remove it there, or set onConflict on the Injection.`,
	}
	notLoaded := failure.Failure{
		Reason: failure.NotLoaded, Pod: conflict.Pod, Owner: conflict.Owner,
		Text: "the store is cold. Restart the pod once Telltale is ready.",
	}
	dryRun := strings.Replace(checkout(t), `"dryRun":false`, `"dryRun":true`, 1)

	cases := map[string]struct {
		reason   string
		matcher  matchFunc
		review   string
		denied   string
		patch    string // a part of it
		outcome  Outcome
		applied  float64
		failures []failure.Failure
	}{
		"Injected": {
			reason:  "The patch holds the declared variable.",
			matcher: knows(injection("proxy", "HTTP_PROXY", "p")),
			review:  checkout(t), outcome: Injected, patch: `{"name":"HTTP_PROXY","value":"p"}`, applied: 1,
		},
		"Untouched": {
			reason:  "If there is nothing to do, there is no patch.",
			matcher: knows(),
			review:  checkout(t), outcome: Untouched,
		},
		"Conflict": {
			reason:  "The pod starts, and the failure has the ReplicaSet's name and uid.",
			matcher: knows(log),
			review:  checkout(t), outcome: Failed, patch: `"` + recorded(log) + `=InjectionConflict"`,
			failures: []failure.Failure{conflict},
		},
		"OneOfTwo": {
			reason:  "An Injection that fails does not stop the other.",
			matcher: knows(log, injection("proxy", "HTTP_PROXY", "p")),
			review:  checkout(t), outcome: Failed, patch: `"HTTP_PROXY"`, applied: 1,
			failures: []failure.Failure{conflict},
		},
		"Deny": {
			reason:  "This is the only way to refuse a pod; the failure is reported as well.",
			matcher: knows(denying(injection("log", "LOG_LEVEL", "debug"))),
			review:  checkout(t), outcome: Denied,
			denied:   `Injection "log" not applied: ` + conflict.Text,
			failures: []failure.Failure{conflict},
		},
		"DenyOfAnother": {
			reason:  "An Injection with onFailure: Deny refuses a pod only for its own failures.",
			matcher: knows(log, denying(injection("proxy", "HTTP_PROXY", "p"))),
			review:  checkout(t), outcome: Failed, patch: `"HTTP_PROXY"`, applied: 1,
			failures: []failure.Failure{conflict},
		},
		"DryRun": {
			reason:  "A dry run gets the same answer, and nothing is reported.",
			matcher: knows(log),
			review:  dryRun, outcome: Failed, patch: `"` + recorded(log) + `=InjectionConflict"`,
		},
		"NotLoaded": {
			reason:  "A cold cache is a failure, and not the same as no match.",
			matcher: func(patches.Traits, string) ([]patches.Match, error) { return nil, errors.New("the store is cold") },
			review:  checkout(t), outcome: Failed, patch: `"*=InjectionsNotLoaded"`,
			failures: []failure.Failure{notLoaded},
		},
		"Outdated": {
			reason:  "A view that may be old is better than none, and the pod says that it may lack something.",
			matcher: doubts(injection("proxy", "HTTP_PROXY", "p")),
			review:  checkout(t), outcome: Failed, patch: `{"name":"HTTP_PROXY","value":"p"}`, applied: 1,
			failures: []failure.Failure{notLoaded},
		},
		"OutdatedRecord": {
			reason:  "The record has both.",
			matcher: doubts(log),
			review:  checkout(t), outcome: Failed, patch: `"` + recorded(log) + `=InjectionConflict,*=InjectionsNotLoaded"`,
			failures: []failure.Failure{conflict, notLoaded},
		},
		"OutdatedAlone": {
			reason:  "The record of a pod that has all that is known.",
			matcher: doubts(injection("proxy", "HTTP_PROXY", "p")),
			review:  checkout(t), outcome: Failed, patch: `"*=InjectionsNotLoaded"`, applied: 1,
			failures: []failure.Failure{notLoaded},
		},
		"OutdatedDeny": {
			reason:  "An Injection that is known to fail refuses the pod, as always.",
			matcher: doubts(denying(log.DeepCopy())),
			review:  checkout(t), outcome: Denied,
			denied:   `Injection "log" not applied: ` + conflict.Text,
			failures: []failure.Failure{conflict, notLoaded},
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var reported reports

			registry := prometheus.NewPedanticRegistry()
			in := New(c.matcher, &reported, Options{Registerer: registry})
			got := response(t, post(in, c.review))

			if got.UID != "0acb5ec1-4dfb-4a7b-85e9-248c272a32da" || got.Allowed != (c.denied == "") {
				t.Errorf("%s uid %q, allowed %v", c.reason, got.UID, got.Allowed)
			}

			if c.denied != "" && (got.Result == nil || got.Result.Message != c.denied || got.Result.Code != http.StatusForbidden) {
				t.Errorf("%s refused with %+v", c.reason, got.Result)
			}

			if (c.patch == "") != (got.Patch == nil) || !bytes.Contains(got.Patch, []byte(c.patch)) {
				t.Errorf("%s want %q in the patch, got %q", c.reason, c.patch, got.Patch)
			}

			if diff := cmp.Diff(append([]failure.Failure{}, c.failures...), reported.all()); diff != "" {
				t.Errorf("%s reported: -want +got\n%s", c.reason, diff)
			}

			if n := testutil.ToFloat64(in.metrics.requests[c.outcome]); n != 1 {
				t.Errorf("%s outcome %s counted %v times", c.reason, c.outcome, n)
			}

			if n := testutil.ToFloat64(in.metrics.applied); n != c.applied {
				t.Errorf("%s %v Injections applied, want %v", c.reason, n, c.applied)
			}
		})
	}
}

// TestHandleNeverDenies makes everything go wrong at once. It also has
// Injections with onFailure: Deny that are not the cause.
func TestHandleNeverDenies(t *testing.T) {
	review := checkout(t)
	cluster := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "prod"}}
	cluster.Spec.Selector = &metav1.LabelSelector{}
	cluster.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	cluster.Spec.OnFailure = v1alpha1.Deny
	undecided := (&patches.Set{}).With(patches.CompileCluster(cluster))

	matchers := map[string]matchFunc{
		"NotLoaded": func(patches.Traits, string) ([]patches.Match, error) { return nil, errors.New("cold") },
		"Panics":    func(patches.Traits, string) ([]patches.Match, error) { panic("at the disco") },
		"Nil":       nil,
		"Undecided": func(pod patches.Traits, ns string) ([]patches.Match, error) {
			return undecided.Match(pod, patches.Namespace{Name: ns}), nil
		},
		"Invalid": knows(&v1alpha1.Injection{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "invalid"},
			Spec: v1alpha1.InjectionSpec{
				Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{{Name: "A"}, {Name: "A"}},
			},
		}),
	}

	for name, m := range matchers {
		for _, body := range []string{
			review,
			strings.Replace(review, `"containers":[`, `"containers":{"a":[`, 1),
			strings.Replace(review, `"spec":{"volumes"`, `"noSpec":{"volumes"`, 1),
			`{"request":{"uid":"1","resource":{"resource":"pods"},"operation":"CREATE","object":null}}`,
			`{"request":{"uid":"1","resource":{"resource":"pods"},"operation":"CREATE"}}`,
			`{"request":{"uid":"1","resource":{"resource":"configmaps"},"operation":"CREATE","object":{}}}`,
			`{"request":{"uid":"1","resource":{"resource":"pods"},"subResource":"exec","operation":"CONNECT"}}`,
		} {
			var reported reports

			w := post(New(m, &reported, Options{}), body)
			if w.Code == http.StatusOK && !response(t, w).Allowed {
				t.Errorf("%s: the pod was refused: %.80s", name, body)
			}

			if len(reported.all()) == 0 {
				t.Errorf("%s: nothing was reported for %.80s", name, body)
			}
		}
	}
}

// TestMalformed sends bodies that are no review: no pod is refused, because the
// API server ignores the failed call, and each is counted.
func TestMalformed(t *testing.T) {
	cases := map[string]struct{ reason, body, text string }{
		"Empty":   {"The body is empty.", "", "not an AdmissionReview: jsontext: unexpected EOF"},
		"NotJSON": {"The body is XML.", "<xml/>", "not an AdmissionReview: jsontext: invalid character '<'"},
		"NoUID":   {"An answer needs the uid.", `{"request":{}}`, "not an AdmissionReview: it has no request.uid"},
		"Array":   {"The body is JSON, but no object.", `[]`, "unmarshal JSON array"},
		"TooLong": {"The body is longer than that of any pod.", strings.Repeat(" ", maxReview+1), "request body too large"},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var reported reports

			in := New(knows(), &reported, Options{})

			w := post(in, c.body)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), c.text) {
				t.Errorf("%s got %d %q, want %q", c.reason, w.Code, w.Body, c.text)
			}

			got := reported.all()
			if len(got) != 1 || got[0].Reason != failure.Error || got[0].Owner != (failure.Ref{}) {
				t.Errorf("%s reported %v", c.reason, got)
			}

			if n := testutil.ToFloat64(in.metrics.requests[Malformed]); n != 1 {
				t.Errorf("%s counted %v times", c.reason, n)
			}
		})
	}
}

func TestOtherMethods(t *testing.T) {
	var reported reports

	w := httptest.NewRecorder()
	New(knows(), &reported, Options{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, Path, http.NoBody))

	if w.Code != http.StatusMethodNotAllowed || len(reported.all()) != 0 {
		t.Errorf("GET: status %d, reported %v", w.Code, reported.all())
	}
}

// TestOverload fills the only slot: the next reviews are answered at once,
// without the Injections that select them, and counted.
func TestOverload(t *testing.T) {
	var reported reports

	proxy, log := injection("proxy", "HTTP_PROXY", "p"), injection("log", "LOG_LEVEL", "debug")
	knows := knows(proxy, log)
	entered, leave := make(chan struct{}), make(chan struct{})

	var others atomic.Bool

	in := New(matchFunc(func(pod patches.Traits, namespace string) ([]patches.Match, error) {
		if !others.Swap(true) {
			close(entered)
			<-leave
		}

		return knows(pod, namespace)
	}), &reported, Options{MaxInFlight: 1})

	done := make(chan *httptest.ResponseRecorder)
	review := checkout(t)

	go func() { done <- post(in, review) }()

	<-entered

	// A pod that no Injection selects loses nothing, so there is no failure.
	if got := response(t, post(in, strings.Replace(review, `"namespace":"default","operation"`, `"namespace":"other","operation"`, 1))); !got.Allowed || got.Patch != nil {
		t.Errorf("a pod that nothing selects was shed with %+v", got)
	}

	got := response(t, post(in, review))
	if !got.Allowed || !bytes.Contains(got.Patch, []byte(recorded(log)+"=InjectionOverload,"+recorded(proxy)+"=InjectionOverload")) {
		t.Errorf("shed with %+v", got)
	}

	close(leave)

	if got := response(t, <-done); !got.Allowed || !bytes.Contains(got.Patch, []byte(`"HTTP_PROXY"`)) {
		t.Errorf("the first was answered with %+v", got)
	}

	failures := reported.all()
	if diff := cmp.Diff([]failure.Reason{failure.Overload, failure.Overload, failure.Conflict}, reported.reasons()); diff != "" {
		t.Fatalf("-want +got\n%s", diff)
	}

	// A brief answer knows the pod as well as a whole one.
	if failures[0].Owner != failures[2].Owner || failures[0].Pod != failures[2].Pod || failures[0].Injection.Name != "log" {
		t.Errorf("shed: %+v, else: %+v", failures[0], failures[2])
	}
}

// TestLate answers after the API server's patience has ended. Each Injection
// that selects the pod is a failure; if none does, there is no failure. The
// patch has only the record.
func TestLate(t *testing.T) {
	for name, want := range map[string][]failure.Reason{"proxy": {failure.Timeout}, "": {}} {
		for _, gone := range []bool{true, false} { // hung up before the work, or at its end
			var reported reports

			known := knows()
			if name != "" {
				known = knows(injection(name, "HTTP_PROXY", "p"))
			}

			ctx, hangUp := context.WithCancel(t.Context())
			if gone {
				hangUp()
			}

			in := New(matchFunc(func(pod patches.Traits, namespace string) ([]patches.Match, error) {
				hangUp()

				return known(pod, namespace)
			}), &reported, Options{})
			w := httptest.NewRecorder()
			in.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(checkout(t))).WithContext(ctx))

			if diff := cmp.Diff(want, reported.reasons()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}

			for _, f := range reported.all() {
				if f.Trace == "" {
					t.Error("the pod of the failure has no trace")
				}
			}

			switch got := response(t, w); {
			case !got.Allowed || bytes.Contains(got.Patch, []byte("HTTP_PROXY")):
				t.Errorf("answered with %+v", got)
			case name != "" && !bytes.Contains(got.Patch, []byte(recorded(injection(name, "HTTP_PROXY", "p"))+"=InjectionTimeout")):
				t.Errorf("the record is not in %s", got.Patch)
			}
		}
	}
}

// TestAnswerThatIsNotOne has an answer that cannot be encoded, and one that
// cannot be sent: the first is our bug, the second a caller that has gone.
func TestAnswerThatIsNotOne(t *testing.T) {
	cases := map[string]struct {
		reason string
		answer Answer
		sent   error
		status int
		want   failure.Reason
	}{
		"NotEncoded": {
			reason: "The text is not UTF-8, so JSON can't hold it. The call fails, and the pod starts.",
			answer: Answer{Outcome: Denied, Denied: "log\xff"}, status: http.StatusInternalServerError, want: failure.Error,
		},
		"NotSent": {
			reason: "The connection is gone.",
			answer: Answer{Outcome: Injected}, sent: syscall.EPIPE, status: http.StatusOK, want: failure.Timeout,
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := New(knows(injection("log", "LOG_LEVEL", "debug")), &reports{}, Options{})
			w := &connection{httptest.NewRecorder(), c.sent}

			r, err := decodeReview([]byte(checkout(t)))
			if err != nil {
				t.Fatal(err)
			}

			if c.answer.matches, err = in.injections.Match(r.Pod.Traits(), r.Namespace); err != nil {
				t.Fatal(err)
			}

			a := in.respond(t.Context(), w, r, c.answer)
			if w.Code != c.status {
				t.Errorf("%s status %d", c.reason, w.Code)
			}

			if len(a.Failures) != 1 || a.Failures[0].Reason != c.want || a.Failures[0].Owner.Name != "checkout-5d7f9689b7" {
				t.Errorf("%s got %+v", c.reason, a.Failures)
			}
		})
	}
}

// TestLateWithRecord has no time left for an answer. The pod has a record if the API
// server has not hung up.
func TestLateWithRecord(t *testing.T) {
	cases := map[string]struct {
		gone, cancelled bool
		sent            error
		want            bool
	}{
		"There":     {want: true},
		"Gone":      {gone: true},
		"Cancelled": {cancelled: true},
		"NotSent":   {sent: syscall.EPIPE},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := New(knows(injection("log", "LOG_LEVEL", "debug")), &reports{}, Options{Gone: func(context.Context) bool { return c.gone }})

			r, err := decodeReview([]byte(checkout(t)))
			if err != nil {
				t.Fatal(err)
			}

			before := t.Context()
			if c.cancelled {
				ctx, cancel := context.WithCancel(before)
				cancel()

				before = ctx
			}

			ctx, cancel := context.WithDeadline(before, time.Now())
			defer cancel()

			a := in.respond(ctx, &connection{httptest.NewRecorder(), c.sent}, r, in.brief(r, failure.Timeout, errTimeout))
			if len(a.Failures) != 1 || a.Failures[0].Trace == "" || a.Failures[0].HasRecord != c.want {
				t.Errorf("want a record: %v, got %+v", c.want, a.Failures)
			}
		})
	}
}

// connection is a ResponseWriter. If it has an error, nothing can be sent.
type connection struct {
	*httptest.ResponseRecorder

	err error
}

func (c *connection) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}

	return c.ResponseRecorder.Write(b)
}

// TestMaxBytes takes all the bytes that there are, so a request that comes then
// waits. If bytes are free in time, it is answered. If they are free late, it
// gets a brief answer. If they are never free, it is counted and gets no
// answer.
func TestMaxBytes(t *testing.T) {
	cases := map[string]struct {
		reason  string
		release time.Duration
		status  int
		want    []failure.Reason
	}{
		"Soon":  {"Enough time is left for the work.", time.Second, http.StatusOK, []failure.Reason{}},
		"Late":  {"Half of the time is gone, and others wait, too.", 3 * time.Second, http.StatusOK, []failure.Reason{failure.Overload}},
		"Never": {"The call fails, and the pod starts.", time.Minute, http.StatusServiceUnavailable, []failure.Reason{failure.Overload}},
	}

	review := checkout(t)

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reported reports

				in := New(knows(injection("proxy", "HTTP_PROXY", "p")), &reported, Options{})

				all := in.room.enter(httptest.NewRecorder())
				if !all.take(t.Context(), minBytes) {
					t.Fatal("MaxBytes is less than minBytes")
				}

				time.AfterFunc(c.release, all.leave)

				if w := post(in, review); w.Code != c.status {
					t.Errorf("%s status %d", c.reason, w.Code)
				}

				if diff := cmp.Diff(c.want, reported.reasons()); diff != "" {
					t.Errorf("%s -want +got\n%s", c.reason, diff)
				}

				time.Sleep(time.Minute) // the bubble's clock; no timer is left
			})
		})
	}
}

// TestPatience compares the default with our registration, which the API server
// goes by.
func TestPatience(t *testing.T) {
	registration, err := os.ReadFile("../config/webhook/manifests.yaml")
	if err != nil {
		t.Fatal(err)
	}

	if want := fmt.Sprintf("timeoutSeconds: %.0f\n", defaultPatience.Seconds()); !strings.Contains(string(registration), want) {
		t.Errorf("want %q in config/webhook/manifests.yaml", want)
	}
}

// TestReasonsAreFailures checks that both packages use the same words: patches
// may not import failure, and has a list of its own.
func TestReasonsAreFailures(t *testing.T) {
	for _, r := range patches.Reasons() {
		if !slices.Contains(failure.Reasons(), failure.Reason(r)) {
			t.Errorf("patches has the reason %q, and package failure does not", r)
		}
	}
}

// TestDenyOutOfTime has no time left to judge an Injection with onFailure: Deny.
// Deny is a best effort, so the pod starts, and the failure is reported.
func TestDenyOutOfTime(t *testing.T) {
	r, err := decodeReview([]byte(checkout(t)))
	if err != nil {
		t.Fatal(err)
	}

	a := New(knows(denying(injection("log", "LOG_LEVEL", "debug"))), &reports{}, Options{}).Handle(t.Context(), r, time.Now())
	if a.Denied != "" || len(a.Failures) != 1 || a.Failures[0].Reason != failure.Timeout {
		t.Errorf("got %+v", a)
	}
}
