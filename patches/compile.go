package patches

import (
	"encoding/json"
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Injection is a compiled v1alpha1.Injection or ClusterInjection: everything
// about it that needs no pod is decided, and what it adds is JSON already. It
// is immutable and safe for use by many goroutines.
type Injection struct {
	// Namespace is empty for a ClusterInjection.
	Namespace, Name string
	// UID and Generation say which edit of which object this is.
	UID        types.UID
	Generation int64
	// Deny is true where onFailure is Deny.
	Deny bool

	err        error
	selector   labels.Selector
	namespaces labels.Selector // nil: every namespace
	// Labels of which every selected pod, or its namespace, has one; if any.
	podRequired, namespaceRequired []labelPair
	order                          int32

	include, exclude []string
	ownInit          bool
	placement        v1alpha1.Placements
	onConflict       v1alpha1.ConflictPolicy

	env, envFrom, mounts        []item
	volumes, initContainers     []item
	pullSecrets                 []item
	labels, annotations         []item
	mountedVolumes, initVolumes []string

	guarded  bool     // it can make a Pod Security level refuse a pod
	secrets  bool     // it refers to a Secret, or to a token
	risky    bool     // other fields of a pod can make it invalid
	profiled []string // annotations that would have to agree with it
}

// item is one thing to add to a list or a map of the pod.
type item struct {
	// key is what must be unique in the list: a name, a mount path, or, for
	// envFrom, the whole.
	key string
	// json is the element, encoded.
	json []byte
	// value is the declared value where it is compared typed (a corev1.EnvVar
	// or a corev1.VolumeMount; lists of the others compare the JSON), or where
	// Pod Security looks at it (a *corev1.Volume, a *corev1.Container, or an
	// annotation's string).
	value any
}

// Compile prepares an Injection. It always returns one: what can't be used
// says so in Err, and fails on every pod that it selects. One whose selector
// can't be used selects nothing.
func Compile(in *v1alpha1.Injection) *Injection {
	return compile(&in.ObjectMeta, &in.Spec, nil)
}

// CompileCluster prepares a ClusterInjection, as Compile does an Injection.
func CompileCluster(in *v1alpha1.ClusterInjection) *Injection {
	return compile(&in.ObjectMeta, &in.Spec.InjectionSpec, in.Spec.NamespaceSelector)
}

// Err says why the Injection can't be used: the field, and what is wrong with
// it. It is nil for a good one.
func (in *Injection) Err() error { return in.err }

// Cluster is true for a ClusterInjection.
func (in *Injection) Cluster() bool { return in.Namespace == "" }

// String is the name in a pod's annotations: "proxy", or "cluster/corp-ca" for
// a ClusterInjection.
func (in *Injection) String() string {
	if in.Cluster() {
		return "cluster/" + in.Name
	}

	return in.Name
}

func (in *Injection) title() string {
	if in.Cluster() {
		return fmt.Sprintf("ClusterInjection %q", in.Name)
	}

	return fmt.Sprintf("Injection %q", in.Name)
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
		onConflict: s.OnConflict,
	}

	if in.err = in.compileSelectors(s.Selector, namespaces); in.err != nil {
		in.selector = labels.Nothing()

		return in
	}

	in.compileItems(s)
	if in.err = validate(s); in.err == nil {
		in.err = validateAsPod(s)
	}

	in.compileRisks(s)

	return in
}

func (in *Injection) compileSelectors(pods, namespaces *metav1.LabelSelector) error {
	if pods == nil {
		return fmt.Errorf("spec.selector is missing: use {} to select every pod")
	}

	selector, err := metav1.LabelSelectorAsSelector(pods)
	if err != nil {
		return fmt.Errorf("spec.selector does not parse: %w", err)
	}

	in.selector, in.podRequired, in.namespaceRequired = selector, requiredBy(pods), requiredBy(namespaces)

	if namespaces == nil {
		return nil
	}

	if in.namespaces, err = metav1.LabelSelectorAsSelector(namespaces); err != nil {
		return fmt.Errorf("spec.namespaceSelector does not parse: %w", err)
	}

	return nil
}

func (in *Injection) compileItems(s *v1alpha1.InjectionSpec) {
	for _, e := range s.Env {
		in.env = append(in.env, item{key: e.Name, json: encode(e), value: e})
	}

	for _, e := range s.EnvFrom {
		in.envFrom = append(in.envFrom, item{key: string(encode(e)), json: encode(e)})
	}

	for _, m := range s.VolumeMounts {
		in.mounts = append(in.mounts, item{key: path.Clean(m.MountPath), json: encode(m), value: m})
		in.mountedVolumes = append(in.mountedVolumes, m.Name)
	}

	for i := range s.Volumes {
		v := &s.Volumes[i]
		in.volumes = append(in.volumes, item{key: v.Name, json: encode(v), value: withSource(v)})
	}

	for i := range s.InitContainers {
		c := &s.InitContainers[i]
		in.initContainers = append(in.initContainers, item{key: c.Name, json: encode(c), value: c})
		in.initVolumes = append(in.initVolumes, mountedBy(c)...)
	}

	for _, r := range s.ImagePullSecrets {
		in.pullSecrets = append(in.pullSecrets, item{key: r.Name, json: encode(r)})
	}

	in.labels = stringItems(s.Labels)
	in.annotations = stringItems(s.Annotations)
	in.compileGuarded()
}

// withSource is a volume as the API server sees it: without a source it is an
// emptyDir.
//
// Source: SetDefaults_Volume, k8s.io/kubernetes v1.36.3
// pkg/apis/core/v1/defaults.go.
func withSource(v *corev1.Volume) *corev1.Volume {
	if v.VolumeSource != (corev1.VolumeSource{}) {
		return v
	}

	return &corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func mountedBy(c *corev1.Container) []string {
	var names []string
	for _, m := range c.VolumeMounts {
		names = append(names, m.Name)
	}

	for _, d := range c.VolumeDevices {
		names = append(names, d.Name)
	}

	return names
}

// encode never fails: the values come out of the API server as JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}

	return b
}
