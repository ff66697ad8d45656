package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what the sessions print as what they want; read the diff")

// TestFiles runs the sessions that need no cluster. Each is a file: its commands, what
// they print, and their exit codes.
func TestFiles(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/files", UpdateScripts: *update, Cmds: commands(), RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("KUBECONFIG", e.WorkDir+"/none")

			return nil
		},
	})
}

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"exits": exits}
}

// exits runs a command that ends with an exit code: exits 1 kubectl-telltale test. It
// writes all output into the file out, without what differs from run to run.
func exits(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		s.Fatalf("usage: exits CODE COMMAND...")
	}

	code := 0

	if err := s.Exec(args[1], args[2:]...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			s.Fatalf("%v", err)
		}

		code = failed.ExitCode()
	}

	out := s.ReadFile("stdout") + s.ReadFile("stderr")
	s.Check(os.WriteFile(s.MkAbs("out"), []byte(steady(out)), 0o600))

	if want := args[0]; strconv.Itoa(code) != want {
		s.Fatalf("exit code %d, want %s:\n%s", code, want, out)
	}
}

// steady is an output without what differs from run to run.
func steady(out string) string {
	for _, r := range []struct{ what, stands string }{
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "TIME"},
		{`\d{4}-\d\d-\d\d`, "DATE"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "UID"},
		{`(checkout-)[0-9a-z]{8,10}(-[0-9a-z]{5})?\b`, "${1}HASH"},
		{`kube-api-access-[0-9a-z]{5}`, "kube-api-access-HASH"},
		{`(localhost|127\.0\.0\.1):\d+`, "HOST"},
		{`\(x\d+,`, "(xN,"},
	} {
		out = regexp.MustCompile(r.what).ReplaceAllString(out, r.stands)
	}

	return out
}
