// Command dev runs Telltale on a real control plane, which it starts, on
// loopback.
//
//	dev up       until Ctrl-C; prints how to try it
//	dev observe  the same, with Prometheus, Alertmanager, a Collector and VictoriaLogs
//	dev demo     with the samples; shows the results, and ends
//
// It is for `make dev` and `make demo`: it runs in the root of the tree, needs
// bin/telltale, $KUBEBUILDER_ASSETS (package controlplane) and, for observe, the
// folders that package backends names, and leaves nothing running and no file behind. Its own steps go to standard error, with
// the seconds since its start. Output for a user goes to standard output.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	command := ""
	if len(args) == 1 {
		command = args[0]
	}
	then, known := map[string]func(*stack, context.Context) error{
		"up":      (*stack).stay,
		"observe": (*stack).stay,
		"demo":    (*stack).demo,
	}[command]
	if !known {
		return errors.New("usage: dev up|observe|demo")
	}

	s := &stack{start: time.Now(), observed: command == "observe"}
	if err := s.up(ctx); err != nil {
		return errors.Join(err, s.down())
	}

	return errors.Join(then(s, ctx), s.down())
}
