package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// maxReview is the largest review, in bytes. controller-runtime has the same
// limit: twice the largest object that the API server takes (3 MiB), and a
// little more.
const maxReview = 7 << 20

// firstBytes is the memory for the begin of a body. Nearly all reviews are
// shorter. The memory of a longer one doubles as it arrives, whatever length its
// caller announced.
const firstBytes = 32 << 10

// read reads the body of a request as it arrives. It returns errOverload if
// there is no memory for it, and errTimeout if it does not arrive before the
// deadline.
func (b *body) read(ctx context.Context, req *http.Request) (raw []byte, err error) {
	length := req.ContentLength

	switch {
	case length > maxReview:
		return nil, fmt.Errorf("cannot read the review: %w", &http.MaxBytesError{Limit: maxReview})
	case length < 0: // not announced, and the caller is not an API server
		length = maxReview
	}

	for int64(len(raw)) < length && err == nil {
		if len(raw) == cap(raw) {
			size := min(max(firstBytes, 2*int64(cap(raw))), length)
			if !b.take(ctx, size-int64(cap(raw))) {
				return nil, errOverload
			}

			raw = append(make([]byte, 0, size), raw...)
		}

		raw, err = b.more(req.Body, raw, length)
	}

	switch {
	case err == nil || errors.Is(err, io.EOF) && (int64(len(raw)) == length || req.ContentLength < 0):
		return raw, nil
	case errors.Is(err, errOverload):
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errTimeout
	default:
		return nil, fmt.Errorf("cannot read the review: %w", err)
	}
}

// more waits for bytes of a body, and appends them where there is room.
func (b *body) more(from io.Reader, raw []byte, length int64) ([]byte, error) {
	b.await()
	n, err := from.Read(raw[len(raw):cap(raw)])
	raw = raw[:len(raw)+n]

	if cut := b.proceed(errors.Is(err, io.EOF) || int64(len(raw)) == length); cut != nil {
		return nil, cut
	}

	return raw, err
}

// restFor is how long a caller may send the rest of a body that is shed. An API
// server sends the largest review in a small part of it. A stranger holds its
// connection for so long, and so some 60 KB (stress.TestHostile).
const restFor = 2 * time.Second

// discardRest lets the caller of a body that is shed send the rest of it, for a
// while. A caller that is still sending mostly misses an answer that comes earlier,
// with the end of its connection.
func discardRest(w http.ResponseWriter, req *http.Request, why error, d deadlines) {
	if errors.Is(why, errOverload) {
		if soon := time.Now().Add(restFor); soon.Before(d.answer) {
			d.answer = soon
		}

		d.set(w)
		_, _ = io.Copy(io.Discard, req.Body) // an error: it sends no more
	}
}

// answerWriter writes an answer. Its caller keeps us waiting if it does not read.
type answerWriter struct {
	http.ResponseWriter

	body *body
}

func (w answerWriter) Write(answer []byte) (int, error) {
	w.body.await()
	n, err := w.ResponseWriter.Write(answer)

	return n, errors.Join(err, w.body.proceed(true))
}
