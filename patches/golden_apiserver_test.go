//go:build apiserver

package patches

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// refusedAsItCame says why an API server refuses the pod or the namespace of a
// case by itself, in its own words.
func refusedAsItCame() map[string]string {
	return map[string]string{
		"LimitPodsOwnFault": "maximum memory usage per Container is 32Mi",
		"PodBrokenAnyway":   "a lowercase RFC 1123 label must consist of",
		"QuotaPodsOwnFault": "must specify limits.cpu",
		"SecurityMisspelt":  "must be one of privileged, baseline, restricted",
		"SecurityMended":    "violates PodSecurity",
		"SecurityPodsOwn":   "violates PodSecurity",
		"SecurityThere":     "violates PodSecurity",
		"UnknownFieldsDeep": "must specify one of: `fieldRef`",
	}
}

// TestGoldenOnServer holds each golden case against a real API server: a pod that
// it takes as it came is taken as wanted, too, and nothing is lost that was not
// lost before.
func TestGoldenOnServer(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	cp.Config.WarningHandlerWithContext = rest.NoWarnings{}

	client, err := kubernetes.NewForConfig(cp.Config)
	if err != nil {
		t.Fatal(err)
	}

	for _, dir := range goldenCases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c := readCase(t, dir)

			want, err := yaml.YAMLToJSON(read(t, dir, "want.yaml"))
			if err != nil {
				t.Fatal(err)
			}

			lostBefore := ""
			if err = c.legislate(t, client.CoreV1()); err == nil {
				lostBefore, err = c.dryRun(t, client.CoreV1(), c.pod)
			}

			if words := refusedAsItCame()[filepath.Base(dir)]; words != "" {
				if err == nil || !strings.Contains(err.Error(), words) {
					t.Errorf("the pod as it came: got error %v, want one with %q", err, words)
				}

				return
			}

			if err != nil {
				t.Fatal(err)
			}

			lost, err := c.dryRun(t, client.CoreV1(), want)
			if err != nil {
				t.Errorf("the pod is taken as it came, and refused as wanted: %v", err)
			}

			if lost != lostBefore {
				t.Errorf("the API server drops %q of the pod as wanted, and %q of it as it came", lost, lostBefore)
			}
		})
	}
}

// serverNamespace is where the API server is asked about a case.
func (c *goldenCase) serverNamespace() string {
	return "golden-" + strings.ToLower(filepath.Base(c.dir))
}

// legislate makes the case's namespace, with its limits and quotas in force. No
// controller writes the status of the quotas here.
func (c *goldenCase) legislate(t *testing.T, core corev1client.CoreV1Interface) error {
	t.Helper()

	name := c.serverNamespace()

	_, err := core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: c.ns.Labels}}, metav1.CreateOptions{})
	for _, l := range c.ns.Limits {
		if err == nil {
			l.Namespace = name
			_, err = core.LimitRanges(name).Create(t.Context(), l, metav1.CreateOptions{})
		}
	}

	for _, q := range c.ns.Quotas {
		if err == nil {
			q.Namespace = name
			q, err = core.ResourceQuotas(name).Create(t.Context(), q, metav1.CreateOptions{})
		}

		if err == nil {
			q.Status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: nothing(q.Spec.Hard)}
			_, err = core.ResourceQuotas(name).UpdateStatus(t.Context(), q, metav1.UpdateOptions{})
		}
	}

	return err
}

// nothing is zero of each resource.
func nothing(of corev1.ResourceList) corev1.ResourceList {
	none := corev1.ResourceList{}
	for name := range of {
		none[name] = resource.Quantity{}
	}

	return none
}

// dryRun asks the API server for a pod, and names the first field that it drops.
func (c *goldenCase) dryRun(t *testing.T, core corev1client.CoreV1Interface, raw []byte) (lost string, err error) {
	t.Helper()

	var sent, kept map[string]any
	if err := json.Unmarshal(raw, &sent); err != nil {
		t.Fatal(err)
	}

	sent["metadata"].(map[string]any)["namespace"] = c.serverNamespace()

	body, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}

	result := core.RESTClient().Post().Namespace(c.serverNamespace()).Resource("pods").
		Param("dryRun", metav1.DryRunAll).SetHeader("Content-Type", "application/json").Body(body).Do(t.Context())
	if err := result.Error(); err != nil {
		return "", err
	}

	answer, err := result.Raw()
	if err != nil {
		t.Fatal(err)
	}

	if err := json.Unmarshal(answer, &kept); err != nil {
		t.Fatal(err)
	}

	return missing("pod", sent, kept), nil
}
