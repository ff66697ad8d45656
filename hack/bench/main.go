// Command bench measures the cost of Telltale, beside servers that do less and
// servers that do the same, on one machine in one run. It prints tables in
// Markdown. docs/bench.md explains each row.
//
//	bench            about six minutes on two cores
//	bench -quick     a minute, to see that it works: its figures are rough
//	bench -full      a million admissions, and longer rounds
//
// It is for `make bench`: it runs in the root of the tree, needs bin/telltale
// and $KUBEBUILDER_ASSETS (package controlplane), and leaves nothing running
// and no file behind. It is written for Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

const usage = `Measures what Telltale costs and prints it as Markdown. The exit code is 1 where
something could not be measured. A row that is missed is shown as MISSED, and is
no error.

Usage: bench [flags]

Sections, for -only:
  cost     server CPU, throughput and latency of each candidate, asked directly
  pods     latency of pod creation through the API server
  crowd    10,000 Injections and 1,000 ClusterInjections; edits; 100 on one pod
  memory   resident memory, its growth, the start, and the size of the program

Flags:
`

// options are the settings of the command line.
type options struct {
	telltale string
	only     []string
	form
}

// form is how much a run measures.
type form struct {
	rounds      int
	round       time.Duration // how long a candidate is asked before the next one
	pods        int           // created through each candidate
	namespaces  int           // with 10 Injections each, and a ClusterInjection
	edits       int
	admissions  int // memory must not grow with these
	deployments int // each with a ReplicaSet and a pod; memory must not grow with them
	starts      int
}

func quick() form {
	return form{
		rounds: 3, round: 100 * time.Millisecond, pods: 30, namespaces: 100,
		edits: 10, admissions: 5_000, deployments: 100, starts: 1,
	}
}

func normal() form {
	return form{
		rounds: 20, round: 250 * time.Millisecond, pods: 400, namespaces: 1_000,
		edits: 50, admissions: 100_000, deployments: 1_000, starts: 3,
	}
}

func full() form {
	return form{
		rounds: 60, round: 500 * time.Millisecond, pods: 1_000, namespaces: 1_000,
		edits: 200, admissions: 1_000_000, deployments: 3_000, starts: 5,
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(logr.Discard())
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx, args[1:])
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	b := &bench{options: o, start: time.Now(), out: os.Stdout}

	return errors.Join(b.run(ctx), b.stop())
}

func parse(args []string) (options, error) {
	var (
		o             = options{form: normal()}
		isQuick, long bool
		only          string
		f             = flag.NewFlagSet("bench", flag.ContinueOnError)
	)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	f.BoolVar(&isQuick, "quick", false, "measure little, to see that it works")
	f.BoolVar(&long, "full", false, "measure more, and a million admissions for memory (a quarter of an hour)")
	f.StringVar(&only, "only", strings.Join(sectionNames(), ","), "sections to measure")
	f.StringVar(&o.telltale, "telltale", "bin/telltale", "the program to measure")
	rounds := f.Int("rounds", 0, "rounds in which the candidates take turns; 0: as many as the form has")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if isQuick {
		o.form = quick()
	}
	if long {
		o.form = full()
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	o.only = strings.Split(only, ",")
	for _, name := range o.only {
		if !slices.Contains(sectionNames(), name) {
			return o, fmt.Errorf("no section is called %q; there are %s", name, strings.Join(sectionNames(), ", "))
		}
	}

	return o, nil
}

func sectionNames() []string { return []string{"cost", "pods", "crowd", "memory"} }
