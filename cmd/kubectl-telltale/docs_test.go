package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestManPages holds that a terminal does not wrap the lines of tables and of YAML
// (between .EX and .EE), and that the pages say nothing of the machine that made them.
func TestManPages(t *testing.T) {
	home, folder := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)

	streams, _, _, stderr := genericiooptions.NewTestIOStreams()
	if code := execute(t.Context(), []string{"kubectl-telltale", "docs", "--man", folder}, streams); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}

	for file, line := range map[string]string{
		"kubectl-telltale.1":          "\nExit codes: 0, all is well.",
		"kubectl-telltale-test.1":     "\n.EX\n  apiVersion: telltale.dev/v1alpha1\n",
		"kubectl-telltale-failures.1": "\n.EX\n  COUNT     how many pods",
		"kubectl-telltale-retry.1":    "\n.EX\n  kubectl rollout restart deployment/checkout -n shop\n.EE\n",
	} {
		page, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}

		if !strings.Contains(string(page), line) {
			t.Errorf("%s has no %q:\n%s", file, line, page)
		}

		if strings.Contains(string(page), home) {
			t.Errorf("%s names the folder of the user who made it", file)
		}
	}
}
