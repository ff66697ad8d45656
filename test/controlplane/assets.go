package controlplane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// assetsVariable names the folder of the binaries, as for envtest.
	assetsVariable = "KUBEBUILDER_ASSETS"
	// flagsVariable holds flags, with spaces between, for kube-apiserver and
	// kube-controller-manager alike: an emulated version, feature gates.
	flagsVariable = "KUBERNETES_FLAGS"
)

func (o Options) withDefaults() (Options, error) {
	if o.Assets == "" {
		o.Assets = os.Getenv(assetsVariable)
	}
	if o.Assets == "" {
		return o, errors.New(assetsVariable + " is not set: run this through make, or first\n" +
			"  export " + assetsVariable + `="$(hack/controlplane/build)"`)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubectl"} {
		if _, err := os.Stat(filepath.Join(o.Assets, name)); err != nil {
			return o, fmt.Errorf("cannot use %s: %w", assetsVariable, err)
		}
	}

	flags := strings.Fields(os.Getenv(flagsVariable))
	o.APIServerFlags = slices.Concat(o.APIServerFlags, flags)
	o.ControllerManagerFlags = slices.Concat(o.ControllerManagerFlags, flags)

	return o, nil
}

// FreePort returns a port of loopback that nothing listens on. It is below the
// ports of outgoing connections on Linux and macOS, and below NodePorts. So it
// stays free until it is used, and while a server of ours is away.
func FreePort() (string, error) {
	const low, high, attempts = 20000, 30000, 100
	var err error
	for range attempts {
		port := strconv.Itoa(low + rand.IntN(high-low))
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return port, listener.Close()
		}
	}

	return "", fmt.Errorf("cannot find a free port on loopback: %w", err)
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
