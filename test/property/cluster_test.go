//go:build apiserver

package property

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
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

// cluster is a real control plane with all of Telltale's objects, and a Telltale
// that is not started yet.
type cluster struct {
	*controlplane.ControlPlane

	api      rest.Interface
	telltale *telltale.Replica
}

func startCluster(t *testing.T) *cluster {
	t.Helper()

	cp := harness.ControlPlane(t, controlplane.Options{
		ControllerManagerFlags: []string{"--controllers=serviceaccount-controller,resourcequota-controller,replicaset-controller", "--concurrent-serviceaccount-token-syncs=5", "--kube-api-qps=200", "--kube-api-burst=200"},
	})
	c := &cluster{ControlPlane: cp}
	c.telltale = harness.Replica(t, telltale.Options{
		Program: program, Config: telltale.ServiceAccount(cp), Dir: t.TempDir(),
		Flags: []string{"--webhook-timeout=30s", "--canary-interval=0"}, // all reviews are counted
	})

	config := rest.CopyConfig(cp.Config)
	config.WarningHandlerWithContext = collector{}

	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}

	c.api = client.CoreV1().RESTClient()

	if err := telltale.Install(t.Context(), cp, "../../config"); err != nil {
		t.Fatal(err)
	}

	if err := telltale.Register(t.Context(), cp, c.telltale.Port, telltale.Patient); err != nil {
		t.Fatal(err)
	}

	return c
}

// metric sums up a counter of Telltale's. If a label value is given, only that one
// counts.
func (c *cluster) metric(t *testing.T, name string, label ...string) int {
	t.Helper()

	sum, err := c.telltale.Metric(t.Context(), name, label...)
	if err != nil {
		t.Fatal(err)
	}

	return int(sum)
}

// failedOpen tells how often the API server let a pod pass without our answer.
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

// answer is the API server's answer to a pod.
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

// waitForQuotas waits until the API server holds pods to every quota: before,
// it refuses them.
func (c *cluster) waitForQuotas(t *testing.T) {
	t.Helper()

	harness.Eventually(t, "the quotas' status", func(ctx context.Context) error {
		var list corev1.ResourceQuotaList
		if err := c.api.Get().Resource("resourcequotas").Do(ctx).Into(&list); err != nil {
			return err
		}

		for _, q := range list.Items {
			if len(q.Status.Hard) != len(q.Spec.Hard) {
				return fmt.Errorf("%s/%s has none", q.Namespace, q.Name)
			}
		}

		return nil
	})
}

// waitForChecks waits until the API server was asked about every Injection, ten a
// second, and until Telltale has heard of its own status.
func (c *cluster) waitForChecks(t *testing.T) {
	t.Helper()

	const heard = 2 * time.Second

	harness.Within(t, 10*time.Minute, "the API server's answers", func(ctx context.Context) error {
		for _, kind := range []string{"injections", "clusterinjections"} {
			raw, err := c.api.Get().AbsPath("/apis/telltale.dev/v1alpha1/" + kind).Do(ctx).Raw()
			if err != nil {
				return err
			}

			var list v1alpha1.InjectionList
			if err := json.Unmarshal(raw, &list); err != nil {
				return err
			}

			for _, in := range list.Items {
				ready := meta.FindStatusCondition(in.Status.Conditions, v1alpha1.ReadyCondition)

				switch check := in.Status.ServerCheck; {
				case ready == nil:
					return fmt.Errorf("%s %s/%s has no status", kind, in.Namespace, in.Name)
				case check == nil && ready.Status == metav1.ConditionTrue:
					return fmt.Errorf("%s %s/%s was not asked about", kind, in.Namespace, in.Name)
				case check != nil && time.Since(check.Time.Time) < heard:
					return fmt.Errorf("%s %s/%s was asked about just now", kind, in.Namespace, in.Name)
				}
			}
		}

		return nil
	})
}

type (
	collector   struct{}
	warningsKey struct{}
	warnings    struct {
		sync.Mutex

		list []string
	}
)

// HandleWarningHeaderWithContext keeps a warning with its answer.
func (collector) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if w, ok := ctx.Value(warningsKey{}).(*warnings); ok {
		w.Lock()
		defer w.Unlock()

		w.list = append(w.list, text)
	}
}
