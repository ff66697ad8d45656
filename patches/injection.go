package patches

import (
	"errors"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Injection is a compiled v1alpha1.Injection or ClusterInjection: everything
// about it that needs no pod is decided, and what it adds is JSON already. It
// is immutable and safe for use by many goroutines.
type Injection struct {
	// Namespace is empty for a ClusterInjection.
	Namespace, Name string
	// UID and Generation identify the object and its edit.
	UID        types.UID
	Generation int64
	// Deny is true where onFailure is Deny.
	Deny bool

	err        error  // nil: it can be used
	refused    string // why, where the API server said so
	revision   string
	selector   labels.Selector
	namespaces labels.Selector // nil: every namespace
	// Every selected pod, or its namespace, has one of these labels; if any.
	podRequired, namespaceRequired []labelPair
	order                          int32
	chooser                        *chooser // nil: labels are all that it chooses by

	include, exclude []string
	ownInit          bool
	placement        v1alpha1.Placements
	sidecars         bool
	onConflict       [edit.Kinds]v1alpha1.ConflictPolicy
	conflictFor      [edit.Kinds]bool // whether onConflictFor has it
	mode             v1alpha1.Mode

	items   [edit.Kinds][]edit.Item
	joins   map[string]*joining // env vars that are joined, by name
	mounted []string            // names of volumes that it mounts, in its containers too
	risks   risks

	required []Required // nil: nothing

	withdrawn *withdrawals // nil: every pod gets it
}

// labelPair is a label.
type labelPair struct{ key, value string }

// risks are the ways in which an Injection that is good by itself can make a pod
// that the API server refuses. Most Injections have none.
type risks struct {
	// security: a check of Pod Security may refuse the pod.
	security bool
	// validity: other fields of a pod can make it invalid.
	validity bool
	// profiles are annotations that would have to agree with it.
	profiles []string
}

// Err says why the Injection can't be used: the field, and its fault. It is nil for
// a good one.
func (in *Injection) Err() error { return in.err }

// Refused returns the Injection as one that can't be used, with what the API
// server has against it: it may know more than our own checks. With "" it is one
// that the API server takes. Our own checks come first.
func (in *Injection) Refused(text string) *Injection {
	if in.err != nil && in.refused == "" || text == in.refused {
		return in
	}

	next := *in
	next.refused, next.err = text, nil

	if text != "" {
		next.err = errors.New(text)
	}

	return &next
}

// Revision is a short hash of what the Injection adds to a pod, the same in
// every version of Telltale: "5f3c9a1b". An edit of its selector keeps it.
func (in *Injection) Revision() string { return in.revision }

// Mode is Active, Preview or Paused; or empty, which is Active.
func (in *Injection) Mode() v1alpha1.Mode { return in.mode }

// Cluster is true for a ClusterInjection.
func (in *Injection) Cluster() bool { return in.Namespace == "" }

// String is the name in a pod's record: "proxy", or "cluster/corp-ca" for a
// ClusterInjection.
func (in *Injection) String() string {
	if in.Cluster() {
		return "cluster/" + in.Name
	}

	return in.Name
}

// recorded is the Injection in a pod's record. It has no reason if it was applied.
func (in *Injection) recorded(why Reason) string {
	return v1alpha1.Recorded{Name: in.String(), Revision: in.revision, Reason: string(why)}.String()
}

// Title is the name in a sentence: `Injection "proxy"`, `ClusterInjection "corp-ca"`.
func (in *Injection) Title() string {
	if in.Cluster() {
		return `ClusterInjection "` + in.Name + `"`
	}

	return `Injection "` + in.Name + `"`
}

// position says where additions of a kind go.
func (in *Injection) position(k edit.Kind) edit.Position {
	last := true

	switch k {
	case edit.Env, edit.EnvFrom:
		last = in.placement.Env == v1alpha1.Last
	case edit.InitContainer:
		last = in.placement.InitContainers == v1alpha1.Last
	default:
		// The order of the others has no meaning.
	}

	if last {
		return edit.Last
	}

	return edit.First
}

// isForContainers tells whether the Injection has anything for containers.
func (in *Injection) isForContainers() bool {
	return len(in.items[edit.Env])+len(in.items[edit.EnvFrom])+len(in.items[edit.Mount]) > 0
}

// reachesList tells whether env, envFrom and mounts go to the container of a list.
func (in *Injection) reachesList(l *edit.List) bool {
	return in.reaches(l.Container.Name, l.IsInit, l.Container.IsSidecar())
}

// reaches tells whether env, envFrom and mounts go to a container. isSidecar is true
// for a native sidecar among the init containers.
func (in *Injection) reaches(name string, isInit, isSidecar bool) bool {
	if !in.isForKind(isInit, isSidecar) {
		return false
	}

	named := func(glob string) bool {
		ok, err := path.Match(glob, name)

		return ok && err == nil
	}

	return (len(in.include) == 0 || slices.ContainsFunc(in.include, named)) && !slices.ContainsFunc(in.exclude, named)
}

// isForKind tells whether env, envFrom and mounts go to app containers, to init
// containers or to native sidecars at all.
func (in *Injection) isForKind(isInit, isSidecar bool) bool {
	return !isInit || in.ownInit || isSidecar && in.sidecars
}

// ReadsContent tells whether the Injection chooses pods by their images or
// annotations. Other webhooks change these after Telltale's answer.
func (in *Injection) ReadsContent() bool { return in.chooser.reads() }

// Chooses tells whether the selectors that choose by more than labels take a pod.
func (in *Injection) Chooses(t Traits) bool { return in.chooser.chooses(t) }

// HasLabels tells whether the Injection adds labels.
func (in *Injection) HasLabels() bool { return len(in.items[edit.Label]) > 0 }

// InitContainers returns the names of the init containers that the Injection adds.
func (in *Injection) InitContainers() []string {
	names := make([]string, len(in.items[edit.InitContainer]))
	for i := range names {
		names[i] = in.items[edit.InitContainer][i].Key
	}

	return names
}

// Required returns the objects that the Injection requires, each once; nil for most.
func (in *Injection) Required() []Required { return in.required }

// cure says in a sentence how a conflict ends: at its other side, or by the field that
// decides about conflicts of its kind.
func (in *Injection) cure(there string, k edit.Kind) string {
	field := "onConflict"
	if in.conflictFor[k] {
		field = "onConflictFor." + k.Field()
	}

	return there + ", or set " + field + " on the Injection."
}
