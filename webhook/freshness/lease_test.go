package freshness

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestIsRefusal has the API server fail in many ways. A replica that takes one of
// them for a refusal goes on with its view, however old it gets.
func TestIsRefusal(t *testing.T) {
	t.Parallel()

	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	cases := map[string]struct {
		reason string
		err    error
		want   bool
	}{
		"Forbidden": {"The right is missing.", apierrors.NewForbidden(leases, "a", nil), true},
		"Invalid":   {"A policy refuses it.", apierrors.NewInvalid(schema.GroupKind{Kind: "Lease"}, "a", nil), true},
		"Webhook": {
			"A webhook for Leases is away, for ever perhaps.",
			apierrors.NewInternalError(errors.New(`failed calling webhook "leases.example.com": connection refused`)), true,
		},
		"Etcd":         {"Its store has trouble.", apierrors.NewInternalError(errors.New("etcdserver: leader changed")), false},
		"Unavailable":  {"It starts.", apierrors.NewServiceUnavailable("starting"), false},
		"Unauthorized": {"The token has just expired.", apierrors.NewUnauthorized("expired"), false},
		"Busy":         {"It has too much to do.", apierrors.NewTooManyRequests("later", 1), false},
		"Timeout":      {"It was slow.", apierrors.NewTimeoutError("slow", 1), false},
		"Network":      {"It can't be reached.", errors.New("connection refused"), false},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if got := isRefusal(fmt.Errorf("cannot write: %w", tc.err)); got != tc.want {
				t.Errorf("%s: got %v, want %v", tc.reason, got, tc.want)
			}
		})
	}
}
