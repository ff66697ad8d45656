package trial

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

// BenchmarkThousand tests 1,000 workloads with 100 Injections: at most 2 s of CPU
// (cpu-s/op, of the whole process).
func BenchmarkThousand(b *testing.B) {
	var all strings.Builder

	for i := range 100 {
		fmt.Fprintf(&all, `---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: in-%d, namespace: shop}
spec:
  selector: {matchLabels: {app: app-%d}}
  env: [{name: A, value: a}]
  initContainers: [{name: wait, image: x}]
`, i, i)
	}

	for i := range 1000 {
		fmt.Fprintf(&all, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-%d, namespace: shop}
spec:
  selector: {matchLabels: {app: app-%d}}
  template:
    metadata: {labels: {app: app-%d}}
    spec: {containers: [{name: app, image: x}]}
`, i, i%100, i%100)
	}

	file := filepath.Join(b.TempDir(), "all.yaml")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		b.Fatal(err)
	}

	before := cpu(b)

	for b.Loop() {
		streams, _, out, _ := genericiooptions.NewTestIOStreams()
		o := options{Options: cli.New(streams), strict: true, labels: []string{"shop:"}, output: &cli.Output{}}
		o.files.Filenames = []string{file}

		if err := o.run(b.Context()); err != nil || !strings.Contains(out.String(), "1000 passed") {
			b.Fatalf("%v: %s", err, out)
		}
	}

	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

// cpu returns what this process has used, user and system.
func cpu(b *testing.B) time.Duration {
	b.Helper()

	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}

	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
