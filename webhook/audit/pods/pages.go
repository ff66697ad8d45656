package pods

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"
)

const (
	// page is how many objects are listed at a time, at most.
	page = 250
	// maxAnswer is how many bytes one answer to a list may have. The API server counts
	// objects only, and anybody that may write one may make it large: 1.5 MiB, as etcd
	// takes it (v3.6.8, DefaultMaxRequestBytes in server/embed/config.go).
	maxAnswer = 4 << 20
)

// bounded reads no more of an answer than maxAnswer.
type bounded struct{ http.RoundTripper }

// RoundTrip is for one call. A larger answer is an *http.MaxBytesError as it is read.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}

	return answer, err
}

// eachListed looks at all objects of a list, a page at a time: the next one is on its
// way meanwhile. A page that is too large is asked for again with half of the objects;
// client-go would log each of these.
func eachListed[L runtime.Object](
	ctx context.Context, o metav1.ListOptions, list func(context.Context, metav1.ListOptions) (L, error), see func(runtime.Object),
) error {
	ctx, limit := logr.NewContext(ctx, logr.Discard()), int64(page)
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		for {
			o.Limit = limit

			objects, err := list(ctx, o)
			if _, isLarge := errors.AsType[*http.MaxBytesError](err); isLarge && limit > 1 {
				limit /= 2

				continue
			}

			if err != nil {
				return nil, fmt.Errorf("cannot list %d objects: %w", limit, err)
			}

			limit = min(limit+limit/4+1, page) // slowly: there may be more large ones

			return objects, nil
		}
	})
	pages.PageBufferSize = 0

	return pages.EachListItem(ctx, o, func(one runtime.Object) error {
		see(one)

		return nil
	})
}
