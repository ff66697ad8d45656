package main

import (
	"context"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestExecute checks the rim: names, exit codes, and on which stream a text is.
func TestExecute(t *testing.T) {
	for name, tc := range map[string]struct {
		reason         string
		args           []string
		code           int
		stdout, stderr string
	}{
		"Version": {
			reason: "Usage texts name the command as its users type it.",
			args:   []string{"/usr/local/bin/kubectl-telltale", "version"}, stdout: "kubectl telltale dev\n",
		},
		"Help": {
			reason: "Help was asked for, so it is no error, and it says what exit codes mean.",
			args:   []string{"kubectl-telltale", "--help"}, stdout: "Exit codes: 0, all is well.",
		},
		"UnknownCommand": {
			reason: "A script must not take a misspelt command for good news.",
			args:   []string{"kubectl-telltale", "explian"}, code: 2, stderr: `error: unknown command "explian" for "kubectl telltale"`,
		},
		"UnknownFlag": {
			reason: "The error says where the flags are listed.",
			args:   []string{"kubectl-telltale", "version", "--nope"}, code: 2, stderr: "See kubectl telltale version --help\n",
		},
		"Completion": {
			reason: "kubectl asks a command of this name, with the arguments alone.",
			args:   []string{"/bin/kubectl_complete-telltale", "vers"}, stdout: "version\tPrint the version of this plugin\n:4\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, stdout, stderr := genericiooptions.NewTestIOStreams()
			if code := execute(context.Background(), tc.args, streams); code != tc.code {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, tc.reason)
			}

			if !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("%s\nstdout: %s\nstderr: %s", tc.reason, stdout, stderr)
			}

			if tc.stderr == "" && stderr.Len() > 0 && name != "Completion" {
				t.Errorf("stderr: %s", stderr)
			}
		})
	}
}
