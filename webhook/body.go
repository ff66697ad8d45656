package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// readBody reads the body of a request, or returns errTimeout if its bytes come
// too slowly.
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

	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errTimeout
	case err != nil:
		return nil, fmt.Errorf("cannot read the review: %w", err)
	default:
		return raw, nil
	}
}
