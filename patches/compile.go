package patches

import (
	"fmt"
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Compile prepares an Injection. It always returns one: an Injection that can't
// be used says so in Err, and fails on every pod that it selects. If its selector
// can't be used, it selects nothing.
func Compile(in *v1alpha1.Injection) *Injection {
	return compile(&in.ObjectMeta, &in.Spec, nil)
}

// CompileCluster prepares a ClusterInjection, as Compile does an Injection.
func CompileCluster(in *v1alpha1.ClusterInjection) *Injection {
	return compile(&in.ObjectMeta, &in.Spec.InjectionSpec, in.Spec.NamespaceSelector)
}

func compile(meta *metav1.ObjectMeta, s *v1alpha1.InjectionSpec, namespaces *metav1.LabelSelector) *Injection {
	in := &Injection{
		Namespace:  meta.Namespace,
		Name:       meta.Name,
		UID:        meta.UID,
		Generation: meta.Generation,
		Deny:       s.OnFailure == v1alpha1.Deny,
		order:      s.Order,
		include:    s.Containers.Include,
		exclude:    s.Containers.Exclude,
		ownInit:    s.Containers.Init,
		placement:  s.Placement,
		sidecars:   s.Containers.Sidecars,
		mode:       s.Mode,
		revision:   revisionOf(s),
	}

	in.onConflict, in.conflictFor = conflictPolicies(s)

	if in.err = compileSelectors(in, s, namespaces); in.err != nil {
		in.selector = labels.Nothing()

		return in
	}

	in.joins = joiningsOf(s)
	in.items, in.mounted = itemsOf(s, in.joins), mountedBy(s)
	in.required = requiredOf(s)

	if in.err = validate(s); in.err == nil {
		in.err = validateAsPod(s)
	}

	in.risks = risksOf(s)

	return in
}

// conflictPolicies are those of each kind of part, and whether onConflictFor has them.
func conflictPolicies(s *v1alpha1.InjectionSpec) (of [edit.Kinds]v1alpha1.ConflictPolicy, own [edit.Kinds]bool) {
	for k := range of {
		of[k] = s.OnConflict
	}

	for k, policy := range map[edit.Kind]v1alpha1.ConflictPolicy{
		edit.Env: s.OnConflictFor.Env, edit.Mount: s.OnConflictFor.VolumeMounts, edit.InitContainer: s.OnConflictFor.InitContainers,
		edit.Label: s.OnConflictFor.Labels, edit.Annotation: s.OnConflictFor.Annotations,
	} {
		if policy != "" {
			of[k], own[k] = policy, true
		}
	}

	return of, own
}

func compileSelectors(in *Injection, s *v1alpha1.InjectionSpec, namespaces *metav1.LabelSelector) error {
	pods := s.Selector
	if pods == nil {
		return fmt.Errorf("spec.selector is missing: use {} to select every pod")
	}

	selector, err := metav1.LabelSelectorAsSelector(pods)
	if err != nil {
		return fmt.Errorf("spec.selector does not parse: %w", err)
	}

	in.selector, in.podRequired, in.namespaceRequired = selector, requiredBy(pods), requiredBy(namespaces)

	if in.chooser, err = newChooser(s); err != nil {
		return err
	}

	if namespaces == nil {
		return nil
	}

	if in.namespaces, err = metav1.LabelSelectorAsSelector(namespaces); err != nil {
		return fmt.Errorf("spec.namespaceSelector does not parse: %w", err)
	}

	return nil
}

// itemsOf encodes all that an Injection adds.
func itemsOf(s *v1alpha1.InjectionSpec, joins map[string]*joining) (items [edit.Kinds][]edit.Item) {
	add := func(k edit.Kind, key string, element, value any) {
		items[k] = append(items[k], edit.Item{Key: key, JSON: edit.Encode(element), Value: value})
	}

	for _, e := range s.Env {
		core := e.Core()
		if j := joins[e.Name]; j != nil {
			core.Value = j.value
		}

		add(edit.Env, e.Name, core, core)
	}

	for _, e := range s.EnvFrom {
		add(edit.EnvFrom, string(edit.Encode(e)), e, e)
	}

	for _, m := range s.VolumeMounts {
		add(edit.Mount, path.Clean(m.MountPath), m, m)
	}

	for i := range s.Volumes {
		add(edit.Volume, s.Volumes[i].Name, &s.Volumes[i], withSource(&s.Volumes[i]))
	}

	for i := range s.InitContainers {
		add(edit.InitContainer, s.InitContainers[i].Name, &s.InitContainers[i], &s.InitContainers[i])
	}

	for _, r := range s.ImagePullSecrets {
		add(edit.PullSecret, r.Name, r, nil)
	}

	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		add(edit.Label, key, s.Labels[key], s.Labels[key])
	}

	for _, key := range slices.Sorted(maps.Keys(s.Annotations)) {
		add(edit.Annotation, key, s.Annotations[key], s.Annotations[key])
	}

	return items
}

// withSource is a volume as the API server sees it: without a source it is an
// emptyDir.
//
// Source: SetDefaults_Volume, k8s.io/kubernetes v1.37.2
// pkg/apis/core/v1/defaults.go.
func withSource(v *corev1.Volume) *corev1.Volume {
	if v.VolumeSource != (corev1.VolumeSource{}) {
		return v
	}

	return &corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// mountedBy returns the names of the volumes that an Injection mounts, in the
// pod's containers and in its own.
func mountedBy(s *v1alpha1.InjectionSpec) (names []string) {
	for _, m := range s.VolumeMounts {
		names = append(names, m.Name)
	}

	for _, c := range s.InitContainers {
		for _, m := range c.VolumeMounts {
			names = append(names, m.Name)
		}

		for _, d := range c.VolumeDevices {
			names = append(names, d.Name)
		}
	}

	return names
}
