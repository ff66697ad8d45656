package harness

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
)

// Balancer stands before replicas as a Service does: each new connection goes to
// the next of its ports, and to one after it while nobody listens there. A Service
// leaves out a pod that is not ready, as one is whose process was killed.
type Balancer struct {
	// Port is where it listens, on localhost.
	Port string

	mu    sync.Mutex
	ports []string
	next  int
}

// Balance starts a Balancer for ports of localhost. It ends with the test.
func Balance(t *testing.T, ports ...string) *Balancer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := &Balancer{Port: port, ports: ports}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go Forward(near, b.pick()...)
		}
	}()

	return b
}

// Add has a port get connections.
func (b *Balancer) Add(port string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = append(b.ports, port)
}

// Remove has a port get no new connections. Those that there are go on.
func (b *Balancer) Remove(port string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = slices.DeleteFunc(slices.Clone(b.ports), func(p string) bool { return p == port })
}

// pick returns the addresses of all ports, the next one first.
func (b *Balancer) pick() (addresses []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	for i := range b.ports {
		addresses = append(addresses, "127.0.0.1:"+b.ports[(b.next+i)%len(b.ports)])
	}

	return addresses
}

// Forward copies between a connection and a new one, until one of them ends. The new
// one goes to the first of the addresses where somebody listens.
func Forward(near net.Conn, to ...string) {
	defer near.Close()
	for _, address := range to {
		far, err := (&net.Dialer{Timeout: Patience}).Dial("tcp", address)
		if err == nil {
			connect(near, far)

			return
		}
	}
}

func connect(near, far net.Conn) {
	defer far.Close()
	go func() {
		defer far.Close()
		_, _ = io.Copy(far, near)
	}()
	_, _ = io.Copy(near, far)
}
