package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

const (
	// readyTimeout bounds how long Telltale may take to be ready and
	// registered.
	readyTimeout = 30 * time.Second
	// stopTimeout is how long Telltale may take to end. It flushes its events
	// for 10 s at most.
	stopTimeout = 15 * time.Second
)

// stack is a control plane with Telltale.
type stack struct {
	start    time.Time
	logs     string // folder
	plane    *controlplane.ControlPlane
	telltale *child.Process
	metrics  string // address
}

// say tells what is being done.
func (s *stack) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.1fs  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

// up starts everything, until Telltale is called for each new pod. What has
// been started when it fails is left to down.
func (s *stack) up(ctx context.Context) error {
	var err error
	if s.logs, err = os.MkdirTemp("", "telltale-dev-"); err != nil {
		return fmt.Errorf("cannot make a folder for logs: %w", err)
	}

	s.say("starting etcd, kube-apiserver and kube-controller-manager")
	if s.plane, err = controlplane.Start(ctx, controlplane.Options{LogDir: s.logs}); err != nil {
		return err
	}

	webhook, err := controlplane.FreeAddress()
	if err != nil {
		return err
	}
	s.say("installing config/overlays/local")
	if err := s.install(ctx, webhook); err != nil {
		return err
	}

	s.say("starting bin/telltale")

	return s.startTelltale(ctx, webhook)
}

// install applies what is Telltale's in a cluster when it runs outside of it,
// with the webhook's address instead of the default one.
func (s *stack) install(ctx context.Context, webhook string) error {
	url := fmt.Sprintf(`[{"op": "replace", "path": "/webhooks/0/clientConfig/url",
		"value": "https://localhost:%s/mutate--v1-pod"}]`, port(webhook))
	for _, args := range [][]string{
		{"apply", "--kustomize=config/overlays/local"},
		{"wait", "--for=condition=Established", "--timeout=30s", "crds", "--all"},
		{"patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch=" + url},
	} {
		if _, err := s.plane.Kubectl(ctx, args...); err != nil {
			return err
		}
	}

	return nil
}

// startTelltale starts the binary and waits until it is ready and the API
// server has its CA.
func (s *stack) startTelltale(ctx context.Context, webhook string) error {
	health, err := controlplane.FreeAddress()
	if err != nil {
		return err
	}
	if s.metrics, err = controlplane.FreeAddress(); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join("bin", "telltale"),
		"--kubeconfig="+s.plane.KubeconfigPath,
		"--webhook-port="+port(webhook),
		"--health-probe-bind-address="+health,
		"--metrics-bind-address="+s.metrics,
		"--dns-names=localhost",
	)
	if s.telltale, err = child.Start(cmd, filepath.Join(s.logs, "telltale.log")); err != nil {
		return err
	}
	if err := s.telltale.WaitUntil(ctx, readyTimeout, ready("http://"+health+"/readyz?verbose")); err != nil {
		return err
	}

	return s.telltale.WaitUntil(ctx, readyTimeout, s.registered)
}

// ready is a condition: the URL answers 200.
func ready(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s\n%s", response.Status, body)
		}

		return err
	}
}

// registered is a condition: the API server was told whom to trust.
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
	s.telltale.Stop(stopTimeout)

	return errors.Join(s.plane.Stop(), os.RemoveAll(s.logs))
}

// port is that of an address of our own making.
func port(address string) string {
	_, port, _ := net.SplitHostPort(address)

	return port
}
