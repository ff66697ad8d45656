//go:build apiserver

package controlplane_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

func TestDeploymentMakesPods(t *testing.T) {
	t.Parallel()
	cp := harness.ControlPlane(t, controlplane.Options{})

	harness.Kubectl(t, cp, "create", "deployment", "web", "--image=web", "--replicas=2")
	harness.Eventually(t, "two pods of the Deployment", func(ctx context.Context) error {
		pods, err := cp.Kubectl(ctx, "get", "pods", "--selector=app=web", "--output=name")
		if err == nil && strings.Count(pods, "pod/web-") != 2 {
			err = errors.New(pods)
		}

		return err
	})

	got := harness.Kubectl(t, cp, "get", "pods", "--selector=app=web",
		"--output=jsonpath={.items[*].status.phase} {.items[0].spec.serviceAccountName}")
	if want := "Pending Pending default"; got != want {
		t.Errorf("the pods' phases and service account: got %q, want %q", got, want)
	}
}

func TestAPIServerComesBack(t *testing.T) {
	t.Parallel()
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	harness.Kubectl(t, cp, "create", "configmap", "kept")

	cp.StopAPIServer()
	if out, err := cp.Kubectl(t.Context(), "get", "configmap", "kept"); err == nil {
		t.Errorf("kubectl succeeded without an API server: %s", out)
	}

	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Kubectl(t, cp, "get", "configmap", "kept")
}

func TestUser(t *testing.T) {
	t.Parallel()
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	harness.Kubectl(t, cp, "create", "role", "readers", "--verb=list", "--resource=pods")
	harness.Kubectl(t, cp, "create", "rolebinding", "readers", "--role=readers", "--group=readers")
	harness.Eventually(t, "the grant is in force", func(ctx context.Context) error {
		_, err := cp.Kubectl(ctx, "auth", "can-i", "list", "pods", "--as=ann", "--as-group=readers")

		return err
	})

	cases := map[string]struct {
		reason string
		config *rest.Config
		want   bool
	}{
		"Administrator": {
			reason: "Config is a member of system:masters.",
			config: cp.Config,
			want:   true,
		},
		"GroupIsGranted": {
			reason: "A user has the rights of its groups.",
			config: cp.User("ann", "readers"),
			want:   true,
		},
		"NothingGranted": {
			reason: "A user has nothing of the administrator's power.",
			config: cp.User("ann"),
			want:   false,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, err := client.New(tc.config, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			err = c.List(t.Context(), &corev1.PodList{}, client.InNamespace("default"))
			if err != nil && !apierrors.IsForbidden(err) {
				t.Fatal(err)
			}
			if got := err == nil; got != tc.want {
				t.Errorf("%s\nmay list pods: got %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestKubectlSaysWhy(t *testing.T) {
	t.Parallel()
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	_, err := cp.Kubectl(t.Context(), "get", "pod", "nosuch")
	if err == nil || !strings.Contains(err.Error(), `pods "nosuch" not found`) {
		t.Errorf("got error %v, want one with what kubectl said", err)
	}
}

func TestWriteKubeconfigKeepsTheUser(t *testing.T) {
	t.Parallel()
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	path := t.TempDir() + "/kubeconfig"
	if err := controlplane.WriteKubeconfig(path, cp.User("ann", "readers")); err != nil {
		t.Fatal(err)
	}

	got := harness.Kubectl(t, cp, "--kubeconfig="+path, "auth", "whoami", "--output=jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
	if want := `ann ["readers","system:authenticated"]`; got != want {
		t.Errorf("who am I: got %q, want %q", got, want)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	if _, err := os.Stat(cp.KubeconfigPath); err != nil {
		t.Fatal(err)
	}

	for range 2 { // the second call does nothing
		if err := cp.Stop(); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := os.Stat(cp.KubeconfigPath); !os.IsNotExist(err) {
		t.Errorf("the kubeconfig is still there (error %v)", err)
	}
	if out, err := cp.Kubectl(t.Context(), "version"); err == nil {
		t.Errorf("the API server still answers: %s", out)
	}
}

func TestStartSaysWhatFailed(t *testing.T) {
	t.Parallel()

	_, err := controlplane.Start(t.Context(), controlplane.Options{APIServerFlags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("got error %v, want one with the API server's last words", err)
	}
}
