//go:build apiserver

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

// patience bounds every wait of these tests.
const patience = 90 * time.Second

// cluster is a real control plane with all of Telltale's objects but Telltale,
// and binary the real program.
type cluster struct {
	*controlplane.ControlPlane

	binary     string
	kubeconfig string // of Telltale's service account, with the rights of config/ and no others
	dir        string
}

// startCluster makes one for a test. The binary has the race detector if the
// test has.
func startCluster(t *testing.T) *cluster {
	t.Helper()

	cp, err := controlplane.Start(t.Context(), controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})

	dir := t.TempDir()
	c := &cluster{
		ControlPlane: cp, dir: dir,
		binary: filepath.Join(dir, "telltale"), kubeconfig: filepath.Join(dir, "kubeconfig"),
	}

	build := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, raceFlag()...), "-o", c.binary, ".")...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	serviceAccount := cp.User("system:serviceaccount:telltale-system:telltale",
		"system:serviceaccounts", "system:serviceaccounts:telltale-system", "system:authenticated")
	if err := controlplane.WriteKubeconfig(c.kubeconfig, serviceAccount); err != nil {
		t.Fatal(err)
	}

	return c
}

// install applies what is in the cluster, with the webhook on a port.
func (c *cluster) install(t *testing.T, port string) {
	t.Helper()

	config := filepath.Join("..", "..", "config")
	c.kubectl(t, "apply", "-k", filepath.Join(config, "overlays", "local"))
	c.kubectl(t, "apply", "-k", filepath.Join(config, "rbac"))
	c.kubectl(t, "apply", "-k", filepath.Join(config, "authority"))
	c.kubectl(t, "wait", "--for=condition=Established", "crds", "--all")
	c.kubectl(t, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch",
		`[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://localhost:`+port+`/mutate--v1-pod"}]`)
	c.kubectl(t, "create", "namespace", "shop")
}

func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()

	out, err := c.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

// apply applies YAML.
func (c *cluster) apply(t *testing.T, manifests string) {
	t.Helper()
	c.kubectl(t, "apply", "-f", c.write(t, manifests))
}

// write returns a file that holds YAML.
func (c *cluster) write(t *testing.T, manifests string) string {
	t.Helper()

	file := filepath.Join(c.dir, "manifests.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}

	return file
}

// eventually waits for a condition, and says what it last saw if it never
// comes.
func eventually(t *testing.T, what string, condition func(context.Context) error) {
	t.Helper()

	var last error

	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true,
		func(ctx context.Context) (bool, error) {
			last = condition(ctx)

			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%s: %v", what, last)
	}
}

// output waits until a kubectl command prints something.
func (c *cluster) output(t *testing.T, want string, args ...string) {
	t.Helper()
	eventually(t, "kubectl "+strings.Join(args, " "), func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, args...)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("want %q in:\n%s", want, out)
		}

		return err
	})
}

// telltale is the running program.
type telltale struct {
	*child.Process

	port, metrics, health string
}

// launch starts the program.
func (c *cluster) launch(t *testing.T, kubeconfig, port string, flags ...string) *telltale {
	t.Helper()

	p := &telltale{port: port, metrics: "127.0.0.1:" + freePort(t), health: "127.0.0.1:" + freePort(t)}
	cmd := exec.Command(c.binary, append([]string{
		"--kubeconfig=" + kubeconfig, "--dns-names=localhost", "--webhook-port=" + port,
		"--metrics-bind-address=" + p.metrics, "--health-probe-bind-address=" + p.health,
	}, flags...)...)

	var err error
	if p.Process, err = child.Start(cmd, filepath.Join(c.dir, "telltale-"+port+".log")); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		p.Stop(30 * time.Second)

		if t.Failed() {
			t.Logf("the end of Telltale's log:\n%s", p.Tail())
		}
	})

	return p
}

func (p *telltale) waitReady(t *testing.T) {
	t.Helper()

	if err := p.WaitUntil(t.Context(), patience, func(ctx context.Context) error {
		_, err := get(ctx, "http://"+p.health+"/readyz")

		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// metric returns the sum of a metric's values, of those with a label where one
// is given.
func (p *telltale) metric(ctx context.Context, name string, label ...string) (float64, error) {
	body, err := get(ctx, "http://"+p.metrics+"/metrics")
	if err != nil {
		return 0, err
	}

	parser := expfmt.NewTextParser(model.UTF8Validation)

	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return 0, err
	}

	family, ok := families[name]
	if !ok {
		return 0, fmt.Errorf("no metric %s", name)
	}

	sum := 0.0

	for _, m := range family.GetMetric() {
		has := len(label) == 0
		for _, l := range m.GetLabel() {
			has = has || l.GetValue() == label[0]
		}

		if has {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}

	return sum, nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}

	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}

	var body bytes.Buffer

	_, err = body.ReadFrom(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body.String())
	}

	return body.Bytes(), errors.Join(err, response.Body.Close())
}

func freePort(t *testing.T) string {
	t.Helper()

	address, err := controlplane.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}

	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}

	return port
}
