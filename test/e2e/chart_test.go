//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestChart is the life of Telltale as Helm installs it, with the commands of
// docs/install.md.
func TestChart(t *testing.T) {
	r := begin(t, "helm install, upgrade to another image, rollback and uninstall", "every pod injected while it is there; then pods start, and the Injections are kept")
	if *helmProgram == "" {
		r.skip(t, "no -helm")
	}
	uninstall(t, tree("config", "default"), *image)
	kubectl(t, "create", "namespace", "telltale-system")
	kubectl(t, "label", "namespace", "telltale-system", "telltale.dev/inject=disabled", "pod-security.kubernetes.io/enforce=restricted")
	start := time.Now()
	helm(t, "install", tree("charts", "telltale"), "--wait", "--set="+imageOf(*image))
	r.note("ready after %.1f s", time.Since(start).Seconds())

	s := flow(t, "chart")
	helm(t, "upgrade", tree("charts", "telltale"), "--wait", "--reset-then-reuse-values", "--set="+imageOf(*next))
	runs(t, *next)
	helm(t, "rollback", "--wait")
	runs(t, *image)
	s.goOn(5 * time.Second)
	s.end(r, prompt)
	r.complete(t)

	kubectl(t, "create", "namespace", "chart-gone")
	defer kubectl(t, "delete", "namespace", "chart-gone", "--wait=false")
	apply(t, strings.ReplaceAll(injection, "%s", "chart-gone"))
	helm(t, "uninstall", "--wait")
	starts(t, r, "chart-gone")
	kubectl(t, "get", "injection", "e2e", "-n", "chart-gone")
	uninstall(t, tree("config", "default"), *image)
}

// helm runs it with the release telltale.
func helm(t *testing.T, verb string, args ...string) {
	t.Helper()
	args = append([]string{verb, "telltale"}, args...)
	command(t, "", *helmProgram, append(args, "--namespace=telltale-system", "--timeout=5m")...)
}

// imageOf has the chart's values for an image NAME:TAG.
func imageOf(image string) string {
	name, tag, _ := strings.Cut(image, ":")

	return "image.repository=" + name + ",image.tag=" + tag
}

// runs fails the test unless both replicas run an image.
func runs(t *testing.T, image string) {
	t.Helper()
	for _, p := range two(t) {
		if got := p.Spec.Containers[0].Image; got != image {
			t.Errorf("pod %s runs %s, want %s", p.Name, got, image)
		}
	}
}
