package webhook

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// maxReview is how large a review may be, in bytes. It is what
// controller-runtime reads, too: twice the largest object the API server takes
// (3 MiB), and a little.
const maxReview = 7 << 20

// sizeOf is how much of Options.MaxBytes a request takes. The API server tells
// how long its body is; of who does not, the longest is expected.
func sizeOf(req *http.Request) int64 {
	if req.ContentLength < 0 {
		return maxReview
	}

	return min(req.ContentLength, maxReview)
}

// setDeadlines keeps who sends slowly, or reads slowly, from holding on to room
// that others wait for. net/http lifts both after each request.
func setDeadlines(w http.ResponseWriter, start time.Time, patience time.Duration) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(start.Add(patience))      // a writer without deadlines
	_ = c.SetWriteDeadline(start.Add(2 * patience)) // is a test's
}

// readBody reads the body of a request.
func readBody(w http.ResponseWriter, req *http.Request) (raw []byte, err error) {
	body := http.MaxBytesReader(w, req.Body, maxReview)

	switch {
	case req.ContentLength > maxReview:
		err = &http.MaxBytesError{Limit: maxReview}
	case req.ContentLength < 0:
		raw, err = io.ReadAll(body)
	default:
		raw = make([]byte, req.ContentLength)
		_, err = io.ReadFull(body, raw)
	}

	if err != nil {
		return nil, fmt.Errorf("cannot read the review: %w", err)
	}

	return raw, nil
}

// unread answers a review that could not be read, or for which there was no
// room, for as long as the API server waits. The pod starts, as for every call
// that fails; whose it is is not known.
func (in *Injector) unread(w http.ResponseWriter, reason failure.Reason, why error) {
	in.requests.WithLabelValues(string(Failed)).Inc()
	in.reporter.Report(failure.Failure{Reason: reason, Text: advice(reason, why)})
	http.Error(w, why.Error(), http.StatusServiceUnavailable)
}
