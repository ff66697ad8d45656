package webhook

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Outcome says in one word how an admission ended. It is the label of
// telltale_admission_requests_total.
type Outcome string

// The closed list of outcomes.
const (
	// Untouched: no Injection selects the pod, or all injection is stopped.
	Untouched Outcome = "untouched"
	// Injected: the pod has every Injection that selects it.
	Injected Outcome = "injected"
	// Failed: the pod was admitted, and at least one Injection is missing.
	Failed Outcome = "failed"
	// Denied: the pod was refused, for an Injection with onFailure: Deny.
	Denied Outcome = "denied"
	// Malformed: the request held no review that could be answered.
	Malformed Outcome = "malformed"
)

// Answer is the response to the API server, and the failures, which the API
// server is not told.
type Answer struct {
	Outcome Outcome
	// Patch is a JSON patch of the pod in the review, or nil.
	Patch []byte
	// Denied is the reason for refusing the pod; empty for an admitted one.
	Denied string
	// Failures are to be reported, unless the review is a dry run.
	Failures []failure.Failure
	// Warnings are for the creator of an admitted pod, besides the failures.
	Warnings []string

	matches []patches.Match
	applied int // of them, on the pod
}

// answer makes the Answer for a pod that could be read.
func answer(r *Review, matches []patches.Match, result patches.Result) Answer {
	a := Answer{Outcome: Injected, Patch: result.Patch, matches: matches}
	if len(matches) == 0 { // there are previews
		a.Outcome = Untouched
	}

	for _, f := range result.Failed {
		a.Outcome = Failed

		failed := r.failure(f.Injection, failure.Reason(f.Reason), f.Text)
		if f.Trial {
			failed.Trial, failed.With = true, names(result.Injected)
		}

		a.Failures = append(a.Failures, failed)

		if f.Injection.Deny && a.Denied == "" && decided(f.Reason) {
			a.Denied = sentence(failed)
		}
	}

	if a.Denied != "" {
		a.Outcome, a.Patch = Denied, nil
	} else {
		a.Warnings, a.applied = r.warnings(result.Injected), len(result.Injected)
	}

	return a
}

// doubt adds to an answer that the pod may need other Injections, or newer ones.
// Those that are known are on the pod all the same: most are as they were.
func (a *Answer) doubt(r *Review, err error) {
	if a.Outcome == Injected {
		a.Outcome = Failed
	}

	a.Failures = append(a.Failures, r.failure(nil, failure.NotLoaded, advice(failure.NotLoaded, err)))
}

// names are those of Injections, as a pod's record has them.
func names(all []*patches.Injection) string {
	names := make([]string, len(all))
	for i, in := range all {
		names[i] = in.String()
	}

	return strings.Join(names, " ")
}

// decided tells whether an Injection failed for a reason of its own. Deny is a
// best effort: if Telltale could not judge the Injection, the pod starts.
func decided(r patches.Reason) bool { return r != patches.NotLoaded && r != patches.Timeout }

// failOpen makes the Answer on every error: the pod is admitted without its
// Injections, and each of them is a failure. If the Injections are not known,
// there is one failure for all of them. The pod gets the record if it could be
// read.
func failOpen(r *Review, matches []patches.Match, reason failure.Reason, err error) Answer {
	a := Answer{Outcome: Failed, matches: matches}
	if r.Pod != nil {
		a.Patch = patches.Refuse(r.Pod, matches, patches.Reason(reason))
	}

	for _, m := range matches {
		a.Failures = append(a.Failures, r.failure(m.Injection, reason, advice(reason, err)))
	}

	if len(matches) == 0 {
		a.Failures = []failure.Failure{r.failure(nil, reason, advice(reason, err))}
	}

	return a
}

// advice is the error, and its cure where one is known.
func advice(reason failure.Reason, err error) string {
	cure := map[failure.Reason]string{
		failure.NotLoaded: "Restart the pod once Telltale is ready.",
		failure.Timeout:   "Restart the pod; if it happens often, give Telltale more CPU or replicas.",
		failure.Overload:  "Restart the pod; if it happens often, give Telltale more CPU or replicas.",
		failure.Error:     "This is a bug of Telltale: see its log, and please report it.",
	}[reason]

	return strings.TrimSuffix(err.Error(), ".") + ". " + cure
}

// timedOut turns an answer into one where every Injection timed out: the pod has
// started without them. If it has no record either, its failures have its trace. It has
// one if the API server takes the answer: mostly, if it is still there.
func (a Answer) timedOut(r *Review, isThere bool) Answer {
	if len(a.matches) > 0 {
		a = failOpen(r, a.matches, failure.Timeout, errTimeout)
	}

	trace := r.trace()
	for i := range a.Failures {
		a.Failures[i].Trace, a.Failures[i].HasRecord = trace, isThere
	}

	return a
}

func sentence(f failure.Failure) string {
	return f.Injection.Title() + " not applied: " + f.Text
}

// maxWarning is the longest warning to a human, in bytes.
//
// Source: AdmissionResponse.Warnings, k8s.io/api v0.37.2 admission/v1/types.go:
// "limit warnings to 120 characters if possible".
const maxWarning = 120

// encode writes the AdmissionReview that answers the review with this uid. A
// person that creates a bare pod by hand sees the warnings; a controller drops
// them.
func (a Answer) encode(uid types.UID) ([]byte, error) {
	response := &admissionv1.AdmissionResponse{UID: uid, Allowed: a.Denied == "", Patch: a.Patch}
	if a.Patch != nil {
		jsonPatch := admissionv1.PatchTypeJSONPatch
		response.PatchType = &jsonPatch
	}

	if a.Denied != "" {
		response.Result = &metav1.Status{
			Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden, Message: a.Denied,
		}
	}

	for _, f := range a.Failures {
		if a.Denied == "" {
			response.Warnings = append(response.Warnings, oneline.Cut(sentence(f), maxWarning))
		}
	}

	for _, w := range a.Warnings {
		response.Warnings = append(response.Warnings, oneline.Cut(w, maxWarning))
	}

	return json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: response,
	})
}
