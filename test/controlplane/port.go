package controlplane

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// claims are the UDP sockets of the ports that FreePort returned. They are kept
// until this process ends, so that the garbage collector does not close them.
var claims struct { //nolint:gochecknoglobals // a port is claimed for a whole process
	sync.Mutex
	sockets []net.PacketConn
}

// FreePort returns a port of loopback that nothing listens on. It is below the
// ports of outgoing connections on Linux and macOS, and below NodePorts. So it
// stays free until it is used, and while a server of ours is away.
//
// No two calls return the same port, also in two processes that run at the same
// time: each port is claimed by a UDP socket, for as long as this process runs.
// Our servers use TCP only, so a claim does not disturb them.
func FreePort() (string, error) {
	const low, high, attempts = 20000, 30000, 100
	var err error
	for range attempts {
		port := strconv.Itoa(low + rand.IntN(high-low))
		if err = claim(net.JoinHostPort("127.0.0.1", port)); err == nil {
			return port, nil
		}
	}

	return "", fmt.Errorf("cannot find a free port on loopback: %w", err)
}

// claim is an error if the address was claimed before, or something listens on it.
func claim(address string) error {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		_ = socket.Close()

		return err
	}
	claims.Lock()
	defer claims.Unlock()
	claims.sockets = append(claims.sockets, socket)

	return listener.Close()
}

// FreeAddress returns an address on loopback, "127.0.0.1:<port>", with a port of
// FreePort's.
func FreeAddress() (string, error) {
	port, err := FreePort()

	return net.JoinHostPort("127.0.0.1", port), err
}

// splitHostPort is for addresses that we made, so there is no error.
func splitHostPort(address string) (host, port string) {
	host, port, _ = net.SplitHostPort(address)

	return host, port
}
