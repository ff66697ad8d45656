package verdict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook"
	"github.com/telltale-dev/telltale/webhook/failure"
)

const golden = "../../../../patches/testdata/golden"

// heard keeps what the webhook reports.
type heard []failure.Failure

func (h *heard) Report(f failure.Failure) { *h = append(*h, f) }

// TestJudgeIsTheWebhook sends the pod of each golden case to the webhook's HTTP
// handler, in a review. The patch and the failures are the same, byte for byte.
func TestJudgeIsTheWebhook(t *testing.T) {
	dirs, err := filepath.Glob(golden + "/*")
	if err != nil || len(dirs) < 40 {
		t.Fatalf("found %d golden cases (%v), want 40 at least", len(dirs), err)
	}

	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()

			cluster, pod := readCase(t, dir)

			v, err := cluster.Judge(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}

			patch, failures := ask(t, cluster, pod)
			if diff := cmp.Diff(string(patch), string(v.Answer.Patch)); diff != "" {
				t.Errorf("the patch differs: -webhook +explain\n%s", diff)
			}

			if diff := cmp.Diff(failures, v.Answer.Failures); diff != "" {
				t.Errorf("the failures differ: -webhook +explain\n%s", diff)
			}

			checkAll(t, dir, v)
		})
	}
}

// checkAll compares the verdicts with the failures of the golden case.
func checkAll(t *testing.T, dir string, v Verdict) {
	t.Helper()

	got := ""
	for _, f := range v.Answer.Failures {
		got += fmt.Sprintf("%s %s: %s\n", f.Injection, f.Reason, f.Text)
	}

	want, err := os.ReadFile(filepath.Join(dir, "failures"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}

	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-golden +got\n%s", diff)
	}

	failed := 0

	for _, one := range v.All {
		if one.Outcome == Failed || one.Outcome == Denied && one.Reason != "" {
			failed++
		}
	}

	if failed != len(v.Answer.Failures) {
		t.Errorf("%d of the verdicts are failures, and the webhook has %d", failed, len(v.Answer.Failures))
	}
}

// ask sends the pod to the webhook's handler.
func ask(t *testing.T, cluster *Cluster, pod Pod) ([]byte, []failure.Failure) {
	t.Helper()

	body, err := json.Marshal(admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		UID: "1", Namespace: pod.Namespace, Operation: admissionv1.Create,
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Object: runtime.RawExtension{Raw: pod.JSON},
	}})
	if err != nil {
		t.Fatal(err)
	}

	var h heard

	w := httptest.NewRecorder()
	webhook.New(cluster, &h, webhook.Options{Previews: cluster.Previews}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, webhook.Path, bytes.NewReader(body)))

	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("%v: %s", err, w.Body)
	}

	return answer.Response.Patch, h
}

func readCase(t *testing.T, dir string) (*Cluster, Pod) {
	t.Helper()

	raw, err := yaml.YAMLToJSON(read(t, dir, "pod.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	// As the API server would: the raw JSON in a review is compact.
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}

	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}}
	for doc := range bytes.SplitSeq(read(t, dir, "injections.yaml"), []byte("\n---\n")) {
		objects = append(objects, decode(t, doc))
	}

	cluster, err := New(objects...)
	if err != nil {
		t.Fatal(err)
	}

	for _, in := range cluster.Reach("shop") {
		for _, r := range cluster.unseen(in, "shop") {
			cluster.Missing(r.Kind, "shop", r.Name) // the case has all that is there
		}
	}

	return cluster, Pod{Namespace: "shop", JSON: compact.Bytes()}
}

func decode(t *testing.T, doc []byte) client.Object {
	t.Helper()

	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		t.Fatal(err)
	}

	o := map[string]client.Object{
		"Injection": &v1alpha1.Injection{}, "ClusterInjection": &v1alpha1.ClusterInjection{}, "Namespace": &corev1.Namespace{},
		"LimitRange": &corev1.LimitRange{}, "ResourceQuota": &corev1.ResourceQuota{}, "ConfigMap": &corev1.ConfigMap{}, "Secret": &corev1.Secret{},
	}[kind.Kind]
	if o == nil {
		t.Fatalf("unknown kind %q", kind.Kind)
	}

	if err := yaml.Unmarshal(doc, o); err != nil {
		t.Fatal(err)
	}

	if o.GetNamespace() == "" && (kind.Kind == "LimitRange" || kind.Kind == "ResourceQuota") {
		o.SetNamespace("shop")
	}

	return o
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()

	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}

	return b
}
