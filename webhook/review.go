package webhook

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27
	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Review is the question of the API server: may this pod be created?
type Review struct {
	UID       types.UID
	Namespace string
	// DryRun is true if nothing will be created: the answer is the same, and
	// nothing is reported.
	DryRun bool
	// Pod is nil if the review has no pod that can be read; err says why.
	Pod *patches.Pod
	err error

	// foreign is true if the review is not about the creation of a pod: there is
	// no object to report a failure on.
	foreign bool
}

// errMalformed is the error for a body that cannot be answered, because it has
// no uid.
var errMalformed = errors.New("not an AdmissionReview")

// decodeReview reads the body of a request. An error means that there is
// nothing to answer. If a review can be answered but its pod cannot be read,
// the Review holds the error.
func decodeReview(raw []byte) (*Review, error) {
	// One pass is enough for nearly all reviews. If the pod can't be read, a
	// second pass reads the rest.
	q, err := decodeRequest(raw, object{review: raw})
	undecodable := q.Object.err
	if undecodable != nil {
		q, err = decodeRequest(raw, object{})
	}

	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	case q.UID == "":
		return nil, fmt.Errorf("%w: it has no request.uid", errMalformed)
	}

	r := &Review{UID: q.UID, Namespace: q.Namespace, DryRun: q.DryRun, Pod: q.Object.pod, err: undecodable}
	if r.Pod == nil && r.err == nil {
		r.err = errors.New("the review has no object")
	}

	if q.Resource.Group != "" || q.Resource.Resource != "pods" || q.SubResource != "" || q.Operation != "CREATE" {
		r.foreign = true
		r.Pod, r.err = nil, fmt.Errorf("asked about %q of %q (group %q, subresource %q): register the webhook for CREATE of pods only",
			q.Operation, q.Resource.Resource, q.Resource.Group, q.SubResource)
	}

	return r, nil
}

// request is the part of a review that we need.
type request struct {
	UID         types.UID `json:"uid"`
	Namespace   string    `json:"namespace"`
	Operation   string    `json:"operation"`
	SubResource string    `json:"subResource"`
	DryRun      bool      `json:"dryRun"`
	Object      object    `json:"object"`
	Resource    struct {
		Group    string `json:"group"`
		Resource string `json:"resource"`
	} `json:"resource"`
}

func decodeRequest(raw []byte, o object) (request, error) {
	var wire struct {
		Request request `json:"request"`
	}

	wire.Request.Object = o
	err := json.Unmarshal(raw, &wire)

	return wire.Request, err
}

// object is the pod in a review.
type object struct {
	review []byte // nil: the pod is skipped
	pod    *patches.Pod
	err    error
}

// UnmarshalJSONFrom reads the pod.
func (o *object) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if o.review == nil {
		return d.SkipValue()
	}

	o.pod, o.err = patches.DecodeNext(d, o.review)

	return o.err
}

// failure makes a failure of this review. A nil Injection means all of them.
func (r *Review) failure(in *patches.Injection, reason failure.Reason, text string) failure.Failure {
	f := failure.Failure{Reason: reason, Text: text, Owner: r.owner()}
	if in != nil {
		f.Injection, f.Revision = failure.Injection{Cluster: in.Cluster(), Name: in.Name}, in.Revision()
	}

	if r.Pod != nil {
		if f.Pod = r.Pod.Name; f.Pod == "" {
			f.Pod = r.Pod.GenerateName + "*"
		}
	}

	return f
}

// trace names the pod, or is empty if it can't be read.
func (r *Review) trace() string {
	if r.Pod == nil {
		return ""
	}

	pod, err := r.Pod.Whole()
	if err != nil {
		return ""
	}

	return patches.Trace(pod, r.Namespace)
}

// owner is the pod's controller reference. For a pod without one, it is the
// pod.
func (r *Review) owner() failure.Ref {
	pod := failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: r.Namespace}

	switch {
	case r.foreign || r.Namespace == "":
		return failure.Ref{}
	case r.Pod == nil:
		return pod
	case r.Pod.Controller == nil:
		pod.Name = r.Pod.Name

		return pod
	default:
		c := r.Pod.Controller

		return failure.Ref{APIVersion: c.APIVersion, Kind: c.Kind, Namespace: r.Namespace, Name: c.Name, UID: c.UID}
	}
}
