package harness

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
)

// Balancer stands before replicas as a Service does: each new connection goes to
// the next of its ports.
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
			go Forward(near, b.pick())
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

// pick returns the address of the next port; "" if there is none.
func (b *Balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ports) == 0 {
		return ""
	}
	b.next++

	return "127.0.0.1:" + b.ports[b.next%len(b.ports)]
}

// Forward copies between a connection and a new one to an address, until one of them
// ends.
func Forward(near net.Conn, to string) {
	defer near.Close()
	far, err := (&net.Dialer{Timeout: Patience}).Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		defer far.Close()
		_, _ = io.Copy(far, near)
	}()
	_, _ = io.Copy(near, far)
}
