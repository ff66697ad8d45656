package owner

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestResolveWithoutReading: some owners are as the review says, and some can't
// exist. There is no API server here to ask.
func TestResolveWithoutReading(t *testing.T) {
	t.Parallel()
	statefulSet := failure.Ref{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: "shop", Name: "db", UID: "1"}
	rollout := failure.Ref{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Namespace: "shop", Name: "web", UID: "1"}
	foreign := failure.Ref{APIVersion: "example.com/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "web", UID: "1"}
	cases := map[string]struct {
		reason string
		ref    failure.Ref
		want   failure.Ref
		err    error
	}{
		"StatefulSet": {reason: "It is the end of the chain.", ref: statefulSet, want: statefulSet},
		"UnknownKind": {reason: "We need no rights to kinds that we do not know.", ref: rollout, want: rollout},
		"SameKind":    {reason: "Another group's ReplicaSet is not the one we know.", ref: foreign, want: foreign},
		"NamelessPod": {
			reason: "A pod can't be found before its name is generated.",
			ref:    failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "shop"},
			want:   failure.Ref{APIVersion: "v1", Kind: "Namespace", Namespace: "shop", Name: "shop"},
		},
		"NamelessPodWithUID": {
			reason: "A pod that controls others exists, so it has a name.",
			ref:    failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "shop", UID: "1"}, err: ErrUnconfirmed,
		},
		"None": {reason: "The review did not name an owner.", err: ErrNone},
		"NoName": {
			reason: "There is no object without a name.",
			ref:    failure.Ref{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: "shop"}, err: ErrUnconfirmed,
		},
		"NoNamespace": {
			reason: "Pods have a namespace.",
			ref:    failure.Ref{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web"}, err: ErrUnconfirmed,
		},
		"PodOfNoNamespace": {
			reason: "There is no namespace to fall back to either.",
			ref:    failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "../shop"}, err: ErrUnconfirmed,
		},
		"Path": {
			reason: "A name is one part of a path, not several.",
			ref:    failure.Ref{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "../x"}, err: ErrUnconfirmed,
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			r, err := New(&rest.Config{Host: "https://127.0.0.1:1"}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Resolve(t.Context(), failure.Failure{Owner: tc.ref}, 0)
			if !errors.Is(err, tc.err) || err == nil && got != tc.want {
				t.Errorf("%s: got %+v, %v", tc.reason, got, err)
			}
		})
	}
}

// TestResolveWithoutAPIServer: if there is no answer, this is not the answer
// "no such object".
func TestResolveWithoutAPIServer(t *testing.T) {
	t.Parallel()
	r, err := New(&rest.Config{Host: "https://127.0.0.1:1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []failure.Ref{
		{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "web", UID: "1"},
		{APIVersion: "batch/v1", Kind: "Job", Namespace: "shop", Name: "web", UID: "1"},
		{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web", UID: "1"},
		{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web"},
	} {
		_, err := r.Resolve(t.Context(), failure.Failure{Owner: ref}, PodWait)
		if err == nil || errors.Is(err, ErrUnconfirmed) || errors.Is(err, ErrNone) {
			t.Errorf("%s %q: got %v", ref, ref.UID, err)
		}
	}
}

// page answers all calls in place of the API server, as a load balancer does
// that has no backend: the answer has no Status.
type page struct{}

func (page) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusNotFound, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>no backend</html>")),
	}, nil
}

// TestResolveBehindPage: a page is not the API server's answer "no such object".
func TestResolveBehindPage(t *testing.T) {
	t.Parallel()
	r, err := New(&rest.Config{Host: "https://127.0.0.1:1", Transport: page{}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []failure.Ref{
		{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "web", UID: "1"},
		{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web"},
	} {
		got, err := r.Resolve(t.Context(), failure.Failure{Owner: ref}, PodWait)
		if err == nil || errors.Is(err, ErrUnconfirmed) || errors.Is(err, ErrNoPod) {
			t.Errorf("%s %q: got %v, %v", ref, ref.UID, got, err)
		}
	}
}

func TestSays(t *testing.T) {
	t.Parallel()
	f := failure.Failure{Reason: failure.Conflict, Injection: failure.Injection{Name: "proxy"}, Revision: "5f3c9a1b"}
	for annotation, want := range map[string]bool{
		"proxy@5f3c9a1b=InjectionConflict":           true,
		"proxy@77d0e2c4=InjectionConflict":           true, // edited since
		"proxy=InjectionConflict":                    true, // of a version without revisions
		"ca=InjectionUnsafe,proxy=InjectionConflict": true,
		"":                                false,
		"proxy=InjectionUnsafe":           false,
		"proxy@5f3c9a1b=InjectionUnsafe":  false,
		"proxy@5f3c9a1b":                  false,
		"my-proxy=InjectionConflict":      false,
		"cluster/proxy=InjectionConflict": false,
		"proxy=InjectionConflict2,proxy=InjectionConflic":  false,
		"proxy = InjectionConflict; proxy=InjectionUnsafe": false,
	} {
		if got := says(annotation, f); got != want {
			t.Errorf("%q: got %v", annotation, got)
		}
	}
}
