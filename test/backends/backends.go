// Package backends runs the real backends that people have beside Telltale: VictoriaLogs,
// an OpenTelemetry Collector, Prometheus and Alertmanager, as folders of hack/ build them.
//
//	store, err := backends.LaunchStore(ctx, dir) // for tools of hack/: it runs until Kill
//	store := backends.StartStore(t)              // for tests: it ends with the test
//
// Its tests have a build tag. The product never imports it.
package backends

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/telltale"
)

// A program is in the folder that an env var names. A script of hack/ has built it.
const (
	backendsFolder     = "TELLTALE_BACKENDS"
	prometheusFolder   = "TELLTALE_PROMETHEUS"
	alertmanagerFolder = "TELLTALE_ALERTMANAGER"
	exportersFolder    = "TELLTALE_EXPORTERS"
)

// program returns the file of a program.
func program(folder, name string) (string, error) {
	dir := os.Getenv(folder)
	if dir == "" {
		return "", fmt.Errorf("set %s, as make observe does", folder)
	}

	return filepath.Join(dir, name), nil
}

// serve starts a program, and waits until a URL of it answers. Its log is in a folder.
func serve(ctx context.Context, dir, url, folder, name string, args ...string) (*child.Process, error) {
	file, err := program(folder, name)
	if err != nil {
		return nil, err
	}
	process, err := child.Start(exec.Command(file, args...), filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	if err := process.WaitUntil(ctx, child.Patience, func(ctx context.Context) error {
		_, err := telltale.Get(ctx, url)

		return err
	}); err != nil {
		process.Kill()

		return nil, err
	}

	return process, nil
}

// endWith ends a process with the test. A test that fails prints the end of its log.
func endWith(t *testing.T, process *child.Process, name string) {
	t.Helper()
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, process.Tail())
		}
	})
}

// write writes a file into a folder, and returns its path.
func write(dir, name, content string) (string, error) {
	file := filepath.Join(dir, name)

	return file, os.WriteFile(file, []byte(content), 0o600)
}
