//go:build apiserver

package pods

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestLargeAnswers has a tenant write events of 1 MB. All are seen, and no more is ever
// read at a time than one answer may have.
func TestLargeAnswers(t *testing.T) {
	const events, size = 12, 1_000_000

	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	all, err := client.NewForConfig(cp.Config)
	if err != nil {
		t.Fatal(err)
	}

	for i := range events {
		e := &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: strconv.Itoa(i), Namespace: "default"}, InvolvedObject: corev1.ObjectReference{Namespace: "default"},
			Source: corev1.EventSource{Component: "telltale"}, Message: strings.Repeat("x", size),
		}
		if _, err := all.Events("default").Create(t.Context(), e, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	var read []*int64 // bytes of each answer

	cfg := rest.CopyConfig(cp.Config)
	cfg.Wrap(func(calls http.RoundTripper) http.RoundTripper { return bounded{calls} })
	cfg.Wrap(func(calls http.RoundTripper) http.RoundTripper { return counted{calls, &read} })

	lists, err := client.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}

	seen := map[string]bool{}
	o := metav1.ListOptions{FieldSelector: "source=telltale"}

	if err := eachListed(t.Context(), o, lists.Events("").List, func(e runtime.Object) { seen[e.(*corev1.Event).Name] = true }); err != nil {
		t.Fatal(err)
	}

	if len(seen) != events {
		t.Errorf("%d of %d events seen", len(seen), events)
	}

	for _, bytes := range read {
		t.Logf("an answer: %d bytes were read", *bytes)

		if *bytes > maxAnswer+1 {
			t.Error("that is too many")
		}
	}
}

// counted notes how many bytes of each answer were read.
type counted struct {
	http.RoundTripper

	read *[]*int64
}

// RoundTrip is for one call.
func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		bytes := new(int64)
		*c.read = append(*c.read, bytes)
		answer.Body = counting{answer.Body, bytes}
	}

	return answer, err
}

type counting struct {
	io.ReadCloser

	bytes *int64
}

// Read counts.
func (c counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	*c.bytes += int64(n)

	return n, err
}
