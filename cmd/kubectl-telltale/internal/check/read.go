package check

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// got is an object that was asked for, or why there is none.
type got[T any] struct {
	o   T
	err error
}

func (g got[T]) isMissing() bool { return apierrors.IsNotFound(g.err) }

// found is all that was read.
type found struct {
	settings

	version      string                       // of the API server
	ours         []*unstructured.Unstructured // the CRDs of the manifests
	crds         map[string]got[*unstructured.Unstructured]
	home, canary got[*corev1.Namespace]
	registration got[*admissionregistrationv1.MutatingWebhookConfiguration]
	deployment   got[*appsv1.Deployment]
	endpoints    got[*discoveryv1.EndpointSliceList]
	networks     got[*networkingv1.NetworkPolicyList]
	stop         got[*corev1.ConfigMap]
	leader       got[*coordinationv1.Lease]
	auditLease   got[*coordinationv1.Lease]
	canaryLease  got[*coordinationv1.Lease]
	probe        got[*corev1.Pod]
	injections   got[*v1alpha1.InjectionList]
	clusterWide  got[*v1alpha1.ClusterInjectionList]
	missing      got[[]string] // rights that Telltale lacks
}

func read(ctx context.Context, c client.Client, s settings) (*found, error) {
	f := &found{settings: s, crds: map[string]got[*unstructured.Unstructured]{}}

	var err error
	if f.ours, err = manifests("crd"); err != nil {
		return nil, err
	}

	for _, crd := range f.ours {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(crd.GroupVersionKind())
		f.crds[crd.GetName()] = get(ctx, c, u, "", crd.GetName())
	}

	f.home, f.canary = get(ctx, c, &corev1.Namespace{}, "", s.namespace), get(ctx, c, &corev1.Namespace{}, "", s.canaryHome)
	f.registration = get(ctx, c, &admissionregistrationv1.MutatingWebhookConfiguration{}, "", s.registration)
	f.deployment = get(ctx, c, &appsv1.Deployment{}, s.namespace, "telltale")
	f.stop = get(ctx, c, &corev1.ConfigMap{}, s.namespace, "telltale-stop")
	f.leader = get(ctx, c, &coordinationv1.Lease{}, s.namespace, "telltale")
	f.auditLease = get(ctx, c, &coordinationv1.Lease{}, s.namespace, "telltale-audit")
	f.canaryLease = get(ctx, c, &coordinationv1.Lease{}, s.namespace, "telltale-canary")
	f.endpoints = list(ctx, c, &discoveryv1.EndpointSliceList{}, client.InNamespace(s.namespace), client.MatchingLabels{discoveryv1.LabelServiceName: f.service()})
	f.networks = list(ctx, c, &networkingv1.NetworkPolicyList{}, client.InNamespace(s.namespace))
	f.injections, f.clusterWide = list(ctx, c, &v1alpha1.InjectionList{}), list(ctx, c, &v1alpha1.ClusterInjectionList{})

	f.probe.o = probe(s.canaryHome)
	f.probe.err = c.Create(ctx, f.probe.o, client.DryRunAll)

	rules, err := rights(f.roles()...)
	if err != nil {
		return nil, err
	}

	f.missing.o, f.missing.err = lacking(ctx, c, s.namespace, rules)

	return f, ctx.Err()
}

func get[T client.Object](ctx context.Context, c client.Client, o T, namespace, name string) got[T] {
	return got[T]{o, c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, o)}
}

func list[T client.ObjectList](ctx context.Context, c client.Client, o T, options ...client.ListOption) got[T] {
	return got[T]{o, c.List(ctx, o, options...)}
}

// entry is Telltale's entry in the registration; nil if there is none.
func (f *found) entry() *admissionregistrationv1.MutatingWebhook {
	if f.registration.err != nil {
		return nil
	}

	at := slices.IndexFunc(f.registration.o.Webhooks, func(w admissionregistrationv1.MutatingWebhook) bool { return w.Name == "pods.telltale.dev" })
	if at < 0 {
		return nil
	}

	return &f.registration.o.Webhooks[at]
}

// service is the name of the Service that the API server calls.
func (f *found) service() string {
	if e := f.entry(); e != nil && e.ClientConfig.Service != nil {
		return e.ClientConfig.Service.Name
	}

	return "telltale-webhook"
}

// isOutside tells whether Telltale runs outside of the cluster, as make run does.
func (f *found) isOutside() bool {
	e := f.entry()

	return e != nil && e.ClientConfig.URL != nil
}

// roles are the folders of the manifests with the rights that this Telltale needs.
func (f *found) roles() []string {
	folders := []string{"rbac/role.yaml"}

	for flag, folder := range map[string]string{"--audit=false": "audit", "--canary-interval=0": "canary", "--cert-dir": "authority"} {
		if !f.hasFlag(flag) {
			folders = append(folders, folder)
		}
	}

	return folders
}

func (f *found) hasFlag(start string) bool {
	if f.deployment.err != nil || len(f.deployment.o.Spec.Template.Spec.Containers) == 0 {
		return false
	}

	return slices.ContainsFunc(f.deployment.o.Spec.Template.Spec.Containers[0].Args, func(arg string) bool { return strings.HasPrefix(arg, start) })
}

// lacking asks the API server which rights Telltale's service account lacks.
func lacking(ctx context.Context, c client.Client, home string, rules map[string][]rbacv1.PolicyRule) (lack []string, err error) {
	for namespace, all := range rules {
		if namespace == "telltale-system" {
			namespace = home
		}

		for _, a := range attributes(namespace, all) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + home + ":telltale",
				Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + home, "system:authenticated"},
				ResourceAttributes: &a,
			}}
			if err := c.Create(ctx, review); err != nil {
				return nil, err
			}

			if !review.Status.Allowed {
				lack = append(lack, nameOf(a))
			}
		}
	}

	slices.Sort(lack)

	return lack, nil
}

// attributes are the single rights that rules give.
func attributes(namespace string, rules []rbacv1.PolicyRule) (all []authorizationv1.ResourceAttributes) {
	for _, r := range rules {
		names := r.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}

		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				for _, name := range names {
					plural, sub, _ := strings.Cut(resource, "/")
					all = append(all, authorizationv1.ResourceAttributes{
						Namespace: namespace, Verb: verb, Group: r.APIGroups[0], Resource: plural, Subresource: sub, Name: name,
					})
				}
			}
		}
	}

	return all
}

func nameOf(a authorizationv1.ResourceAttributes) string {
	name := a.Verb + " " + schema.GroupResource{Group: a.Group, Resource: a.Resource}.String()
	if a.Subresource != "" {
		name += "/" + a.Subresource
	}

	if a.Name != "" {
		name += " " + a.Name
	}

	if a.Namespace != "" {
		name += " in " + a.Namespace
	}

	return name
}

// probe is a pod as the canary's: the strictest Pod Security level takes it.
func probe(namespace string) *corev1.Pod {
	resources := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}

	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "check-", Labels: map[string]string{"app.kubernetes.io/name": "telltale-canary"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "none", Image: "none", Resources: corev1.ResourceRequirements{Requests: resources, Limits: resources},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// outage is the part of the canary's mark that is read here.
type outage struct {
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Finding struct {
		Text string `json:"text"`
	} `json:"finding"`
}

// markOf reads a mark that Telltale keeps in an annotation of a Lease.
func markOf(l *coordinationv1.Lease, annotation string, into any) error {
	text := l.Annotations[annotation]
	if text == "" {
		return fmt.Errorf("the Lease %s has no annotation %s", l.Name, annotation)
	}

	return json.Unmarshal([]byte(text), into)
}
