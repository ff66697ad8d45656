// Package verdict says what becomes of a pod, with the webhook's own code: objects
// in, a verdict out. There is no I/O, so a cluster can be read from an API server
// or from files.
//
//	cluster, err := verdict.New(objects...)
//	v := cluster.Judge(ctx, verdict.Pod{Namespace: "shop", JSON: raw})
//
// Given the JSON that the API server sends in a review, the patch and the failures
// are those of the webhook, byte for byte (TestJudgeIsTheWebhook).
package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Cluster is all that decides what becomes of pods. It does not change.
type Cluster struct {
	set        *patches.Set
	injections map[types.NamespacedName]client.Object // Injections and ClusterInjections
	namespaces map[string]map[string]string
	limits     map[string][]*corev1.LimitRange
	quotas     map[string][]*corev1.ResourceQuota
	accounts   map[types.NamespacedName]*corev1.ServiceAccount
	held       *held
	webhook    *admissionregistrationv1.MutatingWebhook
	stop       string // why all injection is stopped
	release    *patches.Release
}

// New returns a cluster of objects: Injections, ClusterInjections, and Namespaces,
// LimitRanges, ResourceQuotas, ServiceAccounts, ConfigMaps, Secrets. A MutatingWebhookConfiguration is
// Telltale's registration: without one, every pod is asked about that has not
// opted out. A ResourceQuota without a status has the one that it will get.
func New(objects ...client.Object) (*Cluster, error) {
	c := &Cluster{
		set: &patches.Set{}, injections: map[types.NamespacedName]client.Object{}, namespaces: map[string]map[string]string{},
		limits: map[string][]*corev1.LimitRange{}, quotas: map[string][]*corev1.ResourceQuota{},
		accounts: map[types.NamespacedName]*corev1.ServiceAccount{}, held: newHeld(),
	}

	var (
		compiled []*patches.Injection
		errs     []error
	)

	for _, o := range objects {
		switch o := o.(type) {
		case *v1alpha1.Injection:
			compiled = append(compiled, patches.Compile(o).Judged(&o.Status))
			errs = append(errs, c.add(o))
		case *v1alpha1.ClusterInjection:
			compiled = append(compiled, patches.CompileCluster(o).Judged(&o.Status))
			errs = append(errs, c.add(o))
		default:
			errs = append(errs, c.addRule(o))
		}
	}

	c.set = c.set.With(compiled...)

	for _, all := range c.limits {
		slices.SortFunc(all, byName[*corev1.LimitRange])
	}

	for _, all := range c.quotas {
		slices.SortFunc(all, byName[*corev1.ResourceQuota])
	}

	return c, errors.Join(errs...)
}

func (c *Cluster) add(o client.Object) error {
	name := client.ObjectKeyFromObject(o)
	if c.injections[name] != nil {
		return fmt.Errorf("%s is there twice", titleOf(o))
	}

	c.injections[name] = o

	return nil
}

// addRule adds what judges pods.
func (c *Cluster) addRule(o client.Object) error {
	if c.held.add(o) {
		return nil
	}

	in := o.GetNamespace()

	switch o := o.(type) {
	case *corev1.Namespace:
		c.namespaces[o.Name] = o.Labels
		if o.Labels == nil {
			c.namespaces[o.Name] = map[string]string{}
		}
	case *corev1.LimitRange:
		if patches.LimitJudges(o) {
			c.limits[in] = append(c.limits[in], o)
		}
	case *corev1.ResourceQuota:
		if o.Status.Hard == nil {
			o = o.DeepCopy()
			o.Status.Hard = o.Spec.Hard
		}

		if patches.QuotaJudges(o) {
			c.quotas[in] = append(c.quotas[in], o)
		}
	case *corev1.ServiceAccount:
		c.accounts[client.ObjectKeyFromObject(o)] = o
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		c.webhook = Entry(o)
	default:
		return fmt.Errorf("%T decides about no pod", o)
	}

	return nil
}

// Stopped returns the cluster with all injection stopped, for a reason.
func (c *Cluster) Stopped(why string) *Cluster {
	next := *c
	next.stop = why

	return &next
}

// Of returns the cluster with an API server of a release, so that pods from files lose
// the fields that it does not keep. Without one they keep all.
func (c *Cluster) Of(r patches.Release) *Cluster {
	next := *c
	next.release = &r

	return &next
}

// Namespace is our knowledge of a namespace.
func (c *Cluster) Namespace(name string) patches.Namespace {
	labels, known := c.namespaces[name]

	return patches.Namespace{Name: name, Labels: labels, Known: known, Limits: c.limits[name], Quotas: c.quotas[name], Objects: c.held}
}

// Match returns the Injections that select a pod, as the webhook's own Matcher does.
func (c *Cluster) Match(pod patches.Traits, namespace string) ([]patches.Match, error) {
	if c.stop != "" {
		return nil, nil
	}

	return c.set.Match(pod, c.Namespace(namespace)), nil
}

// ReadsImages tells whether an Injection chooses pods by their images.
func (c *Cluster) ReadsImages() bool { return c.set.ReadsImages() }

// Previews returns the Injections with mode: Preview that select a pod, as the
// webhook's own function does.
func (c *Cluster) Previews(pod patches.Traits, namespace string) []patches.Match {
	if c.stop != "" {
		return nil
	}

	return c.set.Previews(pod, c.Namespace(namespace))
}

// Reach returns the Injections that can select a pod of a namespace, in the order of
// their names: ClusterInjections first.
func (c *Cluster) Reach(namespace string) (all []*patches.Injection) {
	for _, bucket := range []string{"", namespace} {
		names := c.set.Names(bucket)
		slices.Sort(names)

		for _, name := range names {
			all = append(all, c.set.Get(bucket, name))
		}

		if namespace == "" {
			break
		}
	}

	return all
}

// Object returns the object of an Injection.
func (c *Cluster) Object(in *patches.Injection) client.Object {
	return c.injections[types.NamespacedName{Namespace: in.Namespace, Name: in.Name}]
}

// Account returns a ServiceAccount, or nil.
func (c *Cluster) Account(namespace, name string) *corev1.ServiceAccount {
	return c.accounts[types.NamespacedName{Namespace: namespace, Name: cmp.Or(name, "default")}]
}

// Revision is that of an Injection or a ClusterInjection.
func Revision(o client.Object) string {
	switch o := o.(type) {
	case *v1alpha1.Injection:
		return patches.Compile(o).Revision()
	case *v1alpha1.ClusterInjection:
		return patches.CompileCluster(o).Revision()
	default:
		return ""
	}
}

// StatusOf returns the status of an Injection or a ClusterInjection.
func StatusOf(o client.Object) *v1alpha1.InjectionStatus {
	switch o := o.(type) {
	case *v1alpha1.Injection:
		return &o.Status
	case *v1alpha1.ClusterInjection:
		return &o.Status
	default:
		return &v1alpha1.InjectionStatus{}
	}
}

func titleOf(o client.Object) string {
	if o.GetNamespace() == "" {
		return fmt.Sprintf("ClusterInjection %q", o.GetName())
	}

	return fmt.Sprintf("Injection %q of namespace %s", o.GetName(), o.GetNamespace())
}

func byName[T metav1.Object](a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) }
