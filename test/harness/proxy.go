package harness

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// Proxy stands between Telltale and the API server until the test ends: calls go
// through the handler that it gets from between. It returns the config of Telltale's
// service account that leads through it.
func Proxy(t *testing.T, cp *controlplane.ControlPlane, between func(next http.Handler) http.Handler) *rest.Config {
	t.Helper()
	upstream, err := rest.TransportFor(&rest.Config{Host: cp.Config.Host, TLSClientConfig: cp.Config.TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(cp.Config.Host)
	if err != nil {
		t.Fatal(err)
	}

	server := httptest.NewUnstartedServer(between(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:     upstream,
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
		// A caller of an API server that is away gets no answer either.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})

	user := telltale.ServiceAccount(cp)
	user.Host = server.URL
	user.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	return user
}
