package explain

import (
	"context"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// The names of Telltale's own objects, as config/ has them.
const (
	registrationName = "telltale"
	homeNamespace    = "telltale-system"
	stopName         = "telltale-stop"
)

// Unread is something that could not be read.
type Unread struct {
	What string `json:"what"`
	Why  string `json:"why"`
	// Decides is true if the answer may be another one because of it.
	Decides bool `json:"decides"`
}

// reader reads with the user's rights, and takes note of all that it may not read.
type reader struct {
	client.Client

	unread []Unread
}

// list reads a list; false if it can't.
func (r *reader) list(ctx context.Context, what string, decides bool, list client.ObjectList, o ...client.ListOption) bool {
	return r.note(what, decides, r.Client.List(ctx, list, o...))
}

// get reads an object. If there is none, found is false and known is true.
func (r *reader) get(ctx context.Context, what string, decides bool, o client.Object, namespace, name string) (found, known bool) {
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o)
	if apierrors.IsNotFound(err) {
		return false, true
	}

	known = r.note(what, decides, err)

	return known, known
}

func (r *reader) note(what string, decides bool, err error) bool {
	if meta.IsNoMatchError(err) && !decides {
		return true // an older API server: there are none
	}

	if err != nil {
		r.unread = append(r.unread, Unread{What: what, Why: reasonOf(err), Decides: decides})
	}

	return err == nil
}

// reasonOf is an error in a few words.
func reasonOf(err error) string {
	switch {
	case apierrors.IsForbidden(err):
		return "you may not read it (forbidden)"
	case meta.IsNoMatchError(err):
		return "this API server does not have the kind: is Telltale installed?"
	default:
		return strings.TrimSpace(err.Error())
	}
}

// facts are all that was read about a namespace.
type facts struct {
	*verdict.Cluster

	namespace    *corev1.Namespace // nil: not read
	registration *admissionregistrationv1.MutatingWebhookConfiguration
	known        bool // whether there is a registration
	endpoints    int  // that are ready; -1: not known
	calls        []Call
	callsKnown   bool
	unread       []Unread
	unseen       map[string]string // required objects that could not be read, and why
	release      release
}

// readFacts reads all that decides about the pods of a namespace.
func readFacts(ctx context.Context, r *reader, namespace string) (*facts, error) {
	f := &facts{endpoints: -1}

	objects := f.readInjections(ctx, r, namespace)
	objects = append(objects, f.readRules(ctx, r, namespace)...)
	f.readRegistration(ctx, r)

	if f.registration != nil {
		objects = append(objects, f.registration)
	}

	var err error
	if f.Cluster, err = verdict.New(objects...); err != nil {
		return nil, err
	}

	if why := stopOf(ctx, r, objects); why != "" {
		f.Cluster = f.Stopped(why)
	}

	f.readRequired(ctx, r, namespace)
	f.readCalls(ctx, r)
	f.unread = r.unread

	return f, nil
}

func (f *facts) readInjections(ctx context.Context, r *reader, namespace string) (objects []client.Object) {
	var own v1alpha1.InjectionList
	r.list(ctx, "Injections of namespace "+namespace, true, &own, client.InNamespace(namespace))

	for i := range own.Items {
		objects = append(objects, &own.Items[i])
	}

	var cluster v1alpha1.ClusterInjectionList
	r.list(ctx, "ClusterInjections", true, &cluster)

	for i := range cluster.Items {
		objects = append(objects, &cluster.Items[i])
	}

	return objects
}

// readRules reads what judges the pods of the namespace.
func (f *facts) readRules(ctx context.Context, r *reader, namespace string) (objects []client.Object) {
	var ns corev1.Namespace

	switch found, known := r.get(ctx, "the labels of namespace "+namespace, true, &ns, "", namespace); {
	case found:
		f.namespace = &ns
		objects = append(objects, &ns)
	case known:
		r.unread = append(r.unread, Unread{What: "namespace " + namespace, Why: "it is not there: create it first, or name another one with -n", Decides: true})
	}

	var limits corev1.LimitRangeList
	r.list(ctx, "LimitRanges of namespace "+namespace, true, &limits, client.InNamespace(namespace))

	for i := range limits.Items {
		objects = append(objects, &limits.Items[i])
	}

	var quotas corev1.ResourceQuotaList
	r.list(ctx, "ResourceQuotas of namespace "+namespace, true, &quotas, client.InNamespace(namespace))

	for i := range quotas.Items {
		objects = append(objects, &quotas.Items[i])
	}

	var accounts corev1.ServiceAccountList
	r.list(ctx, "ServiceAccounts of namespace "+namespace, false, &accounts, client.InNamespace(namespace))

	for i := range accounts.Items {
		objects = append(objects, &accounts.Items[i])
	}

	return objects
}

func (f *facts) readRegistration(ctx context.Context, r *reader) {
	var c admissionregistrationv1.MutatingWebhookConfiguration

	found, known := r.get(ctx, "mutatingwebhookconfiguration/"+registrationName, true, &c, "", registrationName)
	if f.known = known; !found {
		return
	}

	f.registration = &c

	entry := verdict.Entry(&c)
	if entry == nil || entry.ClientConfig.Service == nil {
		return
	}

	s := entry.ClientConfig.Service

	var list discoveryv1.EndpointSliceList
	if !r.list(ctx, fmt.Sprintf("the endpoints of Service %s in namespace %s", s.Name, s.Namespace), false, &list,
		client.InNamespace(s.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: s.Name}) {
		return
	}

	f.endpoints = 0

	for i := range list.Items {
		for _, e := range list.Items[i].Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				f.endpoints += len(e.Addresses)
			}
		}
	}
}

// stopOf tells why all injection is stopped; "" if it is not. If the ConfigMap can't
// be read, the status of the Injections says it.
func stopOf(ctx context.Context, r *reader, objects []client.Object) string {
	for _, o := range objects {
		ready := meta.FindStatusCondition(verdict.StatusOf(o).Conditions, v1alpha1.ReadyCondition)
		if ready == nil {
			continue
		}

		if ready.Status == metav1.ConditionFalse && ready.Reason == "Stopped" {
			return ready.Message
		}
	}

	var c corev1.ConfigMap
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: homeNamespace, Name: stopName}, &c); err != nil {
		return ""
	}

	return fmt.Sprintf("ConfigMap %s in namespace %s stops all injection. To end that: kubectl delete configmap %s --namespace %s",
		stopName, homeNamespace, stopName, homeNamespace)
}
