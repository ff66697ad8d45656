//go:build audit

package audit

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/telltale-dev/telltale/test/harness"
)

var (
	size = flag.Int("pods", 10_000, "measure with so many running pods")
	kwok = flag.String("kwok", "", "the folder that hack/kwok/build prints")
	seed = flag.Uint64("seed", 0, "of the churn; 0 draws one")
	// program is the file of the real program.
	program string
)

func TestMain(m *testing.M) {
	if kubeconfig := os.Getenv(watcher); kubeconfig != "" {
		fmt.Fprintln(os.Stderr, watchBare(kubeconfig))
		os.Exit(1)
	}
	flag.Parse()
	log.SetLogger(logr.Discard()) // controller-runtime asks for one
	os.Exit(harness.WithProgram(func(file string) int {
		program = file
		code := m.Run()
		table.print(os.Stdout)

		return code
	}))
}
