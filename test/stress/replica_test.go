//go:build apiserver

package stress

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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

// replica is one Telltale at an address, which is kept when its process is
// replaced.
type replica struct {
	process               *child.Process
	port, metrics, health string
	kubeconfig, log       string
	flags                 []string
	up                    atomic.Bool // may be sent reviews, as an endpoint of a Service may
	peak                  int64       // bytes, of all its processes so far
}

func newReplica(t *testing.T, dir, kubeconfig string, flags ...string) *replica {
	t.Helper()
	port := freePort(t)
	r := &replica{
		port: port, metrics: "127.0.0.1:" + freePort(t), health: "127.0.0.1:" + freePort(t),
		kubeconfig: kubeconfig, log: filepath.Join(dir, "telltale-"+port+".log"), flags: flags,
	}
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Logf("the end of Telltale's log:\n%s", r.process.Tail())
		}
	})

	return r
}

// start starts a process and waits until it is ready.
func (r *replica) start(t *testing.T) {
	t.Helper()
	r.up.Store(false)
	var err error
	r.process, err = child.Start(exec.Command(binary, append([]string{
		"--kubeconfig=" + r.kubeconfig, "--dns-names=localhost", "--webhook-port=" + r.port,
		"--metrics-bind-address=" + r.metrics, "--health-probe-bind-address=" + r.health,
	}, r.flags...)...), r.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.process.WaitUntil(t.Context(), patience, r.ready); err != nil {
		t.Fatal(err)
	}
	r.up.Store(true)
}

// ready is an error unless /readyz says so.
func (r *replica) ready(ctx context.Context) error {
	_, err := get(ctx, "http://"+r.health+"/readyz")

	return err
}

// terminate asks the process to end, and waits for its end, which must be a good
// one and come within the grace period. It returns how long that took.
func (r *replica) terminate(t *testing.T, grace time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	r.measure()
	r.process.Signal(syscall.SIGTERM)
	select {
	case <-r.process.Done():
	case <-time.After(grace):
		t.Errorf("did not end within %v", grace)
	}
	took := time.Since(start)
	r.end()
	if state := r.process.State(); !state.Success() {
		t.Errorf("ended with %v, want exit code 0", state)
	}

	return took
}

// kill ends the process at once.
func (r *replica) kill() {
	r.measure()
	r.process.Kill()
}

// end ends the process, if it runs.
func (r *replica) end() {
	if r.process == nil || r.process.State() != nil {
		return
	}
	r.measure()
	r.process.Stop(30 * time.Second)
}

// measure notes how much memory the process ever had, as Linux tells
// (proc_pid_status(5)); elsewhere nothing is noted. What wait4(2) tells is no
// use: it counts the memory of whoever started the process, too.
func (r *replica) measure() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.PID()))
	if err != nil {
		return
	}
	for line := range bytes.Lines(status) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); n == 1 {
			r.peak = max(r.peak, kib<<10)
		}
	}
}

// says tells how many lines of the log have a text.
func (r *replica) says(t *testing.T, text string) (n int) {
	t.Helper()
	log, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}

	return n
}

// metric returns the sum of a metric's values, of those with a label where one
// is given.
func (r *replica) metric(ctx context.Context, name string, label ...string) (int64, error) {
	body, err := get(ctx, "http://"+r.metrics+"/metrics")
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

	return int64(sum), nil
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
