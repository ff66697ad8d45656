//go:build apiserver

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// shared is the control plane of all sessions, and program is the webhook.
var (
	shared  *controlplane.ControlPlane
	program string
)

// whole runs the tests of the package.
type whole struct{ *testing.M }

// Run starts a control plane and builds the webhook first.
func (w whole) Run() int {
	return harness.WithProgram(func(file string) int {
		program = file

		return harness.WithControlPlane(controlplane.Options{}, func(cp *controlplane.ControlPlane) int {
			shared = cp

			return w.M.Run()
		})
	})
}

// TestMain lets the sessions call this program by its names.
func TestMain(m *testing.M) {
	testscript.Main(whole{m}, map[string]func(){"kubectl-telltale": main, "kubectl_complete-telltale": main})
}

// TestCluster runs the sessions with a real API server and a real Telltale, and some
// of them through a real kubectl. Each has a namespace of its own. Some come before
// Telltale is installed, and some once it does not work any more.
func TestCluster(t *testing.T) {
	r := harness.Replica(t, telltale.Options{
		Program: program, Config: telltale.ServiceAccount(shared), Dir: t.TempDir(),
		Flags: []string{"--stuck-after=1s", "--withdraw-after=3s", "--canary-interval=2s"},
	})

	sessions(t, "before")

	if err := telltale.Install(t.Context(), shared, "../../config"); err != nil {
		t.Fatal(err)
	}

	if err := telltale.Register(t.Context(), shared, r.Port); err != nil {
		t.Fatal(err)
	}

	harness.Start(t, r)
	harness.WaitReady(t, r)
	harness.Eventually(t, "caBundle", func(ctx context.Context) error {
		out, err := shared.Kubectl(ctx, "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
		if err == nil && out == "" {
			err = errors.New("it is empty")
		}

		return err
	})

	sessions(t, "cluster")
	sessions(t, "broken")
}

// sessions runs those of a folder. It returns when all have ended.
func sessions(t *testing.T, folder string) {
	t.Helper()

	cmds := commands()
	cmds["prints"] = prints

	t.Run(folder, func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "testdata/" + folder, UpdateScripts: *update, Cmds: cmds, RequireExplicitExec: true, RequireUniqueNames: true,
			Setup: func(e *testscript.Env) error {
				e.Setenv("HOME", e.WorkDir)
				e.Setenv("KUBECONFIG", shared.KubeconfigPath)
				e.Setenv("CONFIG", mustAbs("../../config"))
				e.Setenv("PATH", os.Getenv("KUBEBUILDER_ASSETS")+string(filepath.ListSeparator)+e.Getenv("PATH"))

				return nil
			},
		})
	})
}

func mustAbs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}

	return abs
}

// prints waits until what a command prints matches an expression: prints EXPRESSION
// COMMAND...
func prints(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		s.Fatalf("usage: prints EXPRESSION COMMAND...")
	}

	want := regexp.MustCompile(args[0])

	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		err := s.Exec(args[1], args[2:]...)
		if out := s.ReadFile("stdout") + s.ReadFile("stderr"); err == nil && want.MatchString(out) {
			return
		} else if time.Since(start) > harness.Patience {
			s.Fatalf("%v: want %q in:\n%s", err, args[0], out)
		}
	}
}
