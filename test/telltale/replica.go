package telltale

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

// Options say how a replica runs.
type Options struct {
	// Program is the file to run.
	Program string
	// Config is its connection to the API server.
	Config *rest.Config
	// Dir is the folder of its log and its kubeconfig.
	Dir string
	// Port is the webhook's. Default: a free one.
	Port string
	// Flags are added to ours.
	Flags []string
}

// Replica is a Telltale with addresses of its own. It keeps them when its
// process is replaced.
type Replica struct {
	// Process is nil until Start.
	*child.Process

	Port            string // of the webhook, on localhost
	Metrics, Health string // addresses
	Log             string // file

	// Env is added to the environment of the next process.
	Env []string

	program string
	args    []string
}

// New returns a replica that is not started.
func New(o Options) (*Replica, error) {
	var free [3]string
	for i := range free {
		var err error
		if free[i], err = controlplane.FreePort(); err != nil {
			return nil, err
		}
	}
	if o.Port == "" {
		o.Port = free[0]
	}
	r := &Replica{
		Port: o.Port, Metrics: "127.0.0.1:" + free[1], Health: "127.0.0.1:" + free[2],
		Log: filepath.Join(o.Dir, "telltale-"+o.Port+".log"), program: o.Program,
	}
	kubeconfig := filepath.Join(o.Dir, "telltale-"+o.Port+".kubeconfig")
	r.args = append([]string{
		"--kubeconfig=" + kubeconfig, "--dns-names=localhost", "--webhook-port=" + r.Port,
		"--metrics-bind-address=" + r.Metrics, "--health-probe-bind-address=" + r.Health,
	}, o.Flags...)

	return r, controlplane.WriteKubeconfig(kubeconfig, o.Config)
}

// Start starts a process. The one before must have ended.
func (r *Replica) Start() (err error) {
	cmd := exec.Command(r.program, r.args...)
	cmd.Env = append(os.Environ(), r.Env...)
	r.Process, err = child.Start(cmd, r.Log)

	return err
}

// Ready is an error unless /readyz says that it is ready. Then it knows all
// Injections and namespaces.
func (r *Replica) Ready(ctx context.Context) error {
	_, err := Get(ctx, "http://"+r.Health+"/readyz?verbose")

	return err
}

// Metric returns the sum of a metric's values. If a label value is given, only
// those with it count.
func (r *Replica) Metric(ctx context.Context, name string, label ...string) (sum float64, err error) {
	body, err := Get(ctx, "http://"+r.Metrics+"/metrics")
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

// Get returns the body of a URL's answer. A status other than 200 is an error.
func Get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
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
