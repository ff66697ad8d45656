package canary

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// name is that of the canary's Injection. No object has it.
const name = "canary"

// Matches returns the canary's Injection, for webhook.Options. It is none but in the
// canary's namespace.
func Matches(own string) func(namespace string) []patches.Match {
	set := new(patches.Set).With(patches.Compile(&v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: name},
		Spec: v1alpha1.InjectionSpec{
			Selector: &metav1.LabelSelector{},
			Env:      []v1alpha1.EnvVar{{Name: "TELLTALE_CANARY", Value: "well"}},
		},
	}))
	matches := set.Match(nil, patches.Namespace{Name: own, Known: true})

	return func(namespace string) []patches.Match {
		if namespace != own {
			return nil
		}

		return matches
	}
}

// pod is the canary. The strictest Pod Security level takes it, and so do quotas and
// limits that ask each container for resources.
func pod() *corev1.Pod {
	resources := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}

	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "canary-",
			Labels:       map[string]string{"app.kubernetes.io/name": "telltale-canary"},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:      "none",
				Image:     "none",
				Resources: corev1.ResourceRequirements{Requests: resources, Limits: resources},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					ReadOnlyRootFilesystem:   new(true),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// verdict is what one canary pod tells.
type verdict int

// The verdicts.
const (
	// unclear: something else refused the pod, or the API server did not answer.
	unclear verdict = iota
	// asked: Telltale was asked.
	asked
	// bypassed: Telltale was not asked.
	bypassed
)

// answer is what became of one canary pod.
type answer struct {
	verdict
	whole bool          // asked, and the pod has the Injection, and no failure
	took  time.Duration // the API server's time
	err   error         // why it is unclear
}

// ask makes a canary pod.
func (c *Canary) ask(ctx context.Context) answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()

	start := time.Now()
	p, err := c.core.Pods(c.o.Home).Create(ctx, pod(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	a := judge(p, err)
	a.took = time.Since(start)

	return a
}

// judge tells what a pod that came back, or an error, means.
func judge(p *corev1.Pod, err error) answer {
	switch {
	case err != nil && isOurs(err):
		return answer{verdict: bypassed}
	case err != nil:
		return answer{err: fmt.Errorf("the canary pod can't be judged: %w", err)}
	}

	injected, isInjected := p.Annotations[v1alpha1.InjectedAnnotation]
	_, isFailed := p.Annotations[v1alpha1.FailedAnnotation]

	if !isInjected && !isFailed {
		return answer{verdict: bypassed}
	}

	record, _ := v1alpha1.ParseRecord(injected)

	return answer{verdict: asked, whole: !isFailed && len(record) == 1 && record[0].Name == name}
}

// isOurs tells whether the API server refused a pod because it can't call Telltale:
// so it does if the registration says failurePolicy: Fail.
//
// Source: ErrCallingWebhook and NewInternalError in k8s.io/apiserver v0.37.2
// pkg/admission/plugin/webhook/mutating/dispatcher.go.
func isOurs(err error) bool {
	var status apierrors.APIStatus

	return errors.As(err, &status) && apierrors.IsInternalError(err) &&
		strings.Contains(status.Status().Message, fmt.Sprintf("failed calling webhook %q", entry))
}
