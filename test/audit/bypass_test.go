//go:build audit

package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"

	"github.com/telltale-dev/telltale/test/telltale"
)

const promised = 30 * time.Second

// bypass is a way by which the API server passes Telltale by. It returns what puts
// it right again. If hidden is true, pods are shown only after that.
type bypass struct {
	name   string
	hidden bool
	begin  func(*testing.T, *cluster) (mend func())
}

func bypasses() []bypass {
	return []bypass{
		{"caBundle spoiled again and again", false, spoilCABundle},
		{"a Service without endpoints", false, withoutEndpoints},
		{"the registration deleted", false, deleteRegistration},
		{"the registration narrowed by hand, and put back", true, narrow},
	}
}

// TestBypassed has the API server pass Telltale by while it is well. All pods of the
// time are shown.
func TestBypassed(t *testing.T) {
	const deployments, pods = 10, 10

	c := newCluster(t, fastControllers(), 100, 2)
	c.namespace(t, "shop", nil)
	c.start(t)
	c.audits(t)
	c.ready(t)
	c.inject(t, injection("shop", "all", ""))
	c.inForce(t)

	told := map[string]int{}
	for i, way := range bypasses() {
		t.Run(way.name, func(t *testing.T) {
			r := begin(t, way.name, "each pod shown ≤ 30 s later, exact for each owner")
			c.asked(t, true, "shop", "x")
			mend := way.begin(t, c)
			c.asked(t, false, "shop", "x")
			c.deploy(t, "shop", fmt.Sprintf("way-%d", i), deployments, pods)
			want, err := c.bare(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			if way.hidden {
				mend()
			}
			took := c.tells(t, want)
			missed := sum(want) - sum(told)
			r.note("%d of %d pods missed, and shown %.0f s later", missed, deployments*pods, took.Seconds())
			if took > promised || missed == 0 {
				t.Errorf("%d missed, shown after %v", missed, took)
			}
			if !way.hidden {
				mend()
			}
			maps.Copy(told, want)
		})
	}
	c.counts(t, "shop")
}

// patchRegistration applies operations of a JSON patch.
func (c *cluster) patchRegistration(ctx context.Context, operations ...map[string]any) error {
	patch, err := json.Marshal(operations)
	if err != nil {
		return err
	}
	_, err = c.api.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(ctx, "telltale", types.JSONPatchType, patch, metav1.PatchOptions{})

	return err
}

func operation(op, path string, value any) map[string]any {
	return map[string]any{"op": op, "path": path, "value": value}
}

// spoilCABundle puts another CA in the place of ours, faster than Telltale can put
// it right.
func spoilCABundle(t *testing.T, c *cluster) func() {
	t.Helper()
	other, _, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = c.patchRegistration(ctx, operation("replace", "/webhooks/0/clientConfig/caBundle", other))
			time.Sleep(time.Millisecond) // a slow machine is no reason to stop others
		}
	}()

	return func() {
		cancel()
		<-ended
	}
}

func withoutEndpoints(t *testing.T, c *cluster) func() {
	t.Helper()
	const namespace, name = "telltale-system", "nothing"
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "nothing"}, Ports: []corev1.ServicePort{{Port: 443}}},
	}
	_, err := c.api.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{})
	if err == nil {
		err = c.patchRegistration(t.Context(), operation("replace", "/webhooks/0/clientConfig", map[string]any{
			"service": map[string]any{"namespace": namespace, "name": name, "path": "/mutate--v1-pod"},
		}))
	}
	if err != nil {
		t.Fatal(err)
	}

	return func() {
		if err := c.patchRegistration(t.Context(), operation("replace", "/webhooks/0/clientConfig", map[string]any{"url": "https://localhost:1/"})); err != nil {
			t.Fatal(err)
		}
		c.register(t)
	}
}

func deleteRegistration(t *testing.T, c *cluster) func() {
	t.Helper()
	if err := c.api.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), "telltale", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	return func() {
		if err := telltale.Install(t.Context(), c.ControlPlane, "../../config"); err != nil {
			t.Fatal(err)
		}
		c.register(t)
	}
}

func narrow(t *testing.T, c *cluster) func() {
	t.Helper()
	const path = "/webhooks/0/objectSelector/matchLabels"
	if err := c.patchRegistration(t.Context(), operation("add", path, map[string]string{"some": "label"})); err != nil {
		t.Fatal(err)
	}

	return func() {
		if err := c.patchRegistration(t.Context(), map[string]any{"op": "remove", "path": path}); err != nil {
			t.Fatal(err)
		}
	}
}
