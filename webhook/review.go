package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// maxReview is how large a review may be, in bytes. It is what
// controller-runtime reads, too: twice the largest object the API server takes
// (3 MiB), and a little.
const maxReview = 7 << 20

// Review is what the API server asks: one pod that is to be created.
type Review struct {
	UID       types.UID
	Namespace string
	// DryRun is true where nothing is created: the answer is the same, and
	// nothing is reported.
	DryRun bool
	// Pod is nil where the review has none that can be read; err says why.
	Pod *patches.Pod
	err error

	// foreign is true for a review that is no pod's creation: there is no
	// object to report it on.
	foreign bool
}

// errMalformed is what cannot be answered, for want of a uid.
var errMalformed = errors.New("not an AdmissionReview")

// readReview reads the body of a request. An error means that there is nothing
// to answer; a review that can be answered, but not looked at, holds its own.
func readReview(w http.ResponseWriter, body io.ReadCloser) (*Review, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, body, maxReview))
	if err != nil {
		return nil, fmt.Errorf("cannot read the review: %w", err)
	}

	return decodeReview(raw)
}

func decodeReview(raw []byte) (*Review, error) {
	var wire struct {
		Request *struct {
			UID         types.UID       `json:"uid"`
			Namespace   string          `json:"namespace"`
			Operation   string          `json:"operation"`
			SubResource string          `json:"subResource"`
			DryRun      bool            `json:"dryRun"`
			Object      json.RawMessage `json:"object"`
			Resource    struct {
				Group    string `json:"group"`
				Resource string `json:"resource"`
			} `json:"resource"`
		} `json:"request"`
	}

	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &wire); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}

	q := wire.Request
	if q == nil || q.UID == "" {
		return nil, fmt.Errorf("%w: it has no request.uid", errMalformed)
	}

	r := &Review{UID: q.UID, Namespace: q.Namespace, DryRun: q.DryRun}
	if q.Resource.Group != "" || q.Resource.Resource != "pods" || q.SubResource != "" || q.Operation != "CREATE" {
		r.foreign = true
		r.err = fmt.Errorf("asked about %q of %q (group %q, subresource %q): register the webhook for CREATE of pods only",
			q.Operation, q.Resource.Resource, q.Resource.Group, q.SubResource)

		return r, nil
	}

	r.Pod, r.err = patches.Decode(q.Object)

	return r, nil
}

// failure is a failure of this review. A nil Injection means all of them.
func (r *Review) failure(in *patches.Injection, reason failure.Reason, text string) failure.Failure {
	f := failure.Failure{Reason: reason, Text: text, Owner: r.owner()}
	if in != nil {
		f.Injection = failure.Injection{Cluster: in.Cluster(), Name: in.Name}
	}

	if r.Pod != nil {
		if f.Pod = r.Pod.Name; f.Pod == "" {
			f.Pod = r.Pod.GenerateName + "*"
		}
	}

	return f
}

// owner is the pod's controller reference; for a pod without one, the pod.
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
