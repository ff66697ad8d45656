//go:build apiserver

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestStuck has pods hang because of Injections, and for reasons of their own. Their
// status is written as kubelet would. The first are shown once each, also after the
// leader is killed, and then their owners' new pods start without.
func TestStuck(t *testing.T) {
	c := &stuckCase{startAudit(t, stuckInjections, "--stuck-after=1s", "--withdraw-after=4s")}
	c.apply(t, "apiVersion: v1\nkind: Node\nmetadata: {name: one}\n"+
		deployment("web", 3)+deployment("api", 2)+deployment("denied", 1)+deployment("busy", 2)+
		strings.Replace(deployment("files", 1), "    spec:\n", "    spec:\n      nodeName: one\n", 1))

	for app, pods := range map[string]int{"web": 3, "api": 2, "denied": 1, "busy": 2, "files": 1} {
		c.matches(t, fmt.Sprintf(`^(%s@[0-9a-f]{8}=\n){%d}$`, app, pods), recordsOf(app)...)
	}

	for _, step := range []struct {
		name string
		run  func(*stuckCase, *testing.T)
	}{
		{"Told", (*stuckCase).tellsOf},
		{"LeaderKilled", (*stuckCase).leaderKilled},
		{"Withdrawn", (*stuckCase).withdrawn},
		{"Retry", (*stuckCase).retry},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(c, t) })
	}
}

type stuckCase struct{ *auditCase }

// stuckInjections are one for each app. Two require Secrets that count as there, as
// Telltale may not look at them: so they went, or never came.
var stuckInjections = containerInjection("web", "web", "wait") +
	containerInjection("busy", "busy", "wait") +
	containerInjection("denied", "denied", "wait") + "  onFailure: Deny\n" +
	envInjection("api", "api", "x", "x") + "  envFrom: [{secretRef: {name: token}}]\n  requires: [{kind: References}]\n" + `---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: files, namespace: shop}
spec:
  selector: {matchLabels: {app: files}}
  volumes: [{name: creds, secret: {secretName: creds}}]
  volumeMounts: [{name: creds, mountPath: /creds}]
  requires: [{kind: Secret, name: creds}]
`

const (
	pullFails = `"waiting": {"reason": "ImagePullBackOff"}`
	noSecret  = `"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"%s\" not found"}`
)

// names are those of an app's pods, the oldest first.
func (c *stuckCase) names(t *testing.T, app string) []string {
	t.Helper()

	return strings.Fields(c.kubectl(t, "get", "pods", "-n", "shop", "-l", "app="+app, "--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[*].metadata.name}"))
}

// writes writes the state of a container into the status of a pod.
func (c *stuckCase) writes(t *testing.T, pod, list, container, state string) {
	t.Helper()
	c.kubectl(t, "patch", "pod", pod, "-n", "shop", "--subresource=status", "--type=merge", "--patch", fmt.Sprintf(
		`{"status": {%q: [{"name": %q, "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": {%s}}]}}`, list, container, state))
}

// tellsOf has one pod or two of each app hang, and others for reasons of their own.
func (c *stuckCase) tellsOf(t *testing.T) {
	t.Helper()

	web, api, files, busy := c.names(t, "web"), c.names(t, "api"), c.names(t, "files")[0], c.names(t, "busy")

	// Another pod of this owner has started, in the future: so lately.
	c.kubectl(t, "patch", "pod", busy[1], "-n", "shop", "--subresource=status", "--type=merge", "--patch",
		`{"status": {"conditions": [{"type": "Initialized", "status": "True", "lastTransitionTime": "2100-01-01T00:00:00Z"}],
		"containerStatuses": [{"name": "app", "image": "x", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}}`)
	c.writes(t, busy[0], "initContainerStatuses", "wait", pullFails)
	c.writes(t, web[0], "initContainerStatuses", "wait", pullFails)
	c.writes(t, web[1], "initContainerStatuses", "wait", pullFails)
	c.writes(t, web[2], "containerStatuses", "app", pullFails) // its own
	c.writes(t, api[0], "containerStatuses", "app", fmt.Sprintf(noSecret, "token"))
	c.writes(t, api[1], "containerStatuses", "app", fmt.Sprintf(noSecret, "own"))
	c.writes(t, c.names(t, "denied")[0], "initContainerStatuses", "wait", `"terminated": {"exitCode": 1, "reason": "Error"}`)
	c.writes(t, files, "containerStatuses", "app", `"waiting": {"reason": "ContainerCreating"}`)
	c.failedMount(t, files)

	want := map[string]int{"Deployment/web": 2, "Deployment/api": 1, "Deployment/denied": 1, "Deployment/busy": 1, "Deployment/files": 1}
	t.Logf("shown after %v", c.tells(t, "InjectionStuck", want))

	for app, text := range map[string]string{
		"web":    `Injection "web" keeps pods from starting: init container "wait" can't start: ImagePullBackOff. Correct its image`,
		"api":    `container "app" can't start: Secret "token" is missing. Create it`,
		"denied": `init container "wait" fails: exit code 1. Its log says why`,
		"files":  `volume "creds" can't be mounted: Secret "creds" is missing.`,
	} {
		c.output(t, text, "describe", "deployment", app, "-n", "shop")
	}

	c.stuck(t, "web", 3, 2)
	c.stuck(t, "api", 2, 1)
	c.stuck(t, "files", 1, 1)
}

// stuck waits until an Injection says that of so many pods so many are stuck.
func (c *stuckCase) stuck(t *testing.T, injection string, selected, stuck int) {
	t.Helper()
	c.output(t, fmt.Sprintf("%d %d", selected, stuck), "get", "injection", injection, "-n", "shop", "-o", "jsonpath={.status.pods.selected} {.status.pods.stuck}")
}

// failedMount writes the event that kubelet writes.
func (c *stuckCase) failedMount(t *testing.T, pod string) {
	t.Helper()

	uid := c.kubectl(t, "get", "pod", pod, "-n", "shop", "-o", "jsonpath={.metadata.uid}")
	c.kubectl(t, "create", "-f", c.write(t, fmt.Sprintf(`
apiVersion: v1
kind: Event
metadata: {name: %[1]s.1, namespace: shop}
involvedObject: {apiVersion: v1, kind: Pod, namespace: shop, name: %[1]s, uid: %[2]s}
type: Warning
reason: FailedMount
message: 'MountVolume.SetUp failed for volume "creds" : secret "creds" not found'
`, pod, uid)))
}

// leaderKilled has the next leader find one more pod, and one that has recovered.
func (c *stuckCase) leaderKilled(t *testing.T) {
	t.Helper()

	web := c.names(t, "web")
	leader := c.audits(t)
	leader.Kill()
	c.writes(t, web[0], "initContainerStatuses", "wait", `"terminated": {"exitCode": 0}`)
	c.writes(t, web[2], "initContainerStatuses", "wait", pullFails)

	for _, r := range c.replicas {
		if r.State() == nil {
			harness.Eventually(t, "the next leader", leads(r, 1))
		}
	}

	c.audits(t)
	harness.Start(t, leader)
	c.tells(t, "InjectionStuck", map[string]int{"Deployment/web": 3, "Deployment/api": 1, "Deployment/denied": 1, "Deployment/busy": 1, "Deployment/files": 1})
	c.stuck(t, "web", 3, 2)

	// It hangs again: it was told.
	c.writes(t, web[0], "initContainerStatuses", "wait", pullFails)
	c.stuck(t, "web", 3, 3)
	c.tells(t, "InjectionStuck", map[string]int{"Deployment/web": 3, "Deployment/api": 1, "Deployment/denied": 1, "Deployment/busy": 1, "Deployment/files": 1})
}

// withdrawn has new pods of the owners start without.
func (c *stuckCase) withdrawn(t *testing.T) {
	t.Helper()

	const withdrawn = `jsonpath={range .status.withdrawn[*]}{.phase} {.reason} {.kind} {.tries} {.text},{end}`

	for _, app := range []string{"web", "api", "files"} {
		c.matches(t, "^Withdrawn InjectionStuck ReplicaSet 1 [^,]*,$", "get", "injection", app, "-n", "shop", "-o", withdrawn)
	}

	for _, app := range []string{"denied", "busy"} {
		if out := c.kubectl(t, "get", "injection", app, "-n", "shop", "-o", withdrawn); out != "" {
			t.Errorf("the pods of %s start without: %s", app, out)
		}
	}

	for _, r := range c.replicas {
		harness.WaitReady(t, r)
	}

	c.kubectl(t, "scale", "deployment/web", "-n", "shop", "--replicas=5")
	c.matches(t, `(?s)^(web@[0-9a-f]{8}=\n|=web@[0-9a-f]{8}=InjectionRefused\n){5}$`, recordsOf("web")...)
	c.output(t, `Injection "web" not applied: pods with it did not start: init container "wait" can't start: ImagePullBackOff. Correct that or the Injection`,
		"describe", "deployment", "web", "-n", "shop")
}

// busyNoMore has the other pod of an owner start long ago. The next one hangs.
func (c *stuckCase) busyNoMore(t *testing.T) {
	t.Helper()

	c.kubectl(t, "patch", "pod", c.names(t, "busy")[1], "-n", "shop", "--subresource=status", "--type=merge", "--patch",
		`{"status": {"conditions": [{"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`)
	c.kubectl(t, "scale", "deployment/busy", "-n", "shop", "--replicas=3")
	c.hasPods(t, "busy", 3)
	c.writes(t, c.names(t, "busy")[2], "initContainerStatuses", "wait", pullFails)
	c.output(t, "Withdrawn", "get", "injection", "busy", "-n", "shop", "-o", "jsonpath={.status.withdrawn[*].phase}")
}

// retry ends the wait of a withdrawal. The pods that are stuck still say nothing, the
// next one does.
func (c *stuckCase) retry(t *testing.T) {
	t.Helper()

	var status struct{ Withdrawn []map[string]any }

	if err := json.Unmarshal([]byte(c.kubectl(t, "get", "injection", "web", "-n", "shop", "-o", "jsonpath={.status}")), &status); err != nil {
		t.Fatal(err)
	}

	status.Withdrawn[0]["until"] = time.Now().UTC().Format(time.RFC3339)

	patch, err := json.Marshal(map[string]any{"status": map[string]any{"withdrawn": status.Withdrawn}})
	if err != nil {
		t.Fatal(err)
	}

	const phase = `jsonpath={range .status.withdrawn[*]}{.phase} {.tries},{end}`

	c.kubectl(t, "patch", "injection", "web", "-n", "shop", "--subresource=status", "--type=merge", "--patch", string(patch))
	c.busyNoMore(t) // meanwhile
	c.matches(t, "^Retry 1,$", "get", "injection", "web", "-n", "shop", "-o", phase)

	before := c.kubectl(t, recordsOf("web")...)
	c.kubectl(t, "scale", "deployment/web", "-n", "shop", "--replicas=6")
	c.matches(t, `(?s)^(\S+\n){6}$`, recordsOf("web")...)

	if after := c.kubectl(t, recordsOf("web")...); strings.Count(after, "=InjectionRefused") != strings.Count(before, "=InjectionRefused") {
		t.Errorf("the next pod does not get it:\n%s", after)
	}

	if out := c.kubectl(t, "get", "injection", "web", "-n", "shop", "-o", phase); out != "Retry 1," {
		t.Errorf("the old pods had it withdrawn: %s", out)
	}

	names := c.names(t, "web")
	c.writes(t, names[len(names)-1], "initContainerStatuses", "wait", pullFails)
	c.matches(t, "^Withdrawn 2,$", "get", "injection", "web", "-n", "shop", "-o", phase)
}
