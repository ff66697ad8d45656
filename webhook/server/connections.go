package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxNew is how many connections there may be that were not served yet. An
	// API server handles 600 requests at once by default. So three of them may
	// send all that they have over new connections (TestManyAtOnce).
	//
	// Source: MaxRequestsInFlight and MaxMutatingRequestsInFlight,
	// k8s.io/apiserver v0.37.2 pkg/server/config.go.
	maxNew = 2048
	// manyNew is how many of them there are in peace, at most. An API server keeps
	// 25 that it did not need (idleTimeout).
	//
	// Source: idleConnsPerHost, k8s.io/client-go v0.37.2 transport/cache.go.
	manyNew = 256
	// silentFor is how long each of them may take to send the header of a request
	// if there are more: as long as an API server waits for an answer.
	silentFor = 5 * time.Second
	// maxServed is how many connections there may be that were served.
	maxServed = 2048
)

// connections are the open ones. Each is new until it is served: an answer with
// status 200 was sent over it, and only a whole review gets that.
//
// If there are too many new ones, the oldest of them is cut. If there are more than
// usual, those are cut that send no header for long (TestManySilent). If there are too many served
// ones, the one is cut that is idle for the longest time. So
// strangers that send no review push out each other and no API server
// (TestStrangersPushOutEachOther), and a caller that has just come gets in.
//
// No bound looks at addresses, because all API servers may have the same one.
type connections struct {
	mu        sync.Mutex
	all       map[net.Conn]*connection
	unserved  list.List // the oldest first
	served    list.List // the longest unused first
	changed   time.Time // the last change of any connection, also of one that is gone
	cutNew    prometheus.Counter
	cutServed prometheus.Counter
}

// connection is an open one, its state, and since when.
type connection struct {
	net.Conn

	state http.ConnState
	since time.Time
	group *list.List
	place *list.Element // in the group; nil if it is cut
}

func newConnections(r prometheus.Registerer) *connections {
	cut := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_connections_cut_total",
		Help: "Connections that were cut because there were too many: new ones, which had brought no review, and served ones.",
	}, []string{"group"})
	r.MustRegister(cut)

	return &connections{
		all:    map[net.Conn]*connection{},
		cutNew: cut.WithLabelValues("new"), cutServed: cut.WithLabelValues("served"),
	}
}

// note is for http.Server.ConnState.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()

	k, ok := c.all[conn]
	if !ok {
		k = &connection{Conn: conn}
		c.all[conn] = k
		k.join(&c.unserved)
	}

	k.state, k.since = state, time.Now()
	c.changed = k.since

	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		k.leave()
		delete(c.all, conn)
	case k.group == &c.served && k.place != nil:
		c.served.MoveToBack(k.place)
	case state == http.StateNew:
		c.clear(k.since)
	}
}

// clear cuts new connections, as far as there are too many.
func (c *connections) clear(now time.Time) {
	for e := c.unserved.Front(); e != nil && c.unserved.Len() > manyNew; {
		k := e.Value.(*connection)
		e = e.Next()

		switch {
		case c.unserved.Len() > maxNew:
		case k.state != http.StateNew:
			continue // it has sent a header
		case now.Sub(k.since) <= silentFor:
			return // and so it is with all that came later
		}

		k.cut()
		c.cutNew.Inc()
	}
}

// serve notes that a review that came over a connection has its answer.
func (c *connections) serve(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()

	k, ok := c.all[conn]
	if !ok || k.place == nil || k.group == &c.served || c.served.Len() >= maxServed && !c.cutIdle() {
		return
	}

	k.leave()
	k.join(&c.served)
}

// cutIdle cuts the served connection that is idle for the longest time, if one
// is idle.
func (c *connections) cutIdle() bool {
	for e := c.served.Front(); e != nil; e = e.Next() {
		if k := e.Value.(*connection); k.state == http.StateIdle {
			k.cut()
			c.cutServed.Inc()

			return true
		}
	}

	return false
}

func (k *connection) join(group *list.List) { k.group, k.place = group, group.PushBack(k) }

func (k *connection) leave() {
	if k.place != nil {
		k.group.Remove(k.place)
		k.place = nil
	}
}

// cut closes a connection at once, without the farewell of TLS, for which the
// caller might keep us waiting.
func (k *connection) cut() {
	k.leave()

	conn := k.Conn
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok { // a *tls.Conn
		conn = secured.NetConn()
	}

	_ = conn.Close() // an error: it is closed
}

// none tells whether no connection is open.
func (c *connections) none() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return len(c.all) == 0
}

// quiet tells whether nothing has happened on any connection since a time. At the
// end, each review is the last on its connection, and the next one comes on another
// that was idle for long. So those that are gone count, too, while there is another.
func (c *connections) quiet(since time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return len(c.all) == 0 || !c.changed.After(since) && !c.areBusy()
}

// busy tells whether a caller waits for an answer.
func (c *connections) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.areBusy()
}

// areBusy is busy for a caller that holds the lock.
func (c *connections) areBusy() bool {
	for _, k := range c.all {
		if k.state == http.StateActive {
			return true
		}
	}

	return false
}
