package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Server is what the API server answered to a dry run of the pod.
type Server struct {
	// Refused is why it refused the pod.
	Refused string `json:"refused,omitempty"`
	// Asked is true if the pod has a record, so Telltale was asked.
	Asked bool `json:"asked"`
	// Injected, Failed and Previewed are the record.
	Injected  string `json:"injected,omitempty"`
	Failed    string `json:"failed,omitempty"`
	Previewed string `json:"previewed,omitempty"`
	// Differs says where the answer is another one than ours.
	Differs []string `json:"differs,omitempty"`
}

// askServer sends the pod to the API server, as a dry run, and compares.
func askServer(ctx context.Context, r *reader, s *verdict.Subject, to *Report) {
	pod := asNew(s)

	err := r.Client.Create(ctx, pod, client.DryRunAll)
	if err != nil {
		to.Server = &Server{Refused: err.Error()}
		to.find("the API server refuses the pod: %s", err)

		return
	}

	to.Server = &Server{
		Injected: pod.Annotations[v1alpha1.InjectedAnnotation], Failed: pod.Annotations[v1alpha1.FailedAnnotation],
		Previewed: pod.Annotations[v1alpha1.PreviewedAnnotation],
	}
	to.Server.Asked = to.Server.Injected+to.Server.Failed+to.Server.Previewed != ""
	to.Server.Differs = append(recordDiffers(to, to.Server), podDiffers(to.after, pod)...)

	for _, d := range to.Server.Differs {
		to.find("the API server's answer differs: %s", d)
	}
}

// asNew is the pod as one that is to be created.
func asNew(s *verdict.Subject) *corev1.Pod {
	pod := s.Pod.DeepCopy()
	pod.ObjectMeta = metav1.ObjectMeta{
		Namespace: s.Namespace, GenerateName: s.Pod.GenerateName, Labels: pod.Labels, Annotations: pod.Annotations, OwnerReferences: pod.OwnerReferences,
	}

	if pod.GenerateName == "" {
		pod.GenerateName = s.Name + "-"
	}

	pod.Status = corev1.PodStatus{}

	if !s.Template {
		pod.Spec.NodeName = ""
	}

	return pod
}

func recordDiffers(r *Report, answer *Server) (differs []string) {
	outcome := map[string]string{}

	for is, annotation := range map[verdict.Outcome]string{
		verdict.Injected: answer.Injected, verdict.Failed: answer.Failed, verdict.Previewed: answer.Previewed,
	} {
		record, _ := v1alpha1.ParseRecord(annotation)
		for _, one := range record {
			outcome[one.Name] = recorded(is, one.Reason)
		}
	}

	for _, in := range r.Injections {
		if ours, theirs := recorded(in.Outcome, in.Reason), outcome[in.Name]; ours != theirs {
			differs = append(differs, fmt.Sprintf("%s is %s here, and %s there", in.Name, orNone(ours), orNone(theirs)))
		}
	}

	return differs
}

// recorded is an outcome as a record has it: with the reason of a failure.
func recorded(outcome verdict.Outcome, reason string) string {
	switch outcome {
	case verdict.Injected:
		return string(outcome)
	case verdict.Previewed:
		return strings.TrimSpace(string(outcome) + " " + reason)
	default:
		return reason
	}
}

func orNone(outcome string) string {
	if outcome == "" {
		return "not applied"
	}

	return outcome
}

// podDiffers names the containers that differ.
func podDiffers(ours []byte, theirs *corev1.Pod) (differs []string) {
	var pod corev1.Pod
	if json.Unmarshal(ours, &pod) != nil {
		return nil
	}

	for _, l := range []struct {
		title        string
		ours, theirs []corev1.Container
	}{
		{"init container", pod.Spec.InitContainers, theirs.Spec.InitContainers},
		{"container", pod.Spec.Containers, theirs.Spec.Containers},
	} {
		for _, c := range l.ours {
			at := slices.IndexFunc(l.theirs, func(o corev1.Container) bool { return o.Name == c.Name })

			switch {
			case at < 0:
				differs = append(differs, fmt.Sprintf("%s %q is not there", l.title, c.Name))
			case !equality.Semantic.DeepEqual(withoutToken(c), withoutToken(l.theirs[at])):
				differs = append(differs, fmt.Sprintf("%s %q is another one there", l.title, c.Name))
			}
		}

		for _, c := range l.theirs {
			if !slices.ContainsFunc(l.ours, func(o corev1.Container) bool { return o.Name == c.Name }) {
				differs = append(differs, fmt.Sprintf("%s %q is there, and not here", l.title, c.Name))
			}
		}
	}

	return differs
}

// withoutToken is a container without the drawn name of the volume with its token.
func withoutToken(c corev1.Container) corev1.Container {
	c.VolumeMounts = slices.Clone(c.VolumeMounts)
	for i := range c.VolumeMounts {
		if strings.HasPrefix(c.VolumeMounts[i].Name, "kube-api-access-") {
			c.VolumeMounts[i].Name = "kube-api-access-"
		}
	}

	return c
}
