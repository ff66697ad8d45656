package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// BenchmarkHandle measures an answer in this process, from the bytes of a real
// review to the bytes of its answer. It also measures the floor: a handler that
// decodes the envelope of the review and allows the pod. HTTP and TLS are left
// out, because they cost both the same; `make bench` includes them.
//
//	go test ./webhook -run '^$' -bench Handle -cpuprofile cpu.out
func BenchmarkHandle(b *testing.B) {
	conflict := benchInjection()
	conflict.Spec.Env[1].Name = "LOG_LEVEL" // the pod sets it, too

	joined := benchInjection()
	joined.Spec.Env = append(joined.Spec.Env, v1alpha1.EnvVar{Name: "LOG_LEVEL", Value: "debug", Join: &v1alpha1.Join{Separator: ","}})

	chooses := func(choose func(*v1alpha1.InjectionSpec)) http.Handler {
		in := benchInjection()
		choose(&in.Spec)

		return New(knows(in), ignored{}, Options{})
	}

	preview := benchInjection()
	preview.Spec.Mode = v1alpha1.Preview
	previews := new(patches.Set).With(patches.Compile(preview)).Previews(patches.Traits{}, patches.Namespace{Name: "default", Known: true})

	requires := benchInjection()
	requires.Spec.Requires = []v1alpha1.Requirement{{Kind: v1alpha1.RequiredConfigMap, Name: "corp-ca", Keys: []string{"ca.crt"}}}
	there := newShelf()
	there.has = true

	handlers := map[string]http.Handler{
		"Floor":     http.HandlerFunc(floor),
		"Untouched": New(knows(), ignored{}, Options{}),
		"Injected":  New(knows(benchInjection()), ignored{}, Options{}),
		"Failed":    New(knows(conflict), ignored{}, Options{}),
		"Joined":    New(knows(joined), ignored{}, Options{}),
		"ByOwner": chooses(func(s *v1alpha1.InjectionSpec) {
			s.OwnerSelector = &v1alpha1.OwnerSelector{Include: []v1alpha1.OwnerTerm{{Kind: "Deployment", Name: "*"}}}
		}),
		"ByImage": chooses(func(s *v1alpha1.InjectionSpec) {
			s.ImageSelector = &v1alpha1.ImageSelector{Include: []string{"*"}}
		}),
		"ByAnnotation": chooses(func(s *v1alpha1.InjectionSpec) {
			s.AnnotationSelector = &v1alpha1.AnnotationSelector{MatchExpressions: []v1alpha1.AnnotationRequirement{{Key: "none", Operator: v1alpha1.AnnotationDoesNotExist}}}
		}),
		"Sidecars":      chooses(func(s *v1alpha1.InjectionSpec) { s.Containers.Sidecars = true }),
		"OnConflictFor": chooses(func(s *v1alpha1.InjectionSpec) { s.OnConflictFor.Env = v1alpha1.Override }),
		"Required":      there.injector(requires, ignored{}, Options{}),
		"Previewed":     New(knows(), ignored{}, Options{Previews: func(patches.Traits, string) []patches.Match { return previews }}),
	}

	for _, name := range []string{"Floor", "Untouched", "Injected", "Failed", "Joined", "Previewed", "ByOwner", "ByImage", "ByAnnotation", "Sidecars", "OnConflictFor", "Required"} {
		review := []byte(checkout(b))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()

			for b.Loop() {
				req, err := http.NewRequest(http.MethodPost, Path+"?timeout=5s", bytes.NewReader(review))
				if err != nil {
					b.Fatal(err)
				}

				w := discard{header: http.Header{}}
				handlers[name].ServeHTTP(&w, req)

				if w.written == 0 {
					b.Fatal("no answer")
				}

				if w.written < 500 && name != "Floor" && name != "Untouched" && name != "Failed" && name != "Previewed" {
					b.Fatal("nothing is injected")
				}
			}
		})
	}
}

// benchInjection is what `make bench` injects: two variables and an init
// container.
func benchInjection() *v1alpha1.Injection {
	in := injection("bench", "HTTP_PROXY", "http://proxy:3128")
	in.Spec.Env = append(in.Spec.Env, v1alpha1.EnvVar{Name: "CORP_REGION", Value: "eu"})
	in.Spec.InitContainers = []corev1.Container{{Name: "trust", Image: "registry.example/trust:1"}}

	return in
}

// floor reads a review, decodes its envelope and allows the pod, as
// hack/bench's does.
func floor(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}

	var review struct {
		Request struct {
			UID       string          `json:"uid"`
			Namespace string          `json:"namespace"`
			Operation string          `json:"operation"`
			DryRun    bool            `json:"dryRun"`
			Object    json.RawMessage `json:"object"`
		} `json:"request"`
	}
	if err := json.Unmarshal(body, &review); err != nil {
		return
	}

	answer, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"response": map[string]any{"uid": review.Request.UID, "allowed": true},
	})
	if err != nil {
		return
	}

	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// ignored is a Reporter that does nothing.
type ignored struct{}

func (ignored) Report(failure.Failure) {}

// discard is an http.ResponseWriter that costs nothing.
type discard struct {
	header  http.Header
	written int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(b []byte) (int, error) {
	d.written += len(b)

	return len(b), nil
}
