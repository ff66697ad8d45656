package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// stopTimeout is how long Telltale may take to end. It writes its last events
// for at most 10 s.
const stopTimeout = 15 * time.Second

// stack is a control plane with Telltale.
type stack struct {
	start    time.Time
	observed bool   // with backends beside it
	logs     string // folder
	plane    *controlplane.ControlPlane
	telltale *telltale.Replica
	beside   beside
}

// say prints the present step.
func (s *stack) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.1fs  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

// up starts everything, until Telltale is called for each new pod. If it fails,
// down must end the parts that were started.
func (s *stack) up(ctx context.Context) error {
	var err error
	if s.logs, err = os.MkdirTemp("", "telltale-dev-"); err != nil {
		return fmt.Errorf("cannot make a folder for logs: %w", err)
	}

	s.say("starting etcd, kube-apiserver and kube-controller-manager")
	if s.plane, err = controlplane.Start(ctx, controlplane.Options{LogDir: s.logs}); err != nil {
		return err
	}

	s.telltale, err = telltale.New(telltale.Options{
		Program: filepath.Join("bin", "telltale"), Config: telltale.ServiceAccount(s.plane), Dir: s.logs,
		Flags: []string{"--cluster-name=" + clusterName},
	})
	if err != nil {
		return err
	}
	s.say("installing config/overlays/local, with the rights of config/")
	if err := telltale.Install(ctx, s.plane, "config"); err != nil {
		return err
	}
	if err := telltale.Register(ctx, s.plane, s.telltale.Port); err != nil {
		return err
	}

	if s.observed {
		if err := s.observe(ctx); err != nil {
			return err
		}
	}

	s.say("starting bin/telltale")
	if err := s.telltale.Start(); err != nil {
		return err
	}
	if err := s.telltale.WaitUntil(ctx, child.Patience, s.telltale.Ready); err != nil {
		return err
	}

	return s.telltale.WaitUntil(ctx, child.Patience, s.registered)
}

// registered is a condition: the API server was told which CA to trust.
func (s *stack) registered(ctx context.Context) error {
	bundle, err := s.plane.Kubectl(ctx, "get", "mutatingwebhookconfiguration", "telltale",
		"--output=jsonpath={.webhooks[0].clientConfig.caBundle}")
	if err == nil && strings.TrimSpace(bundle) == "" {
		err = errors.New("the webhook has no caBundle")
	}

	return err
}

// down ends everything, Telltale first, and removes the logs.
func (s *stack) down() error {
	s.say("stopping")
	if s.telltale != nil {
		s.telltale.Stop(stopTimeout)
	}
	s.beside.kill()

	return errors.Join(s.plane.Stop(), os.RemoveAll(s.logs))
}
