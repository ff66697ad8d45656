package webhook

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-logr/logr/funcr"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// secret is the value of every env var of everyKind.
const secret = "s3cr3t-s3cr3t-s3cr3t"

// FuzzReview sends arbitrary bytes while Injections of every kind are in force.
// Every request is answered, the API server can use the answer, and the answer
// contains no value of a variable.
func FuzzReview(f *testing.F) {
	raw, err := os.ReadFile("testdata/review-checkout.json")
	if err != nil {
		f.Fatal(err)
	}

	for _, seed := range seeds(string(raw)) {
		f.Add([]byte(seed))
	}

	matcher := everyKind()

	f.Fuzz(func(t *testing.T, body []byte) {
		var reported reports

		in := New(matcher, &reported, Options{Log: funcr.New(func(_, args string) {
			t.Errorf("logged: %s", args)
		}, funcr.Options{})})
		w := post(in, string(body))

		for _, failed := range reported.all() {
			checkLine(t, failed.Text)
		}

		switch w.Code {
		case http.StatusOK:
			checkAnswer(t, body, response(t, w), reported.all())
		case http.StatusBadRequest:
			if got := reported.reasons(); len(got) != 1 || got[0] != failure.Error {
				t.Errorf("the body was not read, and reported is %v", got)
			}
		default:
			t.Errorf("status %d", w.Code)
		}

		if s := w.Body.String(); strings.Contains(s, secret) { // the patch is in base64
			t.Errorf("the answer contains a value: %s", s)
		}
	})
}

func seeds(review string) []string {
	replaced := func(part, by string) string { return strings.Replace(review, part, by, 1) }
	small := func(object string) string {
		return `{"request":{"uid":"1","namespace":"default","operation":"CREATE","resource":{"resource":"pods"},"object":` +
			object + `}}`
	}

	return []string{
		review, "", "{}", "[]", `{"request":null}`, `{"request":{"uid":"1"}}`,
		replaced(`"dryRun":false`, `"dryRun":true`),
		replaced(`"operation":"CREATE"`, `"operation":"UPDATE"`),
		replaced(`"spec":{`, `"spec":null,"was":{`),
		replaced(`"LOG_LEVEL"`, `"DENIED"`),
		replaced(`"volumes":[`, `"volumes":null,"were":[`),
		small("null"), small("{}"), small(`{"metadata":{},"spec":{}}`),
		small(`{"metadata":{"name":"a","labels":{"app":"x","undecided":"yes"}},"spec":{"containers":[{"name":"app"}]}}`),
		small(`{"metadata":{"labels":{"narrow":"yes"}},"spec":{"containers":[{"name":"a"},{"name":"b"}]}}`),
		small(`{"metadata":{"labels":{"narrow":"yes"}},"spec":{"containers":[{"name":"a\nb"}]}}`),
		strings.Replace(small("{}"), `"CREATE"`, `"a\nb"`, 1),
		small(`{"metadata":{"generateName":"a-","labels":{"telltale.dev/inject":"disabled"}},"spec":{"containers":[]}}`),
		small(`{"metadata":{"ownerReferences":[{"kind":"Job","name":"j","uid":"u","controller":true}]},"spec":{"volumes":[],` +
			`"initContainers":[{"name":"init","restartPolicy":"Always","env":[{"name":"A"}]}],"containers":[{"name":"app",` +
			`"envFrom":[{"configMapRef":{"name":"m"}}],"volumeMounts":[{"name":"v","mountPath":"/v/"}]}]}}`),
	}
}

// everyKind knows Injections with every field, every policy and every way to
// fail.
func everyKind() matchFunc {
	set := &patches.Set{}
	with := func(name string, labels map[string]string, change func(*v1alpha1.InjectionSpec)) {
		in := injection(name, "A", secret)
		in.Spec.Selector.MatchLabels = labels
		change(&in.Spec)
		set = set.With(patches.Compile(in))
	}

	with("full", nil, func(s *v1alpha1.InjectionSpec) {
		s.Containers.Init = true
		s.EnvFrom = []corev1.EnvFromSource{{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{}}}
		s.Volumes = []corev1.Volume{{Name: "v"}}
		s.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		s.InitContainers = []corev1.Container{{Name: "init", Image: "i"}}
		s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
		s.Labels = map[string]string{"squad": "a"}
		s.Annotations = map[string]string{"example.com/a~b": "c"}
	})
	with("keep", nil, func(s *v1alpha1.InjectionSpec) { s.OnConflict = v1alpha1.KeepPod })
	with("last", nil, func(s *v1alpha1.InjectionSpec) {
		s.Placement = v1alpha1.Placements{Env: v1alpha1.Last, InitContainers: v1alpha1.Last}
		s.OnConflict = v1alpha1.Override
		s.Env[0].Name = "LOG_LEVEL"
	})
	with("relabel", nil, func(s *v1alpha1.InjectionSpec) {
		s.OnConflict, s.Labels = v1alpha1.Override, map[string]string{"app": "y"}
	})
	with("narrow", map[string]string{"narrow": "yes"}, func(s *v1alpha1.InjectionSpec) {
		s.Containers.Include = []string{"other-*"}
	})
	with("skip", nil, func(s *v1alpha1.InjectionSpec) { s.Env[0].Name = "LOG_LEVEL" })
	with("invalid", nil, func(s *v1alpha1.InjectionSpec) { s.Env = append(s.Env, s.Env[0]) })
	with("unsafe", nil, func(s *v1alpha1.InjectionSpec) {
		s.VolumeMounts = []corev1.VolumeMount{{Name: "nowhere", MountPath: "/nowhere"}}
	})
	with("deny", nil, func(s *v1alpha1.InjectionSpec) { s.Env[0].Name, s.OnFailure = "DENIED", v1alpha1.Deny })

	cluster := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "undecided"}}
	cluster.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"undecided": "yes"}}
	cluster.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	cluster.Spec.OnFailure = v1alpha1.Deny
	set = set.With(patches.CompileCluster(cluster))

	return func(pod patches.Traits, namespace string) ([]patches.Match, error) {
		return set.Match(pod, patches.Namespace{Name: namespace}), nil
	}
}

func checkAnswer(t *testing.T, body []byte, got *admissionv1.AdmissionResponse, reported []failure.Failure) {
	t.Helper()

	asked := read(t, body)
	if got.UID != asked.UID {
		t.Errorf("the answer is for %q, the review was %q", got.UID, asked.UID)
	}

	for _, w := range got.Warnings {
		checkLine(t, w)

		if len(w) > maxWarning {
			t.Errorf("a warning of %d bytes: %q", len(w), w)
		}
	}

	if !got.Allowed {
		checkDenied(t, got, asked.DryRun, reported)

		return
	}

	if got.Patch != nil {
		checkPatch(t, asked.Object, got.Patch)
	}
}

func checkDenied(t *testing.T, got *admissionv1.AdmissionResponse, dryRun bool, reported []failure.Failure) {
	t.Helper()

	if got.Patch != nil || !strings.HasPrefix(got.Result.Message, `Injection "deny" not applied: `) {
		t.Errorf("the pod was refused, with patch %s: %+v", got.Patch, got.Result)
	}

	checkLine(t, got.Result.Message)

	for _, f := range reported {
		if f.Injection.Name == "deny" {
			return
		}
	}

	if !dryRun {
		t.Errorf("the pod was refused, and only %v was reported", reported)
	}
}

func checkPatch(t *testing.T, object, patch []byte) {
	t.Helper()

	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatalf("the patch does not decode: %v\n%s", err, patch)
	}

	patched, err := decoded.Apply(object)
	if err != nil {
		t.Fatalf("the patch does not apply: %v\n%s", err, patch)
	}

	if isPod(object) && !isPod(patched) {
		t.Errorf("the result of the patch is no pod:\n%s", patched)
	}
}

func checkLine(t *testing.T, text string) {
	t.Helper()

	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("this is not one line of text: %q", text)
	}

	if strings.Contains(text, secret) {
		t.Errorf("the text contains a value: %q", text)
	}
}

// question is the part of a review that is needed to judge the answer.
type question struct {
	UID    types.UID       `json:"uid"`
	DryRun bool            `json:"dryRun"`
	Object json.RawMessage `json:"object"`
}

func read(t *testing.T, body []byte) question {
	t.Helper()

	var review struct {
		Request question `json:"request"`
	}

	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &review); err != nil {
		t.Fatalf("answered a review that does not decode: %v", err)
	}

	return review.Request
}

func isPod(raw []byte) bool {
	var pod corev1.Pod

	return kjson.UnmarshalCaseSensitivePreserveInts(raw, &pod) == nil
}
