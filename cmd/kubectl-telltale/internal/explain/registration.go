package explain

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
)

// Registration is how the API server is to ask Telltale.
type Registration struct {
	// Known is false if it could not be read.
	Known bool `json:"known"`
	// Found is true if there is one.
	Found bool `json:"found"`
	// To is the Service or the URL that is called.
	To            string `json:"to,omitempty"`
	FailurePolicy string `json:"failurePolicy,omitempty"`
	// Until is when the last certificate of caBundle ends. Whether the bundle goes with
	// the certificate that Telltale serves can't be told from here.
	Until *time.Time `json:"caBundleValidUntil,omitempty"`
	// Endpoints are those of the Service that are ready; absent if not known.
	Endpoints *int `json:"endpoints,omitempty"`
	// Conditional is true if it has match conditions, which are not evaluated.
	Conditional bool `json:"conditional,omitempty"`
	// Faults are what is wrong with it.
	Faults []string `json:"faults,omitempty"`
}

// register reports on the registration. A fault is a finding only if a pod needs it.
func (r *Report) register(f *facts, needed bool) {
	r.Registration = f.register()

	if needed {
		r.Findings = append(r.Findings, r.Registration.Faults...)
	}
}

func (f *facts) register() Registration {
	g := Registration{Known: f.known}

	var w *admissionregistrationv1.MutatingWebhook
	if f.registration != nil {
		w = verdict.Entry(f.registration)
	}

	switch {
	case !f.known:
		return g
	case f.registration == nil:
		g.fault("there is no mutatingwebhookconfiguration/%s, so Telltale is asked about no pod. Is it installed?", registrationName)

		return g
	case w == nil:
		g.fault("mutatingwebhookconfiguration/%s has no entry for pods, so Telltale is asked about none. Apply the manifests again.", registrationName)

		return g
	}

	g.Found, g.FailurePolicy, g.Conditional = true, policyOf(w.FailurePolicy), len(w.MatchConditions) > 0
	g.calls(&w.ClientConfig, f.endpoints)
	g.trusts(w.ClientConfig.CABundle)

	return g
}

func (g *Registration) fault(format string, args ...any) {
	g.Faults = append(g.Faults, fmt.Sprintf(format, args...))
}

// calls tells what is called. Fewer endpoints than none are not known.
func (g *Registration) calls(c *admissionregistrationv1.WebhookClientConfig, endpoints int) {
	switch {
	case c.URL != nil:
		g.To = *c.URL
	case c.Service != nil:
		g.To = fmt.Sprintf("Service %s in namespace %s", c.Service.Name, c.Service.Namespace)
	}

	if endpoints < 0 {
		return
	}

	if g.Endpoints = &endpoints; endpoints == 0 {
		g.fault("%s has no endpoint that is ready, so no pod gets its Injections. See: kubectl get pods --namespace %s", g.To, c.Service.Namespace)
	}
}

// trusts looks at the CAs that the API server trusts.
func (g *Registration) trusts(bundle []byte) {
	const of = "caBundle of mutatingwebhookconfiguration/" + registrationName

	switch until, ok := validUntil(bundle); {
	case len(bundle) == 0:
		g.fault(of + " is empty, so the API server trusts no answer. Telltale fills it in: see its log.")
	case !ok:
		g.fault(of + " is no certificate. Telltale puts it right: see its log.")
	default:
		if g.Until = &until; time.Now().After(until) {
			g.fault(of+" has expired at %s. Telltale renews it: see its log.", until.UTC().Format(time.DateOnly))
		}
	}
}

// validUntil is when the last certificate of a bundle ends.
func validUntil(bundle []byte) (until time.Time, ok bool) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.NotAfter.After(until) {
			until, ok = c.NotAfter, true
		}
	}

	return until, ok
}
