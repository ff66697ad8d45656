package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// textbookHandler injects as the documentation of controller-runtime shows:
// decode the pod, change it, answer with the difference. It adds at the end of
// the lists. Telltale adds at their start, which costs more.
type textbookHandler struct {
	decoder   admission.Decoder
	injection *v1alpha1.Injection
}

func newTextbook() (http.Handler, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("cannot build the scheme: %w", err)
	}
	injection, err := theInjection()
	if err != nil {
		return nil, err
	}

	return admission.StandaloneWebhook(&admission.Webhook{
		Handler: &textbookHandler{decoder: admission.NewDecoder(scheme), injection: injection},
	}, admission.StandaloneOptions{Logger: logr.Discard(), MetricsPath: path})
}

// Handle implements admission.Handler.
func (t *textbookHandler) Handle(_ context.Context, req admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := t.decoder.Decode(req, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		c.Env = slices.Concat(c.Env, v1alpha1.CoreEnv(t.injection.Spec.Env))
	}
	pod.Spec.InitContainers = slices.Concat(pod.Spec.InitContainers, t.injection.Spec.InitContainers)

	changed, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}

	return admission.PatchResponseFromRaw(req.Object.Raw, changed)
}
