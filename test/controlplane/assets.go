package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
