// Package cli has what the plugin's commands share: kubectl's own flags and the
// clients that they make, the exit codes, and how answers are printed.
//
// A command returns an error, and Code makes the exit code of it:
//
//	return nil                                  // 0: all is well
//	return cli.Finding("2 of 3 pods lack it")   // 1: there is a finding
//	return cli.Unknown("cannot read %s", what)  // 2: it could not tell
//
// Any other error is 2 as well.
package cli

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// requestsASecond is how fast the plugin may ask the API server. One user
	// waits for the answer; kubectl has 50.
	requestsASecond = 50
	// requestsAtOnce is how many requests need not wait for that pace.
	requestsAtOnce = 300
)

// Options has kubectl's flags and the streams. Every command gets the same one.
type Options struct {
	*genericclioptions.ConfigFlags
	genericiooptions.IOStreams
}

// New returns options with kubectl's defaults.
func New(streams genericiooptions.IOStreams) *Options {
	flags := genericclioptions.NewConfigFlags(true).
		WithDiscoveryBurst(requestsAtOnce).
		WithDiscoveryQPS(requestsASecond).
		WithWrapConfigFn(func(c *rest.Config) *rest.Config {
			c.QPS, c.Burst = requestsASecond, requestsAtOnce
			c.UserAgent = "kubectl-telltale"
			c.WarningHandler = rest.NoWarnings{}

			return c
		})

	return &Options{ConfigFlags: flags, IOStreams: streams}
}

// Client returns a client for the types of Kubernetes and ours, and for
// unstructured objects of any type. It maps kinds with kubectl's own cache of
// what the API server has.
func (o *Options) Client() (client.WithWatch, error) {
	config, err := o.ToRESTConfig()
	if err != nil {
		return nil, Unknown("cannot tell which cluster: %w", err)
	}

	mapper, err := o.ToRESTMapper()
	if err != nil {
		return nil, Unknown("cannot tell which cluster: %w", err)
	}

	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}

	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, Unknown("cannot make a client: %w", err)
	}

	return c, nil
}

// Scheme returns the types of Kubernetes and ours.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("cannot register types: %w", err)
		}
	}

	return s, nil
}

// InNamespace returns the namespace of --namespace, or the current context's.
func (o *Options) InNamespace() (string, error) {
	namespace, _, err := o.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", Unknown("cannot tell which namespace: %w", err)
	}

	if namespace == "" {
		namespace = corev1.NamespaceDefault
	}

	return namespace, nil
}
