package explain

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

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
}

// register reports on the registration. It is a finding only if a pod needs it.
func (r *Report) register(f *facts, needed bool) {
	r.Registration.Known = f.known
	find := func(format string, args ...any) {
		if needed {
			r.find(format, args...)
		}
	}

	if !f.known {
		return
	}

	if f.registration == nil {
		find("there is no mutatingwebhookconfiguration/%s, so Telltale is not asked. Is it installed?", registrationName)

		return
	}

	w := verdict.Entry(f.registration)
	if w == nil {
		find("mutatingwebhookconfiguration/%s has no entry for pods, so Telltale is not asked. Apply the manifests again.", registrationName)

		return
	}

	g := &r.Registration
	g.Found, g.FailurePolicy, g.Conditional = true, policyOf(w.FailurePolicy), len(w.MatchConditions) > 0

	switch c := w.ClientConfig; {
	case c.URL != nil:
		g.To = *c.URL
	case c.Service != nil:
		g.To = fmt.Sprintf("Service %s in namespace %s", c.Service.Name, c.Service.Namespace)
	}

	if f.endpoints >= 0 {
		g.Endpoints = &f.endpoints

		if f.endpoints == 0 {
			find("%s has no endpoint that is ready, so no pod gets its Injections. See: kubectl get pods --namespace %s", g.To, w.ClientConfig.Service.Namespace)
		}
	}

	switch until, ok := validUntil(w.ClientConfig.CABundle); {
	case len(w.ClientConfig.CABundle) == 0:
		find("caBundle of mutatingwebhookconfiguration/%s is empty, so the API server trusts no answer. Telltale fills it in: see its log.", registrationName)
	case !ok:
		find("caBundle of mutatingwebhookconfiguration/%s is no certificate", registrationName)
	default:
		g.Until = &until

		if time.Now().After(until) {
			find("caBundle of mutatingwebhookconfiguration/%s has expired at %s", registrationName, until.UTC().Format(time.DateOnly))
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
