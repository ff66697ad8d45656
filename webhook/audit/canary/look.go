package canary

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// look finds out why the API server did not ask about a pod that took it so long.
func (c *Canary) look(ctx context.Context, took time.Duration) finding {
	f, err := c.cause(ctx, took)
	if err != nil {
		return finding{Unexplained, "The cause can't be looked for; Telltale's log says why."}
	}

	return f
}

// cause looks at all that the API server needs to ask, in its order.
func (c *Canary) cause(ctx context.Context, took time.Duration) (finding, error) {
	configuration, err := c.registrations.Get(ctx, c.o.Registration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return finding{NotRegistered, fmt.Sprintf("There is no mutatingwebhookconfiguration/%s. Apply the manifests again.", c.o.Registration)}, nil
	}

	if err != nil {
		return finding{}, c.complain(ctx, fmt.Errorf("cannot read the registration: %w", err))
	}

	r := registration{entryOf(configuration), c.o.Registration, c.o.Home}
	if r.MutatingWebhook == nil {
		return finding{NotRegistered, fmt.Sprintf("mutatingwebhookconfiguration/%s has no entry %s. Apply the manifests again.", r.name, entry)}, nil
	}

	home, err := c.core.Namespaces().Get(ctx, c.o.Home, metav1.GetOptions{})
	if err != nil {
		return finding{}, c.complain(ctx, fmt.Errorf("cannot read the canary's namespace: %w", err))
	}

	if f := r.omits(home.Labels, pod().Labels); f.Result != "" {
		return f, nil
	}

	all, f, err := c.targets(ctx, r)
	if err != nil || f.Result != "" {
		return f, c.complain(ctx, err)
	}

	if f := greetAll(ctx, all, r); f.Result != "" {
		return f, nil
	}

	return r.rest(took), nil
}

// rest is the finding where all that was looked at is right.
func (r registration) rest(took time.Duration) finding {
	switch {
	case took >= r.patience():
		return finding{Timeout, fmt.Sprintf("The API server had no answer within %v, and Telltale can be reached from its own pods. "+
			"Look for a firewall or a NetworkPolicy between the control plane and Telltale's port 9443.", r.patience())}
	case len(r.MatchConditions) > 0:
		return r.conditions()
	default:
		return finding{Unexplained, "The registration selects new pods, and Telltale can be reached from its own pods. " +
			"See the log of the API server: failed calling webhook. Or another webhook takes the record away."}
	}
}

// servicePort is the port of Telltale's Service, in config/webhook/service.yaml. It is
// what the API server calls if the registration has none.
//
// Source: SetDefaults_ServiceReference, k8s.io/kubernetes v1.37.2
// pkg/apis/admissionregistration/v1/defaults.go.
const servicePort = 443

// target is one address that the API server may call.
type target struct {
	address string // with the port
	name    string // that the certificate must have
}

// targets are the addresses of the registration. A finding says why there is none.
func (c *Canary) targets(ctx context.Context, r registration) ([]target, finding, error) {
	if s := r.ClientConfig.URL; s != nil {
		to, path := parse(*s)
		if path != c.o.Path {
			return nil, misdirected(r, *s, "the path "+c.o.Path), nil
		}

		return []target{to}, finding{}, nil
	}

	s := r.ClientConfig.Service
	if s == nil || s.Path == nil || *s.Path != c.o.Path {
		return nil, misdirected(r, pathOf(s), c.o.Path), nil
	}

	if s.Namespace != c.o.Namespace || s.Name != c.o.Service {
		return nil, misdirected(r, "Service "+s.Namespace+"/"+s.Name, "Service "+c.o.Namespace+"/"+c.o.Service), nil
	}

	if s.Port != nil && *s.Port != servicePort {
		return nil, misdirected(r, fmt.Sprintf("port %d of Service %s", *s.Port, s.Name), fmt.Sprintf("port %d", servicePort)), nil
	}

	list, err := c.slices.List(ctx, metav1.ListOptions{LabelSelector: labels.Set{discoveryv1.LabelServiceName: s.Name}.String()})
	if err != nil {
		return nil, finding{}, fmt.Errorf("cannot list the endpoints of Service %s: %w", s.Name, err)
	}

	all := addresses(list.Items, s.Name+"."+s.Namespace+".svc")
	if len(all) == 0 {
		return nil, finding{NoEndpoints, fmt.Sprintf("Service %s has no endpoint that is ready. See: kubectl get service,endpointslices,pods -n %s.", s.Name, s.Namespace)}, nil
	}

	return all, finding{}, nil
}

// parse returns the address of a URL, and its path; none if it is no URL.
func parse(s string) (to target, path string) {
	u, err := url.Parse(s)
	if err != nil {
		return target{}, ""
	}

	return target{net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")), u.Hostname()}, u.Path
}

func misdirected(r registration, to, want string) finding {
	return finding{Misdirected, fmt.Sprintf("mutatingwebhookconfiguration/%s has the API server call %q, and not %s. Apply the manifests again.", r.name, to, want)}
}

func pathOf(s *admissionregistrationv1.ServiceReference) string {
	if s == nil || s.Path == nil {
		return ""
	}

	return *s.Path
}

// addresses are those of the endpoints that are ready, in order.
func addresses(all []discoveryv1.EndpointSlice, name string) (found []target) {
	for _, s := range all {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}

			for _, p := range s.Ports {
				if p.Port != nil && len(e.Addresses) > 0 {
					found = append(found, target{net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*p.Port))), name})
				}
			}
		}
	}

	slices.SortFunc(found, func(a, b target) int { return cmp.Compare(a.address, b.address) })

	return found
}
