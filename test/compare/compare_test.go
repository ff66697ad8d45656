//go:build apiserver

package compare

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// program is the file of the real program.
var program string

func TestMain(m *testing.M) {
	os.Exit(harness.WithProgram(func(file string) int {
		program = file

		return m.Run()
	}))
}

const folder = "../../docs/compare"

// TestNeeds applies each manifest, and looks at pods that the API server would make.
// Then it deletes the manifest, and the next pods are as they were before.
func TestNeeds(t *testing.T) {
	cp := start(t)

	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	for _, n := range needs() {
		for _, kind := range []string{"injection", "policy"} {
			file := filepath.Join(folder, n.name+"."+kind+".yaml")
			if at := slices.Index(files, file); at >= 0 {
				files = slices.Delete(files, at, at+1)

				t.Run(n.name+"/"+kind, func(t *testing.T) { n.isMet(t, cp, file) }) // one after the other: all are about the same pods
			}
		}
	}

	if len(files) > 0 {
		t.Errorf("no need has these files: %v", files)
	}
}

// start runs a control plane and Telltale. The API server asks it about pods of the
// namespace shop.
func start(t *testing.T) *controlplane.ControlPlane {
	t.Helper()

	cp := harness.ControlPlane(t, controlplane.Options{ControllerManagerFlags: []string{"--controllers=serviceaccount-controller"}})
	if err := telltale.Install(t.Context(), cp, "../../config"); err != nil {
		t.Fatal(err)
	}

	r := harness.Replica(t, telltale.Options{
		Program: program, Config: telltale.ServiceAccount(cp), Dir: t.TempDir(),
		Flags: []string{"--webhook-timeout=30s", "--canary-interval=0"},
	})

	if err := telltale.Register(t.Context(), cp, r.Port, telltale.Patient); err != nil {
		t.Fatal(err)
	}

	harness.Start(t, r)
	harness.WaitReady(t, r)
	harness.Kubectl(t, cp, "create", "namespace", "shop")
	harness.Eventually(t, "the service account", func(ctx context.Context) error {
		_, err := cp.Kubectl(ctx, "get", "serviceaccount", "default", "-n", "shop")

		return err
	})

	return cp
}

// isMet applies a manifest, and deletes it. Both are known a little later.
func (n need) isMet(t *testing.T, cp *controlplane.ControlPlane, file string) {
	t.Helper()

	if n.before != "" {
		harness.Kubectl(t, cp, "apply", "-f", harness.File(t, n.before))
	}

	harness.Kubectl(t, cp, "apply", "-f", file)
	n.gets(t, cp, n.want)
	harness.Kubectl(t, cp, "delete", "-f", file)
	n.gets(t, cp, nil)
}

// revision is the part of a record that changes with an Injection.
var revision = regexp.MustCompile(`@[0-9a-f]{8}`)

// gets waits until the pods are as they should be; the first one as it is without any
// manifest, if there are none of these.
func (n need) gets(t *testing.T, cp *controlplane.ControlPlane, want []string) {
	t.Helper()

	pods := n.pods
	if want == nil {
		pods, want = pods[:1], []string{n.none}
	}

	for i, pod := range pods {
		file := harness.File(t, `{apiVersion: v1, kind: Pod, `+strings.Replace(pod, "metadata: {", "metadata: {name: checkout, namespace: shop, ", 1)+`}`)

		harness.Eventually(t, fmt.Sprintf("pod %d", i), func(ctx context.Context) error {
			got, err := cp.Kubectl(ctx, "create", "--dry-run=server", "-f", file, "-o", "jsonpath="+n.path)
			if got = revision.ReplaceAllString(got, ""); err == nil && strings.TrimSpace(got) != strings.TrimSpace(want[i]) {
				err = fmt.Errorf("it has %q, want %q", got, want[i])
			}

			return err
		})
	}
}
