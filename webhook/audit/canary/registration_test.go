package canary

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestMatches has the canary's Injection applied to the canary pod, as the webhook
// does. It is of no other namespace.
func TestMatches(t *testing.T) {
	matches := Matches("home")
	if len(matches("shop")) != 0 || len(matches("home")) != 1 {
		t.Fatalf("it matches %d times in shop, %d times at home", len(matches("shop")), len(matches("home")))
	}

	if err := matches("home")[0].Err(); err != nil {
		t.Fatal(err)
	}

	p, err := patches.Decode([]byte(`{"metadata": {"generateName": "canary-"}, "spec": {"containers": [{"name": "none", "image": "none"}]}}`))
	if err != nil {
		t.Fatal(err)
	}

	result := patches.New(t.Context(), p, matches("home"))
	if len(result.Failed) > 0 || !strings.Contains(string(result.Patch), `"canary@`) {
		t.Errorf("it fails: %v, its patch is %s", result.Failed, result.Patch)
	}
}

// TestJudge judges pods that came back, and errors.
func TestJudge(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	with := func(annotations map[string]string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: annotations}}
	}
	webhook := func(name string) error {
		return apierrors.NewInternalError(&net.AddrError{Err: `failed calling webhook "` + name + `": failed to call webhook: connection refused`})
	}

	cases := map[string]struct {
		reason string
		pod    *corev1.Pod
		err    error
		want   verdict
		whole  bool
	}{
		"Whole":     {"It has the Injection.", with(map[string]string{v1alpha1.InjectedAnnotation: "canary@5f3c9a1b"}), nil, asked, true},
		"Overload":  {"Telltale was asked, and had too much to do.", with(map[string]string{v1alpha1.FailedAnnotation: "canary@5f3c9a1b=InjectionOverload"}), nil, asked, false},
		"Doubt":     {"Telltale was asked, and may not know all Injections.", with(map[string]string{v1alpha1.InjectedAnnotation: "canary@5f3c9a1b", v1alpha1.FailedAnnotation: "*=InjectionsNotLoaded"}), nil, asked, false},
		"Bare":      {"Telltale was not asked.", with(nil), nil, bypassed, false},
		"Fail":      {"With failurePolicy: Fail the API server refuses the pod instead.", nil, webhook(entry), bypassed, false},
		"OtherFail": {"Another webhook can't be called.", nil, webhook("pods.example.com"), unclear, false},
		"Quota":     {"A quota refuses it.", nil, apierrors.NewForbidden(pods, "", nil), unclear, false},
		"Away":      {"The API server is away.", nil, context.DeadlineExceeded, unclear, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if a := judge(tc.pod, tc.err); a.verdict != tc.want || a.whole != tc.whole || (a.err == nil) != (tc.want != unclear) {
				t.Errorf("%s\ngot %+v", tc.reason, a)
			}
		})
	}
}

// TestRules compares the rules of a registration with the creation of pods.
func TestRules(t *testing.T) {
	rule := func(operation admissionregistrationv1.OperationType, group, version, resource string, scope admissionregistrationv1.ScopeType) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{operation},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: []string{resource}, Scope: &scope},
		}
	}

	cases := map[string]struct {
		rule admissionregistrationv1.RuleWithOperations
		want bool
	}{
		"Ours":      {rule("CREATE", "", "v1", "pods", "Namespaced"), true},
		"All":       {rule("*", "*", "*", "*", "*"), true},
		"Operation": {rule("UPDATE", "", "v1", "pods", "Namespaced"), false},
		"Group":     {rule("CREATE", "apps", "v1", "pods", "Namespaced"), false},
		"Version":   {rule("CREATE", "", "v2", "pods", "Namespaced"), false},
		"Resource":  {rule("CREATE", "", "v1", "pods/*", "Namespaced"), false},
		"Scope":     {rule("CREATE", "", "v1", "pods", "Cluster"), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := hasPods(tc.rule); got != tc.want {
				t.Errorf("it has pods: %t, want %t", got, tc.want)
			}
		})
	}
}

// TestMisdirected has a registration call something else than Telltale's Service.
func TestMisdirected(t *testing.T) {
	c := &Canary{o: Options{Namespace: "telltale-system", Service: "telltale-webhook", Path: "/mutate"}}

	cases := map[string]struct {
		reason string
		change func(*admissionregistrationv1.WebhookClientConfig)
	}{
		"Path":    {"Another path.", func(to *admissionregistrationv1.WebhookClientConfig) { to.Service.Path = new("/other") }},
		"Service": {"Another Service.", func(to *admissionregistrationv1.WebhookClientConfig) { to.Service.Name = "other" }},
		"Port":    {"A port that the Service does not have.", func(to *admissionregistrationv1.WebhookClientConfig) { to.Service.Port = new(int32(8443)) }},
		"URL":     {"A URL with another path.", func(to *admissionregistrationv1.WebhookClientConfig) { to.URL = new("https://x/other") }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			to := admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
				Namespace: "telltale-system", Name: "telltale-webhook", Path: new("/mutate"), Port: new(int32(443)),
			}}
			tc.change(&to)

			r := registration{&admissionregistrationv1.MutatingWebhook{ClientConfig: to}, "telltale", "home"}

			if _, f, err := c.targets(t.Context(), r); err != nil || f.Result != Misdirected {
				t.Errorf("%s got %+v, %v", tc.reason, f, err)
			}
		})
	}
}

// TestGreet makes handshakes with real servers, as the API server would.
func TestGreet(t *testing.T) {
	const name = "telltale-webhook.telltale-system.svc"

	now := time.Now()
	good, ca := certify(t, name, now.Add(time.Hour))
	expired, expiredCA := certify(t, name, now.Add(-time.Minute))
	other, otherCA := certify(t, "localhost", now.Add(time.Hour))

	serve := func(c tls.Certificate) net.Listener {
		return server(t, &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12})
	}
	wants := func(version uint16) net.Listener {
		return server(t, &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAnyClientCert})
	}

	cases := map[string]struct {
		reason string
		to     net.Listener
		bundle []byte
		want   Result
		text   string
	}{
		"Well":             {"The certificate is trusted.", serve(good), ca, "", ""},
		"Old":              {"A caBundle has the old CA as well, while it rotates.", serve(good), append(otherCA, ca...), "", ""},
		"WantsACaller12":   {"--client-ca-file: its own certificate was verified before.", wants(tls.VersionTLS12), ca, "", ""},
		"WantsACaller13":   {"--client-ca-file: its own certificate was verified before.", wants(tls.VersionTLS13), ca, "", ""},
		"OtherCA":          {"It is of another CA.", serve(good), otherCA, Certificate, "is not of a CA in caBundle"},
		"Empty":            {"Without a caBundle the machine's CAs count.", serve(good), nil, Certificate, "is empty"},
		"NoCA":             {"A caBundle may be any text.", serve(good), []byte("no"), Certificate, "holds no certificate"},
		"Expired":          {"The text has no time: it would be another one at each look.", serve(expired), expiredCA, Certificate, "has expired, or is not valid yet."},
		"OtherName":        {"The API server asks for the Service's name.", serve(other), otherCA, Certificate, "is not for " + name},
		"NoTLS":            {"Something else answers.", plain(t, "HTTP/1.0 400 Bad Request\r\n\r\n"), ca, Misdirected, "answers, but not as Telltale does"},
		"Silent":           {"It takes the connection, and says nothing.", accept(t, func(net.Conn) { <-t.Context().Done() }), ca, Timeout, "does not answer"},
		"Ends":             {"It takes the connection, and ends it.", plain(t, ""), ca, Refused, "ends in its handshake"},
		"NobodyIsThere":    {"The port is closed.", nil, ca, Refused, "connection refused"},
		"UnknownButClosed": {"A closed port is no matter of certificates.", nil, nil, Refused, "connection refused"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			address := closed(t)
			if tc.to != nil {
				address = tc.to.Addr().String()
			}

			patience := int32(30)
			if tc.want == Timeout {
				patience = 1
			}

			r := registration{&admissionregistrationv1.MutatingWebhook{TimeoutSeconds: &patience, ClientConfig: admissionregistrationv1.WebhookClientConfig{CABundle: tc.bundle}}, "telltale", "home"}

			f := greetAll(t.Context(), []target{{address, "telltale-webhook.telltale-system.svc"}}, r)
			if f.Result != tc.want || !strings.Contains(f.Text, tc.text) {
				t.Errorf("%s\ngot %+v", tc.reason, f)
			}
		})
	}
}

// certify makes a CA, and a certificate of it.
func certify(t *testing.T, name string, until time.Time) (tls.Certificate, []byte) {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{name},
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}

	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// server greets everyone until the test ends.
func server(t *testing.T, config *tls.Config) net.Listener {
	t.Helper()

	return accept(t, func(conn net.Conn) { _ = tls.Server(conn, config).HandshakeContext(context.Background()) })
}

// plain answers with a text.
func plain(t *testing.T, text string) net.Listener {
	t.Helper()

	return accept(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_, _ = conn.Write([]byte(text))
	})
}

func accept(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = l.Close() })

	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}

			go func() {
				serve(conn)
				_ = conn.Close()
			}()
		}
	}()

	return l
}

// closed is an address that nothing listens on.
func closed(t *testing.T) string {
	t.Helper()

	l := accept(t, func(net.Conn) {})
	_ = l.Close()

	return l.Addr().String()
}

// TestResultsAreInTheDocs holds that docs/operate.md says what to do about each cause.
func TestResultsAreInTheDocs(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}

	for _, r := range Results() {
		if !strings.Contains(string(docs), "| `"+string(r)+"` |") {
			t.Errorf("docs/operate.md has no row for %s", r)
		}
	}
}
