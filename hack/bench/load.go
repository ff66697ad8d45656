package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/telltale-dev/telltale/test/child"
)

// path is the path of every candidate, as of Telltale.
const path = "/mutate--v1-pod"

// sample is the result of one run of load.
type sample struct {
	requests  int
	took, cpu time.Duration   // cpu: the server's CPU time
	latencies []time.Duration // sorted
}

func (s sample) perRequest() time.Duration { return s.cpu / time.Duration(s.requests) }

func (s sample) perSecond() float64 { return float64(s.requests) / s.took.Seconds() }

func (s sample) quantile(q float64) time.Duration { return quantile(s.latencies, q) }

// quantile returns a quantile of sorted values.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// ask sends a review again and again over some connections. Each connection has
// one request at a time. ask ends after a while, or when there are enough
// answers, whichever is first; 0 is no limit. The cost of opening a connection
// is not measured.
func ask(c *candidate, review []byte, connections int, d time.Duration, enough int) (s sample, err error) {
	callers := make([]*caller, connections)
	defer func() {
		for _, c := range callers {
			c.hangUp()
		}
	}()
	for i := range callers {
		if callers[i], err = dial(c.address, review, i); err != nil {
			return s, fmt.Errorf("cannot ask %s: %w", c.name, err)
		}
	}

	before, err := child.CPU(c.pid())
	if err != nil {
		return s, err
	}
	start := time.Now()
	var wg sync.WaitGroup
	for _, caller := range callers {
		wg.Go(func() { caller.run(start, d, enough/connections) })
	}
	wg.Wait()
	s.took = time.Since(start)
	after, err := child.CPU(c.pid())
	s.cpu = after - before

	for _, caller := range callers {
		s.latencies = append(s.latencies, caller.latencies...)
		err = errors.Join(err, caller.err)
	}
	slices.Sort(s.latencies)
	if s.requests = len(s.latencies); s.requests == 0 {
		err = errors.Join(err, errors.New("no answer"))
	}
	if err != nil {
		return s, fmt.Errorf("cannot ask %s: %w", c.name, err)
	}

	return s, nil
}

// caller is one connection. Its request is ready except for the uid, because
// measuring runs on the same machine and must cost little.
type caller struct {
	conn      net.Conn
	reader    *bufio.Reader
	request   []byte
	uid       []byte // a part of request
	next      int
	latencies []time.Duration
	body      bytes.Buffer
	err       error
}

// dial opens a connection and sends a first request over it.
func dial(address string, review []byte, seed int) (*caller, error) {
	// We started the process, and chose its port.
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	c := &caller{conn: conn, reader: bufio.NewReader(conn), next: seed << 32}
	c.request = fmt.Appendf(nil, "POST %s?timeout=5s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, */*\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(review), review)
	start, end, err := uidOf(c.request)
	if err != nil {
		return nil, err
	}
	c.uid = c.request[start:end]
	if _, err := c.call(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}

	return c, nil
}

// hangUp closes the connection, if there is one.
func (c *caller) hangUp() {
	if c != nil {
		_ = c.conn.Close() // nothing is lost
	}
}

// run calls again and again until the time is over.
func (c *caller) run(start time.Time, d time.Duration, enough int) {
	for last := time.Now(); c.err == nil; {
		if d > 0 && last.Sub(start) > d || enough > 0 && len(c.latencies) >= enough {
			return
		}
		_, c.err = c.call()
		now := time.Now()
		c.latencies = append(c.latencies, now.Sub(last))
		last = now
	}
}

// call sends one review, with its own uid, and returns the answer. The next
// call overwrites the answer.
func (c *caller) call() ([]byte, error) {
	c.next++
	copy(c.uid[len(c.uid)-12:], fmt.Appendf(nil, "%012x", c.next))
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	c.body.Reset()
	if _, err := io.Copy(&c.body, response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(c.body.Bytes(), c.uid) || !bytes.Contains(c.body.Bytes(), []byte(`"allowed":true`)) {
		return nil, fmt.Errorf("answered %s: %s", response.Status, c.body.Bytes())
	}

	return c.body.Bytes(), nil
}
