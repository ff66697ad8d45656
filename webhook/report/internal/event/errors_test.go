package event

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	webhookerrors "k8s.io/apiserver/pkg/admission/plugin/webhook/errors"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// answer is that of something between us and the API server: it has no Status.
func answer(r *http.Request, code int) *http.Response {
	return &http.Response{
		StatusCode: code, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>go away</html>")),
	}
}

// between answers all calls in place of the API server, with a code.
type between int

func (b between) RoundTrip(r *http.Request) (*http.Response, error) { return answer(r, int(b)), nil }

// TestPage: a page with a code that would be final from the API server is not
// its word.
func TestPage(t *testing.T) {
	t.Parallel()
	owner := failure.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "uid"}
	for _, code := range []int{
		http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
	} {
		w, err := NewWriter(&rest.Config{Host: "https://127.0.0.1:1", Transport: between(code)})
		if err != nil {
			t.Fatal(err)
		}
		for name, known := range map[string]memo{"first": {}, "later": {version: "7", stored: 1}} {
			e := ledger.Entry{
				Failure: failure.Failure{Reason: failure.Conflict, Owner: owner}, ID: 1, Resolved: true, Total: 2, Owed: 1,
				Receipt: known.receipt(),
			}
			got, err := w.Write(t.Context(), e)
			if _, final := errors.AsType[*ledger.FinalError](err); err == nil || final || got.Stored != known.stored {
				t.Errorf("%d, %s write: %d stored, %v", code, name, got.Stored, err)
			}
		}
	}
}

// TestWebhook: another webhook may change its mind, whatever its answer looks
// like. The API server makes an error of it, with its own code.
func TestWebhook(t *testing.T) {
	t.Parallel()
	event := &metav1.StatusDetails{Kind: "Event", Name: "web.0"}
	for name, status := range map[string]*metav1.Status{
		"Nothing":  nil,
		"Message":  {Message: "no events here"},
		"Invalid":  {Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Details: event},
		"TooLarge": {Code: http.StatusRequestEntityTooLarge, Reason: metav1.StatusReasonRequestEntityTooLarge},
		"NotFound": {Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Details: &metav1.StatusDetails{Kind: "namespaces"}},
	} {
		err := explain(ledger.Entry{}, webhookerrors.ToStatusErr("policy.example.com", status))
		if _, final := errors.AsType[*ledger.FinalError](err); final {
			t.Errorf("%s: final: %v", name, err)
		}
	}
}
