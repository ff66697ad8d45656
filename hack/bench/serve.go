package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/telltale-dev/telltale/patches"
)

// serve is the main function of a candidate's process: a server of one kind, on
// an address, with a certificate and its key from files. It ends with its
// parent.
func serve(ctx context.Context, args []string) error {
	const usage = "usage: bench serve limit|floor|constant|textbook <address> <certificate file> <key file>"
	if len(args) != 4 {
		return fmt.Errorf("%s", usage)
	}
	handler, err := newHandler(ctx, args[0])
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(args[2], args[3])
	if err != nil {
		return fmt.Errorf("cannot load the certificate: %w", err)
	}
	// As with Telltale's server, which is like that of controller-runtime, the
	// listener is one of TLS, so only HTTP/1.1 is offered.
	listener, err := tls.Listen("tcp", args[1], &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{pair},
	})
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}

	return newServer(handler).Serve(listener)
}

// newServer has the settings of controller-runtime's.
//
// Source: controller-runtime v0.25.2 pkg/internal/httpserver/server.go.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, MaxHeaderBytes: 1 << 20, IdleTimeout: 90 * time.Second, ReadHeaderTimeout: 32 * time.Second,
	}
}

func newHandler(ctx context.Context, kind string) (http.Handler, error) {
	switch kind {
	case limit:
		return allowing(nil), nil
	case floor:
		return http.HandlerFunc(serveFloor), nil
	case constant:
		return newConstant(ctx)
	case textbook:
		return newTextbook()
	default:
		return nil, fmt.Errorf("no candidate is called %q", kind)
	}
}

// listens tells whether something listens on an address.
func listens(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}

	return conn.Close()
}

// allowing allows every pod, and parses nothing: it costs HTTPS, and nothing
// else. The patch, if any, is the same for every pod.
func allowing(patch []byte) http.Handler {
	end := `","allowed":true}}`
	if patch != nil {
		end = `","allowed":true,"patchType":"JSONPatch","patch":"` + base64.StdEncoding.EncodeToString(patch) + `"}}`
	}

	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		from, to, err := uidOf(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)

			return
		}

		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"%s%s`, body[from:to], end)
	})
}

// newConstant answers with the patch that Telltale makes for the pod of our
// review. No webhook that injects can do less. A pod's creation through it
// takes as long as the API server needs to ask, and to apply the patch.
func newConstant(ctx context.Context) (http.Handler, error) {
	in, err := theInjection()
	if err != nil {
		return nil, err
	}
	var review envelope
	if err := json.Unmarshal(checkout, &review); err != nil {
		return nil, fmt.Errorf("cannot read the review: %w", err)
	}
	in.Namespace = review.Request.Namespace
	pod, err := patches.Decode(review.Request.Object)
	if err != nil {
		return nil, fmt.Errorf("cannot read the review's pod: %w", err)
	}
	matches := (&patches.Set{}).With(patches.Compile(in)).Match(pod.Traits(), patches.Namespace{Name: in.Namespace, Known: true})

	return allowing(patches.New(ctx, pod, matches).Patch), nil
}

// uidOf finds the first uid of a review, which is the request's.
func uidOf(review []byte) (start, end int, err error) {
	const key = `"uid":"`
	at := bytes.Index(review, []byte(key))
	if at < 0 {
		return 0, 0, fmt.Errorf("cannot find the review's uid")
	}
	start = at + len(key)
	length := bytes.IndexByte(review[start:], '"')
	if length < 0 {
		return 0, 0, fmt.Errorf("cannot find the end of the review's uid")
	}

	return start, start + length, nil
}

// envelope is the part of a review that a webhook must read before it looks at
// the pod.
type envelope struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Request    *request `json:"request,omitempty"`
	Response   *answer  `json:"response,omitempty"`
}

type request struct {
	UID       string          `json:"uid"`
	Namespace string          `json:"namespace"`
	Operation string          `json:"operation"`
	DryRun    bool            `json:"dryRun"`
	Object    json.RawMessage `json:"object"`
}

type answer struct {
	UID       string `json:"uid"`
	Allowed   bool   `json:"allowed"`
	Patch     []byte `json:"patch,omitempty"`
	PatchType string `json:"patchType,omitempty"`
}

// serveFloor decodes the envelope with encoding/json, does not read the pod,
// and allows it: a webhook with nothing to do.
func serveFloor(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	var review envelope
	if err := json.Unmarshal(body, &review); err != nil || review.Request == nil {
		http.Error(w, "not an AdmissionReview", http.StatusBadRequest)

		return
	}
	review.Response, review.Request = &answer{UID: review.Request.UID, Allowed: true}, nil
	out, err := json.Marshal(review)
	if err != nil {
		return
	}

	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}
