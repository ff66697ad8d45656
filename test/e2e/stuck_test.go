//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// stuckCase is an app that is rolled, and the Injection that its new pods get.
type stuckCase struct {
	app, what string
	injects   string // fields of the Injection
	change    string // of the app's container, where it hangs for reasons of its own
	told      string // by the event; "": none
}

func stuckCases() []stuckCase {
	const region = `env: [{name: REGION, value: eu}]`

	return []stuckCase{
		{
			app: "image", what: "an Injection whose image does not exist", told: `init container "first" can't start: (ErrImagePull|ImagePullBackOff)\. Correct its image`,
			injects: `initContainers: [{name: first, image: "registry.invalid/none:1"}]`,
		},
		{
			app: "exits", what: "an injected init container that exits 1", told: `init container "first" fails: .*exit code 1\. Its log says why`,
			injects: `initContainers: [{name: first, image: "` + pause + `", args: ["1"]}]`,
		},
		{
			app: "sidecar", what: "an injected sidecar that crashes", told: `sidecar "first" fails: .*exit code 1\. Its log says why`,
			injects: `initContainers: [{name: first, image: "` + pause + `", args: ["1"], restartPolicy: Always}]`,
		},
		{
			app: "secret", what: "a Secret that only the Injection names", told: `container "app" can't start: Secret "none" is missing\. Create it`,
			injects: `envFrom: [{secretRef: {name: none}}]`,
		},
		{
			app: "volume", what: "a volume of a Secret that only the Injection names", told: `volume "creds" can't be mounted: Secret "none" is missing\. Create it`,
			injects: "volumes: [{name: creds, secret: {secretName: none}}]\n  volumeMounts: [{name: creds, mountPath: /creds}]",
		},
		{app: "own-image", what: "the app's own image does not exist", injects: region, change: `"image": "registry.invalid/none:1"`},
		{app: "own-secret", what: "the app's own Secret is missing", injects: region, change: `"envFrom": [{"secretRef": {"name": "none"}}]`},
	}
}

// manifest has the app, three pods that are replaced one after the other.
func (c stuckCase) manifest() string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: stuck}
spec:
  replicas: 3
  minReadySeconds: 5
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: app, image: %[2]s}]}
`, c.app, pause)
}

func (c stuckCase) injection() string {
	return fmt.Sprintf(`---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: %[1]s, namespace: stuck}
spec:
  selector: {matchLabels: {app: %[1]s}}
  %[2]s
`, c.app, c.injects)
}

// TestStuck rolls apps that run, with Injections that keep their new pods from
// starting, or with faults of their own. All of them hang at the same time.
func TestStuck(t *testing.T) {
	install(t, tree("config", "default"), *image, tree("config", "components", "heal"))
	defer healsNoMore(t)
	limit := time.Minute + 10*pace(t)
	kubectl(t, "create", "namespace", "stuck")
	defer kubectl(t, "delete", "namespace", "stuck", "--wait=false")
	for _, c := range stuckCases() {
		apply(t, c.manifest())
	}
	for _, c := range stuckCases() {
		rolledOut(t, "stuck", c.app)
		apply(t, c.injection())
	}
	kubectl(t, "wait", "--for=condition=Ready", "-n", "stuck", "injections", "--all")
	start := time.Now()
	for _, c := range stuckCases() {
		if c.change == "" {
			kubectl(t, "rollout", "restart", "-n", "stuck", "deployment/"+c.app)
		} else {
			kubectl(t, "patch", "-n", "stuck", "deployment", c.app, "--patch",
				`{"spec": {"template": {"spec": {"containers": [{"name": "app", `+c.change+`}]}}}}`)
		}
	}
	for _, c := range stuckCases() {
		if c.told != "" {
			t.Run(c.app, func(t *testing.T) { c.isTold(t, start, limit) })
		}
	}
	for _, c := range stuckCases() {
		if c.told == "" {
			t.Run(c.app, c.isQuiet) // longer than the others took
		}
	}
}

// healsNoMore takes config/components/heal out again.
func healsNoMore(t *testing.T) {
	t.Helper()
	for _, file := range []string{"role.yaml", "role_binding.yaml"} {
		kubectl(t, "delete", "-f", tree("config", "components", "heal", file))
	}
	install(t, tree("config", "default"), *image)
}

// isTold waits for the event and for the withdrawal. Then the pod that is stuck is
// evicted, and the rollout ends.
func (c stuckCase) isTold(t *testing.T, start time.Time, limit time.Duration) {
	t.Helper()
	r := begin(t, c.what, "InjectionStuck within 60 s, exact, with its cure; the old pods run on; the stuck one is evicted, and the new ones run within 4 min")
	told := regexp.MustCompile(`^1 Injection "` + c.app + `" keeps pods from starting: ` + c.told + `.* Restart them: kubectl rollout restart deployment/` + c.app)
	harness.Eventually(t, "the event", func(ctx context.Context) error { return c.tells(ctx, told) })
	// The time is the event's own: the cases are looked at one after the other.
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(c.events(t, "{.items[0].firstTimestamp}")))
	if err != nil {
		t.Fatal(err)
	}
	r.note("told after %.0f s", at.Sub(start).Seconds())
	if at.Sub(start) > limit {
		t.Errorf("it is told after %v, and the limit is %v", at.Sub(start), limit)
	}
	// Later in the rollout there may be four.
	if ready := kubectl(t, "get", "deployment", c.app, "-n", "stuck", "-o", "jsonpath={.status.readyReplicas}"); ready < "3" {
		t.Errorf("%s of 3 pods are ready", ready)
	}
	harness.Eventually(t, "the withdrawal", func(ctx context.Context) error {
		out, err := output(ctx, "", "kubectl", "get", "injection", c.app, "-n", "stuck", "-o", "jsonpath={.status.withdrawn[*].phase} {.status.withdrawn[*].since}")
		if err == nil && !strings.HasPrefix(out, "Withdrawn ") {
			err = fmt.Errorf("it says %q", out)
		}
		if err == nil {
			at, err = time.Parse(time.RFC3339, strings.TrimPrefix(out, "Withdrawn "))
		}

		return err
	})
	r.note("new pods start without after %.0f s", at.Sub(start).Seconds())
	rolledOut(t, "stuck", c.app)
	took := time.Since(start) // at most: the cases are looked at one after the other
	r.note("all new pods run after %.0f s", took.Seconds())
	if took > limit+3*time.Minute {
		t.Errorf("the new pods run after %v", took)
	}
	r.created, r.missed = 4, 3 // the Injection was withdrawn
	if err := c.tells(t.Context(), told); err != nil {
		t.Error(err)
	}
}

// isQuiet fails the test if the pods are no longer stuck, or if there is an event of
// ours about them.
func (c stuckCase) isQuiet(t *testing.T) {
	t.Helper()
	r := begin(t, c.what, "nothing from us")
	r.created = 1
	waits := kubectl(t, "get", "pods", "-n", "stuck", "-l", "app="+c.app, "-o", "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}")
	if waits == "" {
		t.Error("no pod hangs")
	}
	if events := c.events(t, "{.items[*].message}"); events != "" {
		t.Errorf("there is an event: %s", events)
	}
	if n := kubectl(t, "get", "injection", c.app, "-n", "stuck", "-o", "jsonpath={.status.pods.injected} {.status.pods.stuck}"); n != "1 0" {
		t.Errorf("injected and stuck are %s", n)
	}
	r.note("it waits: %s", waits)
}

// tells is an error unless the Deployment has one event of this form, and it counts
// the pods that were ever stuck: one.
func (c stuckCase) tells(ctx context.Context, told *regexp.Regexp) error {
	out, err := output(ctx, "", "kubectl", c.query("{range .items[*]}{.count} {.message}{\"\\n\"}{end}")...)
	if err == nil && (!told.MatchString(out) || strings.Count(out, "\n") != 1) {
		err = fmt.Errorf("it says %s", strconv.Quote(out))
	}

	return err
}

func (c stuckCase) events(t *testing.T, path string) string {
	t.Helper()

	return kubectl(t, c.query(path)...)
}

// query asks for the events about the app's pods that are stuck.
func (c stuckCase) query(path string) []string {
	return []string{
		"get", "events", "-n", "stuck", "--field-selector",
		"reason=InjectionStuck,involvedObject.kind=Deployment,involvedObject.name=" + c.app, "-o", "jsonpath=" + path,
	}
}
