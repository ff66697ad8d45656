//go:build apiserver

package property

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

var explained = flag.Int("explained", 50, "how many pods kubectl telltale explain is held against; 1000 takes some minutes")

// explanation is what the plugin says of one pod.
type explanation struct {
	Patch      json.RawMessage `json:"patch"`
	Denied     string          `json:"denied"`
	After      *corev1.Pod     `json:"after"`
	Injections []struct {
		Name, Outcome, Reason, Event string
	} `json:"injections"`
}

// TestExplain holds kubectl telltale explain against the real webhook and the real
// API server, on random pods and Injections. Given the object of a review, its patch
// and its failures are those of the webhook, byte for byte. Given the pod as its
// author wrote it, its containers are those after a dry run.
func TestExplain(t *testing.T) {
	drawSeed()
	t.Logf("seed %d: go test -tags apiserver ./test/property -run TestExplain -args -seed=%d -explained=%d", *seed, *seed, *explained)

	all, err := parseDraws(*parts)
	if err != nil {
		t.Fatal(err)
	}

	plugin, built := filepath.Join(t.TempDir(), "kubectl-telltale"), make(chan error, 1)
	go func() { built <- buildPlugin(t.Context(), plugin) }() // while the API server starts and is asked

	r := &run{cluster: startCluster(t), draws: all}
	some := r.pairs(t, *explained)
	r.waitForQuotas(t)
	harness.Start(t, r.telltale)
	harness.WaitReady(t, r.telltale)
	r.waitForChecks(t)

	if err := <-built; err != nil {
		t.Fatal(err)
	}

	rooms := map[*room][]*pair{}
	for _, p := range some {
		p.dryRun = true
		rooms[p.room] = append(rooms[p.room], p)
	}

	var total tally

	each(2, slices.Collect(maps.Keys(rooms)), func(room *room) { r.explainRoom(t, plugin, room, rooms[room], &total) })

	t.Logf("%d of %d pods compared: %d failures, %d pods with Injections", total.compared.Load(), len(some), total.failures.Load(), total.injected.Load())

	// Of the Injections drawn, many choose other pods, and some fail.
	if int(total.injected.Load()) < len(some)/10 || total.failures.Load() == 0 {
		t.Error("too few of them say anything")
	}
}

// tally counts what was compared.
type tally struct{ compared, failures, injected atomic.Int64 }

// explainRoom compares the pods of a room, those that are not refused by themselves.
func (r *run) explainRoom(t *testing.T, plugin string, room *room, pairs []*pair, total *tally) {
	t.Helper()

	var (
		good             []*pair
		reviews, written [][]byte
	)

	for _, p := range pairs {
		without := r.create(t.Context(), "/api/v1/namespaces/"+room.without+"/pods", p.pod, true)
		if without.err != nil {
			continue
		}

		object := decode[*corev1.Pod](t, without.raw)
		object.Namespace = room.with
		good, reviews, written = append(good, p), append(reviews, encode(t, object)), append(written, typed(t, p.pod))
	}

	if len(good) == 0 {
		return
	}

	ofReviews, ofWritten := r.runExplain(t, plugin, room.with, reviews), r.runExplain(t, plugin, room.with, written)

	for i, p := range good {
		answer := r.ask(t, room.with, reviews[i])
		total.compared.Add(1)

		if diff := cmp.Diff(string(answer.Patch), patchOf(t, ofReviews[i].Patch)); diff != "" {
			t.Errorf("%s: the patch differs: -webhook +explain\n%s", p.name, diff)
		}

		total.failures.Add(int64(checkFailures(t, p, answer, ofReviews[i])))
		total.injected.Add(r.checkContainers(t, p, ofWritten[i]))
	}
}

// checkContainers compares the containers after a dry run. It returns 1 if the pod
// has an Injection.
func (r *run) checkContainers(t *testing.T, p *pair, ours explanation) (injected int64) {
	t.Helper()

	with := r.create(t.Context(), "/api/v1/namespaces/"+p.room.with+"/pods", p.pod, true)
	if with.err != nil {
		return 0
	}

	if ours.After == nil {
		t.Errorf("%s: explain has no pod", p.name)

		return 0
	}

	got := decode[*corev1.Pod](t, with.raw)
	if diff := cmp.Diff(containersOf(got), containersOf(ours.After)); diff != "" {
		t.Errorf("%s: the containers differ: -server +explain\n%s", p.name, diff)
	}

	if got.Annotations[v1alpha1.InjectedAnnotation] != "" {
		injected = 1
	}

	return injected
}

// typed is a pod with its kind, as in a file.
func typed(t *testing.T, pod []byte) []byte {
	t.Helper()

	tree := decode[map[string]any](t, pod)
	tree["apiVersion"], tree["kind"] = "v1", "Pod"

	return encode(t, tree)
}

// patchOf is a patch as it was: the output is indented.
func patchOf(t *testing.T, patch json.RawMessage) string {
	t.Helper()

	var b bytes.Buffer
	if len(patch) > 0 {
		if err := json.Compact(&b, patch); err != nil {
			t.Fatal(err)
		}
	}

	return b.String()
}

// checkFailures compares the warnings that the webhook gives, which are its failures
// as far as they fit, with those of explain; and the text of a refusal.
func checkFailures(t *testing.T, p *pair, answer *admissionv1.AdmissionResponse, ours explanation) (n int) {
	t.Helper()

	refused := ""
	if answer.Result != nil {
		refused = answer.Result.Message
	}

	if refused != ours.Denied {
		t.Errorf("%s: refused by the webhook: %q, by explain: %q", p.name, refused, ours.Denied)
	}

	if refused != "" {
		return 1
	}

	var want, got []string

	for _, w := range answer.Warnings {
		if strings.Contains(w, " not applied: ") {
			want = append(want, strings.TrimSuffix(w, "…"))
		}
	}

	for _, in := range ours.Injections {
		if in.Event != "" { // a preview that would fail has a reason, and no event
			got = append(got, in.Event)
		}
	}

	slices.Sort(want)
	slices.Sort(got)

	if len(want) != len(got) || slices.ContainsFunc(want, func(w string) bool {
		return !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) })
	}) {
		t.Errorf("%s: the failures differ: -webhook +explain\n%s", p.name, cmp.Diff(want, got))
	}

	return len(got)
}

// ask sends a review to the webhook itself.
func (r *run) ask(t *testing.T, namespace string, pod []byte) *admissionv1.AdmissionResponse {
	t.Helper()

	body := encode(t, admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		UID: "explain", Namespace: namespace, Operation: admissionv1.Create, DryRun: new(true),
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Object: runtime.RawExtension{Raw: pod},
	}})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the test's own process
	defer client.CloseIdleConnections()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost:"+r.telltale.Port+"/mutate--v1-pod", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}

	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Response == nil {
		t.Fatalf("the webhook's answer: %v", err)
	}

	return answer.Response
}

func buildPlugin(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", file, "../../cmd/kubectl-telltale")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")

	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the plugin: %w: %s", err, out)
	}

	return nil
}

// runExplain runs the plugin on pods.
func (r *run) runExplain(t *testing.T, plugin, namespace string, pods [][]byte) []explanation {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()

	var stdout, stderr bytes.Buffer

	file := fmt.Sprintf(`{"apiVersion":"v1","kind":"List","items":[%s]}`, bytes.Join(pods, []byte(",")))
	cmd := exec.CommandContext(ctx, plugin, "explain", "-f", "-", "-n", namespace, "-o", "json", "--diff",
		"--kubeconfig", r.KubeconfigPath, "--cache-dir", filepath.Dir(plugin))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(file), &stdout, &stderr

	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}

	var list struct {
		Items []explanation `json:"items"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &list); err != nil || len(list.Items) != len(pods) {
		t.Fatalf("explain: %v: %d of %d pods: %.2000s%s", err, len(list.Items), len(pods), stdout.String(), stderr.String())
	}

	return list.Items
}

// containersOf are the containers without the drawn name of the token's volume.
func containersOf(pod *corev1.Pod) (all []string) {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		raw, err := json.Marshal(c)
		if err != nil {
			panic(err)
		}

		all = append(all, string(tokenVolume.ReplaceAll(raw, []byte("token"))))
	}

	return all
}
