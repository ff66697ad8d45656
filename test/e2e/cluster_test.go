//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// kubectl runs it, and fails the test if it fails.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()

	return command(t, "", "kubectl", args...)
}

// apply applies manifests.
func apply(t *testing.T, manifests string) {
	t.Helper()
	command(t, manifests, "kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// onNode runs a command of the cluster's script.
func onNode(t *testing.T, args ...string) {
	t.Helper()
	command(t, "", *script, args...)
}

func command(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out, err := output(t.Context(), stdin, name, args...)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

func output(ctx context.Context, stdin, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s%s", filepath.Base(name), strings.Join(args, " "), err, stdout.String(), stderr.String())
	}

	return stdout.String(), err
}

// kustomize returns a folder with a kustomization of another folder, with an image
// and components.
func kustomize(t *testing.T, folder, image string, components ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp(tree("bin"), "e2e-") //nolint:usetesting // within this tree: kustomize wants a relative path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	relative := func(folder string) string {
		absolute, err := filepath.Abs(folder)
		if err != nil {
			t.Fatal(err)
		}
		from, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		folder, err = filepath.Rel(from, absolute)
		if err != nil {
			t.Fatal(err)
		}

		return folder
	}
	name, tag, _ := strings.Cut(image, ":")
	text := fmt.Sprintf("resources: [%s]\nimages: [{name: telltale, newName: %s, newTag: %s}]\n", relative(folder), name, tag)
	for i, c := range components {
		components[i] = relative(c)
	}
	text += fmt.Sprintf("components: [%s]\n", strings.Join(components, ", "))
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	return dir
}

// install applies a folder of config with components, and waits until all of its
// replicas are ready.
func install(t *testing.T, folder, image string, components ...string) {
	t.Helper()
	kubectl(t, "apply", "--server-side", "--force-conflicts", "-k", kustomize(t, folder, image, components...))
	rolledOut(t, "telltale-system", "telltale")
}

// uninstall deletes it, and waits until it is gone.
func uninstall(t *testing.T, folder, image string) {
	t.Helper()
	kubectl(t, "delete", "--wait", "--ignore-not-found", "-k", kustomize(t, folder, image))
}

func rolledOut(t *testing.T, namespace, deployment string) {
	t.Helper()
	kubectl(t, "rollout", "status", "--timeout", harness.Patience.String(), "-n", namespace, "deployment", deployment)
}

// injects is an error unless a pod that is created now in a namespace has the
// Injection of a name. (It is a dry run.)
func (c *cluster) injects(ctx context.Context, namespace, name string) error {
	probe := pod(namespace)
	if err := c.api.Create(ctx, probe, client.DryRunAll); err != nil {
		return err
	}
	if !has(probe, name) {
		return fmt.Errorf("it is injected with %q, not %q", probe.Annotations[v1alpha1.InjectedAnnotation], name)
	}

	return nil
}

// has tells whether a pod says that it is injected with the Injection of a name.
// During an upgrade a replica may have written so that knows no revisions.
func has(p *corev1.Pod, name string) bool {
	injected, _ := v1alpha1.ParseRecord(p.Annotations[v1alpha1.InjectedAnnotation])

	return slices.ContainsFunc(injected, func(r v1alpha1.Recorded) bool { return r.Name == name })
}

func pod(namespace string) *corev1.Pod {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: pause}}}}
	p.GenerateName, p.Namespace, p.Labels = "probe-", namespace, map[string]string{"app": "stream"}

	return p
}

// pause is the image of all our pods: hack/cluster/pause.
const pause = "telltale-pause:1"

// encode writes JSON.
func encode(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}

	return string(out)
}
