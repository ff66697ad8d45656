package verdict

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
)

// Subject is a pod, or an object that pods are made from by its template.
type Subject struct {
	APIVersion, Kind, Namespace, Name string
	UID                               types.UID
	// Pod is the pod, or the one that the next would be: as its controller sends it.
	Pod *corev1.Pod
	// Template is true if the pod is made from a template.
	Template bool
	// Unknown are the fields of the pod that this version of the plugin does not know.
	Unknown []string
	// Selector is that of the object, for pods; nil if it has none.
	Selector *metav1.LabelSelector
}

// String is "deployment/checkout" as kubectl prints it.
func (s *Subject) String() string { return fmt.Sprintf("%s/%s", lower(s.Kind), s.Name) }

// templates are where kinds keep the template of their pods.
func templates() [][]string {
	return [][]string{{"spec", "template"}, {"spec", "jobTemplate", "spec", "template"}}
}

// SubjectOf returns the subject that an object is, or nil: its kind has no pods. Any
// kind with a pod template at spec.template is one, such as an Argo Rollout.
func SubjectOf(u *unstructured.Unstructured) (*Subject, error) {
	s := &Subject{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID()}

	if u.GetAPIVersion() == "v1" && u.GetKind() == "Pod" {
		s.Pod = &corev1.Pod{}

		return s, s.convert(u.Object)
	}

	if u.GetAPIVersion() == "v1" && u.GetKind() == "PodTemplate" {
		return nil, nil
	}

	for _, path := range templates() {
		template, found, err := unstructured.NestedMap(u.Object, path...)
		if err != nil || !found {
			continue
		}

		if _, isOfPods, err := unstructured.NestedSlice(template, "spec", "containers"); err != nil || !isOfPods {
			continue
		}

		s.Template, s.Pod = true, &corev1.Pod{}
		if err := s.convert(template); err != nil {
			return nil, err
		}

		s.Selector = selectorOf(u)
		s.asController(u)

		return s, nil
	}

	return nil, nil
}

func (s *Subject) convert(from map[string]any) error {
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(from, s.Pod, true)
	if unknown, is := runtime.AsStrictDecodingError(err); is {
		for _, one := range unknown.Errors() {
			if field := strings.Trim(strings.TrimPrefix(one.Error(), "unknown field "), `"`); strings.HasPrefix(field, "spec.") {
				s.Unknown = append(s.Unknown, field)
			}
		}

		return nil
	}

	if err != nil {
		return fmt.Errorf("cannot read the pod of %s: %w", s, cmp.Or(fieldError(from), err))
	}

	return nil
}

// fieldError is the error of a field that has a wrong type. It names the field, which
// the converter's does not.
func fieldError(pod map[string]any) error {
	raw, err := json.Marshal(pod)
	if err != nil {
		return err
	}

	return json.Unmarshal(raw, &corev1.Pod{})
}

func selectorOf(u *unstructured.Unstructured) *metav1.LabelSelector {
	raw, found, err := unstructured.NestedMap(u.Object, "spec", "selector")
	if err != nil || !found {
		return nil
	}

	var s metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &s) != nil {
		return nil
	}

	return &s
}

// asController gives the pod all that its controller will, as far as that can be
// told. A Deployment's pods are its ReplicaSet's, a CronJob's are its Job's: their
// names are not known here, and Under tells them. So are those of Argo's Rollout.
//
// Source: k8s.io/kubernetes v1.37.2, pkg/controller: controller_utils.go,
// job/job_controller.go, daemon/update.go, statefulset/stateful_set_utils.go;
// argoproj/argo-rollouts 009ba6b rollout/sync.go.
func (s *Subject) asController(u *unstructured.Unstructured) {
	s.Pod.Name, s.Pod.GenerateName = "", s.Name+"-"

	switch s.APIVersion + " " + s.Kind {
	case "apps/v1 Deployment":
		s.asReplicaSet("pod-template-hash")
	case "argoproj.io/v1alpha1 Rollout":
		s.asReplicaSet("rollouts-pod-template-hash")
	case "batch/v1 CronJob":
		s.Pod.GenerateName = s.Name + "-00000000-"
		s.own("batch/v1", "Job", s.Name+"-00000000", "")
	case "batch/v1 Job":
		s.own(s.APIVersion, s.Kind, s.Name, s.UID)
		s.label("job-name", s.Name)
		s.label("batch.kubernetes.io/job-name", s.Name)
	case "apps/v1 StatefulSet":
		s.own(s.APIVersion, s.Kind, s.Name, s.UID)
		s.Pod.Name, s.Pod.GenerateName = s.Name+"-0", ""
		s.label("statefulset.kubernetes.io/pod-name", s.Pod.Name)
		s.label("apps.kubernetes.io/pod-index", "0")

		revision, _, _ := unstructured.NestedString(u.Object, "status", "updateRevision")
		s.label("controller-revision-hash", revision)
	case "apps/v1 DaemonSet":
		s.own(s.APIVersion, s.Kind, s.Name, s.UID)
		s.label("pod-template-generation", u.GetAnnotations()["deprecated.daemonset.template.generation"])
	default:
		s.own(s.APIVersion, s.Kind, s.Name, s.UID)
	}
}

// asReplicaSet gives the pod what a ReplicaSet will whose name ends in the hash that is
// its pods' label.
func (s *Subject) asReplicaSet(label string) {
	const hash = "xxxxxxxxxx"

	s.Pod.GenerateName = s.Name + "-" + hash + "-"
	s.own("apps/v1", "ReplicaSet", s.Name+"-"+hash, "")
	s.label(label, hash)
}

// own makes a controller the owner. One that is not there yet has a uid of zeros.
func (s *Subject) own(apiVersion, kind, name string, uid types.UID) {
	uid = cmp.Or(uid, "00000000-0000-0000-0000-000000000000")
	s.Pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: new(true), BlockOwnerDeletion: new(true),
	}}
}

func (s *Subject) label(key, value string) {
	if value == "" {
		return
	}

	if s.Pod.Labels == nil {
		s.Pod.Labels = map[string]string{}
	}

	s.Pod.Labels[key] = value
}

// Under makes the pod one of a controller that exists: the newest ReplicaSet of a
// Deployment, say, with the label that tells its pods from others.
func (s *Subject) Under(kind string, controller *metav1.ObjectMeta) {
	apiVersion := s.Pod.OwnerReferences[0].APIVersion
	s.own(apiVersion, kind, controller.Name, controller.UID)
	s.Pod.GenerateName = controller.Name + "-"
	s.label("pod-template-hash", controller.Labels["pod-template-hash"])
}

// hasSelector are the kinds of controllers whose selectors the webhook knows.
func hasSelector() []string { return []string{"ReplicaSet", "StatefulSet", "DaemonSet", "Job"} }

// Arrive returns the pod as it arrives at the webhook: with all that the API server
// sets before. A pod that exists is as it is.
func (c *Cluster) Arrive(s *Subject, exists bool) (Pod, error) {
	arrived := Pod{Namespace: s.Namespace}
	pod := s.Pod.DeepCopy()
	pod.ManagedFields, pod.Status = nil, corev1.PodStatus{}

	if !exists {
		pod.Namespace = s.Namespace

		if err := c.send(s, pod, &arrived); err != nil {
			return arrived, err
		}

		if err := patches.Complete(pod, c.Namespace(s.Namespace), c.Account(s.Namespace, pod.Spec.ServiceAccountName)); err != nil {
			return arrived, fmt.Errorf("the API server would refuse the pod of %s: %w", s, err)
		}
	}

	if owners := pod.OwnerReferences; s.Selector != nil && len(owners) > 0 && slices.Contains(hasSelector(), owners[0].Kind) {
		arrived.Excluding = patches.Excluding(s.Selector)
	}

	var err error
	arrived.JSON, err = json.Marshal(pod)

	return arrived, err
}

// send drops what the API server drops of a pod, or of a template, before it asks the
// webhook: of a template, all that it does not store; of a pod, all that it does not
// know. The rest of a pod follows later (After).
func (c *Cluster) send(s *Subject, pod *corev1.Pod, arrived *Pod) (err error) {
	if c.release == nil {
		return nil
	}

	if arrived.Doubt, err = c.release.Doubt(pod); err != nil {
		return err
	}

	if s.Template {
		return c.release.Store(pod)
	}

	arrived.release = c.release

	return c.release.Receive(pod)
}

// After returns the pod as it is once the webhook's patch is applied, and all is set
// that the API server sets then.
func (c *Cluster) After(before Pod, v Verdict) (*corev1.Pod, error) {
	var pod corev1.Pod
	if err := json.Unmarshal(before.JSON, &pod); err != nil {
		return nil, err
	}

	// The API server was asked about the fields of Injections, so it keeps those.
	if before.release != nil {
		if err := before.release.Store(&pod); err != nil {
			return nil, err
		}
	}

	if err := patches.Patched(&pod, v.Answer.Patch); err != nil {
		return nil, err
	}

	if err := patches.Complete(&pod, c.Namespace(before.Namespace), c.Account(before.Namespace, pod.Spec.ServiceAccountName)); err != nil {
		return nil, err
	}

	return &pod, patches.Stored(&pod)
}

func lower(kind string) string { return strings.ToLower(kind) }
