package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const howTo = `
Telltale runs on a Kubernetes without nodes: pods are made, and stay Pending.
In another terminal, from here:

  export KUBECONFIG=%s
  export PATH=%s:$PATH

  kubectl apply -k config/samples/injections
  kubectl wait --for=condition=Ready -n shop injections --all
  kubectl apply -k config/samples/deployments
  kubectl describe deployment payments -n shop
  curl -s %s/metrics | grep ^telltale_

Logs are in %s. Ctrl-C stops everything.
`

// stay prints how to try Telltale and waits for Ctrl-C. It fails if Telltale
// ends before.
func (s *stack) stay(ctx context.Context) error {
	assets, err := filepath.Abs(os.Getenv("KUBEBUILDER_ASSETS"))
	if err != nil {
		return fmt.Errorf("cannot tell where kubectl is: %w", err)
	}
	s.say("up")
	fmt.Printf(howTo, s.plane.KubeconfigPath, assets, s.telltale.Metrics, s.logs)
	if s.observed {
		fmt.Print(s.beside)
	}

	select {
	case <-ctx.Done():
		return nil
	case <-s.telltale.Done():
		return errors.New("telltale ended; its log ends in:\n" + s.telltale.Tail())
	}
}
