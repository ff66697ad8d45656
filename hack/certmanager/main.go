// Command cert-manager is the real cert-manager in one process: its
// controllers, the issuers that need nothing but the cluster (CA and
// SelfSigned), and its CA injector. It is for tests on a cluster that cannot
// pull images. The script "build" makes it, and crds.yaml beside it.
//
// It is not all of cert-manager. There is no ACME, Ingress or Gateway, no
// leader election and no metrics. There is no admission webhook of cert-manager
// either: every object that the CRDs allow is accepted, and a
// CertificateRequest does not name its author. As in cert-manager's own
// installation, all requests are approved.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

const usage = `Runs cert-manager's controllers, for the issuers CA and SelfSigned, and its CA
injector, until Ctrl-C or SIGTERM.

Usage: cert-manager [flags]

It needs the CRDs, and a user who may do what cert-manager does:

  folder="$(hack/certmanager/build)"
  kubectl apply --server-side -f "$folder/crds.yaml"
  kubectl wait --for=condition=Established -f "$folder/crds.yaml"
  "$folder/cert-manager" --kubeconfig="$KUBECONFIG"

Flags:
`

// logLevel is cert-manager's own default, from 0 to 5: one line for each step.
const logLevel = "2"

// options are the settings of the command line.
type options struct {
	kubeconfig string
	namespace  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := execute(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		os.Exit(1)
	}
}

func execute(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := new(klog.Level).Set(logLevel); err != nil {
		return fmt.Errorf("cannot set the log level: %w", err)
	}
	ctrl.SetLogger(klog.Background())

	return run(ctx, o)
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("cert-manager", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "`file` that names the cluster and the user; needed, here or as $KUBECONFIG")
	f.StringVar(&o.namespace, "namespace", "cert-manager", "where the Secrets of ClusterIssuers are")

	err := f.Parse(args)
	switch {
	case err != nil:
		return o, err
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; all settings are flags, see --help", f.Arg(0))
	case o.kubeconfig == "":
		return o, errors.New("no cluster: set --kubeconfig or KUBECONFIG, see --help")
	default:
		return o, nil
	}
}
