package controlplane_test

import (
	"net"
	"testing"

	"github.com/telltale-dev/telltale/test/controlplane"
)

// Two servers of one replica got the same port once in some hundred test runs, and
// the second ended: 500 of 10,000 ports drawn at random are all different in one of
// 300,000 runs only.
func TestFreePortOnce(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		port, err := controlplane.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %s is returned twice", port)
		}
		seen[port] = true
	}
}

// A claim keeps other tests away from a port, not the server that uses it.
func TestFreePortServes(t *testing.T) {
	port, err := controlplane.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		t.Fatalf("a server can't use the port it was given: %v", err)
	}
	_ = listener.Close()
}
