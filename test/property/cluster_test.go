//go:build apiserver

package property

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
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// cluster is a real control plane with all of Telltale's objects and, once it
// was launched, Telltale.
type cluster struct {
	*controlplane.ControlPlane

	api                             rest.Interface
	dir, binary, kubeconfig         string
	webhookPort, metricsURL, health string
	telltale                        *child.Process
}

func startCluster(t *testing.T) *cluster {
	t.Helper()

	cp, err := controlplane.Start(t.Context(), controlplane.Options{
		ControllerManagerFlags: []string{"--controllers=serviceaccount-controller", "--concurrent-serviceaccount-token-syncs=5"},
	})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})

	dir := t.TempDir()
	c := &cluster{ControlPlane: cp, dir: dir, binary: filepath.Join(dir, "telltale"), kubeconfig: filepath.Join(dir, "kubeconfig")}

	build := exec.CommandContext(t.Context(), "go", "build", "-o", c.binary, "../../cmd/telltale")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	config := rest.CopyConfig(cp.Config)
	config.WarningHandlerWithContext = collector{}

	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}

	c.api = client.CoreV1().RESTClient()
	c.install(t)

	return c
}

// install applies what config/ has, with the webhook on a port of this machine.
func (c *cluster) install(t *testing.T) {
	t.Helper()

	c.webhookPort = port(t)
	config := filepath.Join("..", "..", "config")

	for _, args := range [][]string{
		{"apply", "-k", filepath.Join(config, "overlays", "local")},
		{"apply", "-k", filepath.Join(config, "rbac")},
		{"apply", "-k", filepath.Join(config, "authority")},
		{"wait", "--for=condition=Established", "crds", "--all"},
		{
			"patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch",
			`[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://localhost:` + c.webhookPort + `/mutate--v1-pod"},
			  {"op":"replace","path":"/webhooks/0/timeoutSeconds","value":30}]`,
		},
	} {
		if _, err := c.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
}

// launch starts Telltale, with the rights of config/ and no others, and waits
// until it is ready: then it knows all Injections and namespaces that there are.
func (c *cluster) launch(t *testing.T) {
	t.Helper()

	serviceAccount := c.User("system:serviceaccount:telltale-system:telltale",
		"system:serviceaccounts", "system:serviceaccounts:telltale-system", "system:authenticated")
	if err := controlplane.WriteKubeconfig(c.kubeconfig, serviceAccount); err != nil {
		t.Fatal(err)
	}

	metrics := "127.0.0.1:" + port(t)
	c.metricsURL, c.health = "http://"+metrics+"/metrics", "127.0.0.1:"+port(t)

	var err error
	if c.telltale, err = child.Start(exec.Command(c.binary,
		"--kubeconfig="+c.kubeconfig, "--dns-names=localhost", "--webhook-port="+c.webhookPort,
		"--metrics-bind-address="+metrics, "--health-probe-bind-address="+c.health,
	), filepath.Join(c.dir, "telltale.log")); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		c.telltale.Stop(30 * time.Second)

		if t.Failed() {
			t.Logf("the end of Telltale's log:\n%s", c.telltale.Tail())
		}
	})

	if err := c.telltale.WaitUntil(t.Context(), patience, func(ctx context.Context) error {
		_, err := get(ctx, "http://"+c.health+"/readyz")

		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// metric sums up a counter of Telltale's, of one label value where one is given.
func (c *cluster) metric(t *testing.T, name string, label ...string) (sum int) {
	t.Helper()

	body, err := get(t.Context(), c.metricsURL)
	if err != nil {
		t.Fatal(err)
	}

	parser := expfmt.NewTextParser(model.UTF8Validation)

	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}

	for _, m := range families[name].GetMetric() {
		has := len(label) == 0
		for _, l := range m.GetLabel() {
			has = has || l.GetValue() == label[0]
		}

		if has {
			sum += int(m.GetCounter().GetValue())
		}
	}

	return sum
}

// failedOpen tells how often the API server did without us.
func (c *cluster) failedOpen(t *testing.T) (lines []string) {
	t.Helper()

	body, err := c.api.Get().AbsPath("/metrics").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}

	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "apiserver_admission_webhook_fail_open_count") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}

	return lines
}

// answer is what the API server said to a pod.
type answer struct {
	raw      []byte
	err      error
	warnings []string
}

// create asks for one object, as a dry run or not.
func (c *cluster) create(ctx context.Context, path string, raw []byte, dryRun bool) answer {
	var heard warnings

	request := c.api.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(raw)
	if dryRun {
		request.Param("dryRun", metav1.DryRunAll)
	}

	result := request.Do(context.WithValue(ctx, warningsKey{}, &heard))
	if err := result.Error(); err != nil {
		return answer{err: err, warnings: heard.list}
	}

	created, err := result.Raw()

	return answer{created, err, heard.list}
}

type (
	collector   struct{}
	warningsKey struct{}
	warnings    struct {
		sync.Mutex

		list []string
	}
)

// HandleWarningHeaderWithContext keeps a warning beside the answer it came with.
func (collector) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if w, ok := ctx.Value(warningsKey{}).(*warnings); ok {
		w.Lock()
		defer w.Unlock()

		w.list = append(w.list, text)
	}
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

func port(t *testing.T) string {
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
