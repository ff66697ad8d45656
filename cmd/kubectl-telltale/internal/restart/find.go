package restart

import (
	"context"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// finder reads a cluster, and groups its pods by owner.
type finder struct {
	*scan.Scan

	withdrawn bool // owners that an Injection is withdrawn from are restarted, too

	cluster *verdict.Cluster
	webhook *admissionregistrationv1.MutatingWebhook
	above   map[types.NamespacedName]*metav1.OwnerReference // of ReplicaSets
	owners  map[ownerKey]*Owner
}

type ownerKey struct {
	apiVersion, kind string
	name             types.NamespacedName
}

// find returns the owners of pods that lack something, those to restart first.
func find(ctx context.Context, s *scan.Scan, withdrawn bool) ([]*Owner, error) {
	f := &finder{Scan: s, withdrawn: withdrawn, above: map[types.NamespacedName]*metav1.OwnerReference{}, owners: map[ownerKey]*Owner{}}

	if err := f.readCluster(ctx); err != nil {
		return nil, err
	}

	if err := f.readPods(ctx); err != nil {
		return nil, err
	}

	var found []*Owner

	for _, o := range f.owners {
		if o.Lacking == 0 {
			continue
		}

		if err := f.judge(ctx, o); err != nil {
			return nil, err
		}

		found = append(found, o)
	}

	sortOwners(found)

	return found, nil
}

// readCluster reads all that decides which Injections a pod gets.
func (f *finder) readCluster(ctx context.Context) error {
	injections, err := f.Injections(ctx)
	if err != nil {
		return err
	}

	var objects []client.Object

	for _, in := range injections {
		// A rollout is a new try, but for what is withdrawn from all owners of a namespace.
		in.Status.Withdrawn = slices.DeleteFunc(in.Status.Withdrawn, func(w v1alpha1.Withdrawal) bool { return w.Name != "" })

		objects = append(objects, in.Object)
	}

	add := func(o client.Object) { objects = append(objects, o) }
	if f.Namespace == "" {
		err = scan.Each(ctx, f.Scan, "namespaces", &corev1.NamespaceList{}, func(n *corev1.Namespace) { add(n) })
	} else {
		n := &corev1.Namespace{}
		if err = f.Client.Get(ctx, types.NamespacedName{Name: f.Namespace}, n); err == nil {
			add(n)
		}

		err = f.Note("get namespaces", err)
	}

	if err == nil {
		err = scan.Each(ctx, f.Scan, "limitranges", &corev1.LimitRangeList{}, func(l *corev1.LimitRange) { add(l) })
	}

	if err == nil {
		err = scan.Each(ctx, f.Scan, "resourcequotas", &corev1.ResourceQuotaList{}, func(q *corev1.ResourceQuota) { add(q) })
	}

	if err == nil {
		err = scan.Each(ctx, f.Scan, "serviceaccounts", &corev1.ServiceAccountList{}, func(a *corev1.ServiceAccount) { add(a) })
	}

	if err == nil {
		err = f.readRegistration(ctx, add)
	}

	if err != nil {
		return err
	}

	f.cluster, err = verdict.New(objects...)

	return err
}

// readRegistration reads which pods Telltale is asked about. Without a registration it
// counts as asked about all: restart helps once it is back.
func (f *finder) readRegistration(ctx context.Context, add func(client.Object)) error {
	registration := &admissionregistrationv1.MutatingWebhookConfiguration{}

	err := f.Client.Get(ctx, types.NamespacedName{Name: "telltale"}, registration)
	if err == nil {
		add(registration)
		f.webhook = verdict.Entry(registration)
	}

	return f.Note("get mutatingwebhookconfigurations", client.IgnoreNotFound(err))
}

// readPods groups the pods by owner, with what each lacks.
func (f *finder) readPods(ctx context.Context) error {
	kind := appsv1.SchemeGroupVersion.WithKind("ReplicaSetList")
	sets := &metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(kind)

	err := scan.Each(ctx, f.Scan, "replicasets", sets, func(o *metav1.PartialObjectMetadata) {
		if by := metav1.GetControllerOf(o); by != nil {
			f.above[client.ObjectKeyFromObject(o)] = by
		}
	})
	if err != nil {
		return err
	}

	if f.cluster.ReadsImages() {
		return scan.Each(ctx, f.Scan, "pods", &corev1.PodList{}, func(pod *corev1.Pod) { f.see(pod, patches.TraitsOf(pod)) })
	}

	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))

	return scan.Each(ctx, f.Scan, "pods", pods, func(pod *metav1.PartialObjectMetadata) {
		f.see(pod, patches.Traits{Labels: pod.Labels, Annotations: pod.Annotations, Controller: metav1.GetControllerOf(pod)})
	})
}

// see looks at a pod. One that is being deleted is on its way out, and a static pod's
// mirror never gets anything.
func (f *finder) see(pod metav1.Object, traits patches.Traits) {
	if pod.GetDeletionTimestamp() != nil || traits.Annotations[corev1.MirrorPodAnnotationKey] != "" {
		return
	}

	ns := f.cluster.Namespace(pod.GetNamespace())
	if verdict.Asks(f.webhook, traits.Labels, ns) != "" {
		return
	}

	matches, _ := f.cluster.Match(traits, pod.GetNamespace()) // it has no error
	matches = slices.DeleteFunc(matches, func(m patches.Match) bool { return m.Undecided })

	o := f.ownerOf(pod)
	o.Pods++

	lack := lacks(traits.Annotations, matches)
	if len(lack) == 0 {
		return
	}

	o.Lacking++

	for name, state := range lack {
		if o.Injections[name] != string(failure.Refused) {
			o.Injections[name] = state
		}
	}
}

func (f *finder) ownerOf(pod metav1.Object) *Owner {
	by := metav1.GetControllerOf(pod)
	if by == nil {
		by = &metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: pod.GetName()}
	}

	if by.Kind == "ReplicaSet" {
		if above := f.above[types.NamespacedName{Namespace: pod.GetNamespace(), Name: by.Name}]; above != nil {
			by = above
		}
	}

	key := ownerKey{by.APIVersion, by.Kind, types.NamespacedName{Namespace: pod.GetNamespace(), Name: by.Name}}

	o := f.owners[key]
	if o == nil {
		o = &Owner{APIVersion: by.APIVersion, Kind: by.Kind, Namespace: pod.GetNamespace(), Name: by.Name, Injections: map[string]string{}}
		f.owners[key] = o
	}

	return o
}

// judge tells whether a restart of an owner helps.
func (f *finder) judge(ctx context.Context, o *Owner) error {
	if o.Why = cannotRestart(o); o.Why != "" {
		return nil
	}

	o.object = &unstructured.Unstructured{}
	o.object.SetGroupVersionKind(o.gvk())

	if err := f.Client.Get(ctx, o.key(), o.object); err != nil {
		o.Why = "it can't be read: " + err.Error()

		return f.Note("get "+strings.ToLower(o.Kind)+"s", client.IgnoreNotFound(err))
	}

	if paused, _, _ := unstructured.NestedBool(o.object.Object, "spec", "paused"); paused {
		o.Why = "it is paused: kubectl rollout resume " + o.title()

		return nil
	}

	if strategy, _, _ := unstructured.NestedString(o.object.Object, "spec", "updateStrategy", "type"); strategy == "OnDelete" {
		o.Why = "its strategy is OnDelete: delete its pods"

		return nil
	}

	return f.judgeNext(ctx, o)
}

// cannotRestart says why kubectl would not restart an owner either.
func cannotRestart(o *Owner) string {
	switch o.APIVersion + " " + o.Kind {
	case "apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet":
		return ""
	case "v1 Pod":
		return "create the pod anew"
	case "batch/v1 Job":
		return "its next run gets it"
	default:
		return "restart it by its own means"
	}
}

// judgeNext judges the next pod of an owner.
func (f *finder) judgeNext(ctx context.Context, o *Owner) error {
	subject, err := verdict.SubjectOf(o.object)
	if err != nil || subject == nil {
		o.Why = "its template can't be read"

		return nil //nolint:nilerr // the list says so
	}

	next, err := f.cluster.Arrive(subject, false)
	if err != nil {
		o.Why = err.Error()

		return nil //nolint:nilerr // the list says so
	}

	v, err := f.cluster.Judge(ctx, next)
	if err != nil {
		o.Why = err.Error()

		return nil //nolint:nilerr // the list says so
	}

	for _, one := range v.All {
		name := one.Injection.String()

		switch state := o.Injections[name]; {
		case state == "":
		case state == string(failure.Refused) && !f.withdrawn:
			o.Why = name + " is withdrawn from it: see kubectl telltale withdrawn. Once its cause is corrected, use --withdrawn"
		case one.Outcome == verdict.Injected:
			o.Restart = true
		case o.Why == "":
			o.Why = "new pods would lack " + name + " as well: " + one.Text
		}
	}

	if o.Restart {
		o.Why = ""
	} else if o.Why == "" {
		o.Why = "its template is not selected, though its pods are"
	}

	return nil
}
