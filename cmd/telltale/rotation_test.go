//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// TestRotationUnderLoad creates pods without a pause through two replicas
// behind one address, while their CA changes three times. Every pod is
// injected, except those for which the API server waited too long: the machine
// was busy.
func TestRotationUnderLoad(t *testing.T) {
	logs := t.TempDir()
	c := &cluster{ControlPlane: harness.ControlPlane(t, controlplane.Options{LogDir: logs}), dir: t.TempDir()}
	one, two := harness.FreePort(t), harness.FreePort(t)
	c.install(t, balance(t, one, two))

	replicas := []*telltale.Replica{c.launch(t, one), c.launch(t, two)}
	for _, p := range replicas {
		harness.WaitReady(t, p)
	}

	c.apply(t, envInjection("mesh", "stream", "REGION", "eu"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.injectedAgain(t, "stream", "REGION")

	api, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())

	var creators sync.WaitGroup

	created, bare := make([]int, 4), make([]int, 4)
	for i := range created {
		creators.Go(func() { created[i], bare[i] = stream(ctx, t, api) })
	}

	expirations := func(ctx context.Context) (all [2]float64, err error) {
		for i, p := range replicas {
			expires, e := p.Metric(ctx, "telltale_certificate_expiration_timestamp_seconds")
			all[i], err = expires, errors.Join(err, e)
		}

		return all, err
	}

	for range 3 {
		before, err := expirations(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		c.kubectl(t, "delete", "secret", "-n", "telltale-system", "telltale-ca")
		harness.Eventually(t, "certificates of another CA", func(ctx context.Context) error {
			after, err := expirations(ctx)
			if err == nil && (after[0] <= before[0] || after[1] <= before[1]) {
				err = fmt.Errorf("they expire at %v, before at %v", after, before)
			}

			return err
		})
	}

	stop()
	creators.Wait()
	t.Logf("%d pods created while the CA changed three times", created)

	late, other := notAsked(t, filepath.Join(logs, "kube-apiserver.log"))
	if len(other) > 0 {
		t.Errorf("the API server could not ask Telltale:\n%s", strings.Join(other, "\n"))
	}

	if n := bare[0] + bare[1] + bare[2] + bare[3]; n > late {
		t.Errorf("%d pods are not injected; the API server waited too long for %d", n, late)
	}
}

// notAsked reads in an API server's log how often it let a pod pass without
// Telltale since it waited too long, and the lines about other causes.
func notAsked(t *testing.T, file string) (late int, other []string) {
	t.Helper()

	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	for line := range strings.Lines(string(log)) {
		switch {
		case !strings.Contains(line, "failing open pods.telltale.dev"):
		case strings.Contains(line, "context deadline exceeded"):
			late++
		default:
			other = append(other, line)
		}
	}

	return late, other
}

// stream creates pods until ctx ends. It returns the number of pods, and of those
// that are not injected.
func stream(ctx context.Context, t *testing.T, api kubernetes.Interface) (created, bare int) {
	t.Helper()

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "stream-", Labels: map[string]string{"app": "stream"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}},
	}

	for ctx.Err() == nil {
		got, err := api.CoreV1().Pods("shop").Create(ctx, pod, metav1.CreateOptions{})
		if ctx.Err() != nil {
			return created, bare
		}

		if err != nil {
			t.Error(err)

			return created, bare
		}

		created++

		if !strings.HasPrefix(got.Annotations[v1alpha1.InjectedAnnotation], "mesh@") {
			t.Logf("pod %s, number %d of its stream, is not injected", got.Name, created)
			bare++
		}
	}

	return created, bare
}
