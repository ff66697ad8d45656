//go:build apiserver

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// canaryInterval is that of the tests. While the state may turn, it is a sixth.
const canaryInterval = time.Second

// canaryCase is a cluster whose API server calls the addresses of Telltale's Service,
// as its endpoints have them.
type canaryCase struct {
	*cluster

	pods     []string // of Telltale's Deployment
	replicas []*telltale.Replica
	relays   []*relay
}

// startCanary starts some replicas, each as a pod of Telltale's Deployment, behind
// the Service. Without flags, they have the interval of the tests.
func startCanary(t *testing.T, replicas int, flags ...string) *canaryCase {
	t.Helper()

	if len(flags) == 0 {
		flags = []string{"--canary-interval=" + canaryInterval.String()}
	}

	c := &canaryCase{cluster: &cluster{ControlPlane: harness.ControlPlane(t, controlplane.Options{
		APIServerFlags: []string{"--enable-aggregator-routing"}, // it calls endpoints, as there is no kube-proxy
	}), dir: t.TempDir()}}
	c.sync(t, "1")
	c.kubectl(t, "create", "namespace", "shop")
	c.registered(t)
	c.apply(t, service)
	c.kubectl(t, "apply", "-k", "../../config/manager")
	c.matches(t, `^pod/\S+\npod/\S+\n$`, "get", "pods", "-n", "telltale-system", "-o", "name")
	c.pods = strings.Fields(c.kubectl(t, "get", "pods", "-n", "telltale-system", "-o", "jsonpath={.items[*].metadata.name}"))

	for i := range replicas {
		r := harness.Replica(t, telltale.Options{
			Program: program, Config: telltale.ServiceAccount(c.ControlPlane), Dir: c.dir,
			Flags: append([]string{"--dns-names=telltale-webhook.telltale-system.svc"}, flags...),
		})
		c.replicas, c.relays = append(c.replicas, r), append(c.relays, newRelay(t, r.Port))

		if i == 0 { // the canary would find that there is none
			c.back(t, i)
		}

		c.start(t, i)
		c.back(t, i)
	}

	c.finds(t, "well")
	c.has(t, 0, 0)

	return c
}

// service is Telltale's Service, without a selector: the tests write its endpoints.
const service = `
apiVersion: v1
kind: Service
metadata: {name: telltale-webhook, namespace: telltale-system}
spec: {ports: [{name: webhook, port: 443, targetPort: 9443}]}
`

// registered has the registration name the Service, as in config/default.
func (c *canaryCase) registered(t *testing.T, operations ...string) {
	t.Helper()
	c.spoil(t, append(operations, `{"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"service":
		{"name": "telltale-webhook", "namespace": "telltale-system", "path": "/mutate--v1-pod"}}}`)...)
}

// spoil changes the registration.
func (c *canaryCase) spoil(t *testing.T, operations ...string) {
	t.Helper()
	c.kubectl(t, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch=["+strings.Join(operations, ", ")+"]")
}

// start starts a replica as its pod.
func (c *canaryCase) start(t *testing.T, i int) {
	t.Helper()
	t.Setenv("POD_NAME", c.pods[i])
	harness.Start(t, c.replicas[i])
	harness.WaitReady(t, c.replicas[i])
}

// back makes a replica an endpoint of the Service.
func (c *canaryCase) back(t *testing.T, i int) {
	t.Helper()
	c.relays[i].open(true)
	c.address(t, i, c.relays[i].port)
}

// endpoint makes a port of this machine an endpoint of the Service in place of a
// replica.
func (c *canaryCase) endpoint(t *testing.T, i int, port string) {
	t.Helper()
	c.address(t, i, port)
	c.relays[i].open(false)
}

// noEndpoint takes a replica out of the Service, as if its pod were gone.
func (c *canaryCase) noEndpoint(t *testing.T, i int) {
	t.Helper()
	c.kubectl(t, "delete", "endpointslice", "-n", "telltale-system", fmt.Sprintf("telltale-%d", i))
	c.relays[i].open(false)
}

// address is that of the endpoint. It can't be on loopback.
func (c *canaryCase) address(t *testing.T, i int, port string) {
	t.Helper()

	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}

	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			c.apply(t, fmt.Sprintf(endpoints, i, n.IP, port))

			return
		}
	}

	t.Fatal("this machine has no address but loopback")
}

const endpoints = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: telltale-%d, namespace: telltale-system, labels: {kubernetes.io/service-name: telltale-webhook}}
addressType: IPv4
endpoints: [{addresses: [%s], conditions: {ready: true}}]
ports: [{name: webhook, port: %s}]
`

// finds waits until the leader says what it has found.
func (c *canaryCase) finds(t *testing.T, result string) time.Duration {
	t.Helper()

	return harness.Eventually(t, "the canary finds "+result, func(ctx context.Context) error {
		var all error

		for _, r := range c.replicas {
			if n, err := r.Metric(ctx, "telltale_canary", result); err == nil && n == 1 {
				return nil
			} else if err != nil {
				all = errors.Join(all, err)
			}
		}

		return errors.Join(all, errors.New("no leader finds it"))
	})
}

// has checks that there are so many events of outages, and of their ends.
func (c *canaryCase) has(t *testing.T, bypassed, restored int) {
	t.Helper()

	for reason, want := range map[string]int{"WebhookBypassed": bypassed, "WebhookRestored": restored} {
		c.matches(t, fmt.Sprintf(`^(1 telltale\n){%d}$`, want), "get", "events", "-A", "--field-selector", "reason="+reason, "-o",
			`jsonpath={range .items[*]}{.count} {.involvedObject.name}{"\n"}{end}`)
	}
}

// says waits until describe of Telltale's Deployment has a text.
func (c *canaryCase) says(t *testing.T, text string) {
	t.Helper()
	c.matches(t, text, "describe", "deployment", "telltale", "-n", "telltale-system")
}

// leader waits until there is one, and returns its number.
func (c *canaryCase) leader(t *testing.T) (leader int) {
	t.Helper()
	harness.Eventually(t, "a leader", func(ctx context.Context) error {
		for i, r := range c.replicas {
			if n, err := r.Metric(ctx, "telltale_leader"); err == nil && n == 1 {
				leader = i

				return nil
			}
		}

		return errors.New("none")
	})

	return leader
}

// cause is one way to keep the API server from asking.
type cause struct {
	make, mend   func(t *testing.T)
	result, text string
}

// wholeCanary has the tests of the canary do all that they can: make canary.
var wholeCanary = flag.Bool("canary", false, "test every cause that the canary can find, and every step at which a leader can be killed")

// TestCanary makes each cause for real. Telltale's Deployment names it, once, and says
// once that it is over.
func TestCanary(t *testing.T) {
	c := startCanary(t, 1)
	causes := c.causes()
	names := []string{"Deleted", "Label", "NoEndpoints", "Stranger"}

	if *wholeCanary {
		names = slices.Sorted(maps.Keys(causes))
	}

	outages := 0

	for _, name := range names {
		tc := causes[name]
		well := t.Run(name, func(t *testing.T) {
			outages++

			tc.make(t)
			took := c.finds(t, tc.result)
			c.says(t, `Warning +WebhookBypassed .* telltale +New pods start without their Injections: the API server does not ask Telltale\. .*`+tc.text)
			t.Logf("named after %v, with an interval of %v", took, canaryInterval)
			c.has(t, outages, outages-1)
			tc.mend(t)
			c.finds(t, "well")
			c.says(t, `Normal +WebhookRestored .* telltale +The API server asks Telltale about new pods again, after`)
			c.has(t, outages, outages)
		})

		if !well {
			return // it is not mended
		}
	}
}

func (c *canaryCase) causes() map[string]cause {
	remove := func(path string) func(*testing.T) {
		return func(t *testing.T) { t.Helper(); c.spoil(t, `{"op": "remove", "path": "`+path+`"}`) }
	}
	spoil := func(operation, path, value string) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			c.spoil(t, fmt.Sprintf(`{"op": %q, "path": %q, "value": %s}`, operation, path, value))
		}
	}
	again := func(t *testing.T) {
		t.Helper()
		c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale", "--ignore-not-found") // it has no url
		c.sync(t, "1")
		c.registered(t)
	}
	kubectl := func(args ...string) func(*testing.T) { return func(t *testing.T) { t.Helper(); c.kubectl(t, args...) } }
	port := func(port func(*testing.T) string) func(*testing.T) {
		return func(t *testing.T) { t.Helper(); c.endpoint(t, 0, port(t)) }
	}
	back := func(t *testing.T) { t.Helper(); c.back(t, 0) }
	impatient, patient := spoil("replace", "/webhooks/0/timeoutSeconds", "1"), spoil("replace", "/webhooks/0/timeoutSeconds", "5")
	selector := `{"matchLabels": {"team": "a"}}`

	return map[string]cause{
		"Deleted": {
			kubectl("delete", "mutatingwebhookconfiguration", "telltale"), again,
			"not_registered", `There is no mutatingwebhookconfiguration/telltale`,
		},
		"Rules": {
			spoil("replace", "/webhooks/0/rules/0/resources", `["pods/exec"]`), spoil("replace", "/webhooks/0/rules/0/resources", `["pods"]`),
			"narrowed", `The rules of mutatingwebhookconfiguration/telltale have no CREATE of pods`,
		},
		"NamespaceSelector": {
			spoil("add", "/webhooks/0/namespaceSelector/matchExpressions/0/values/-", `"telltale-canary"`), remove("/webhooks/0/namespaceSelector/matchExpressions/0/values/2"),
			"narrowed", `The namespaceSelector of mutatingwebhookconfiguration/telltale leaves namespace telltale-canary out: kubernetes.io/metadata.name notin`,
		},
		"ObjectSelector": {
			spoil("add", "/webhooks/0/objectSelector/matchLabels", `{"team": "a"}`), remove("/webhooks/0/objectSelector/matchLabels"),
			"narrowed", `The objectSelector of mutatingwebhookconfiguration/telltale leaves the canary pod out: team=a`,
		},
		"MatchCondition": {
			spoil("add", "/webhooks/0/matchConditions", `[{"name": "of-shop", "expression": "request.namespace == 'shop'"}]`), remove("/webhooks/0/matchConditions"),
			"narrowed", `a match condition of mutatingwebhookconfiguration/telltale leaves the canary pod out, or fails: of-shop`,
		},
		"Label": {
			kubectl("label", "namespace", "telltale-canary", "telltale.dev/inject=disabled"), kubectl("label", "namespace", "telltale-canary", "telltale.dev/inject-"),
			"excluded", `The labels of namespace telltale-canary exclude it, by the namespaceSelector .*: telltale.dev/inject notin \(disabled\)`,
		},
		"Path": {
			spoil("replace", "/webhooks/0/clientConfig/service/path", `"/mutate"`), spoil("replace", "/webhooks/0/clientConfig/service/path", `"/mutate--v1-pod"`),
			"misdirected", `has the API server call "/mutate", and not /mutate--v1-pod`,
		},
		"Service": {
			spoil("replace", "/webhooks/0/clientConfig/service/name", `"other"`), spoil("replace", "/webhooks/0/clientConfig/service/name", `"telltale-webhook"`),
			"misdirected", `has the API server call "Service telltale-system/other", and not Service telltale-system/telltale-webhook`,
		},
		"NoEndpoints": {
			func(t *testing.T) { t.Helper(); c.noEndpoint(t, 0) }, back,
			"no_endpoints", `Service telltale-webhook has no endpoint that is ready`,
		},
		"NotReady": {
			func(t *testing.T) {
				t.Helper()
				c.kubectl(t, "patch", "endpointslices", "-n", "telltale-system", "telltale-0", "--type=json",
					`--patch=[{"op": "replace", "path": "/endpoints/0/conditions/ready", "value": false}]`)
				c.relays[0].open(false)
			}, back,
			"no_endpoints", `Service telltale-webhook has no endpoint that is ready`,
		},
		"Port": {
			port(harness.FreePort), back,
			"refused", `No connection to .*: connection refused`,
		},
		"Stranger": {
			port(stranger), back,
			"certificate", `The certificate of .* is not of a CA in caBundle of mutatingwebhookconfiguration/telltale`,
		},
		"Silent": {
			func(t *testing.T) { t.Helper(); impatient(t); c.endpoint(t, 0, silent(t)) }, func(t *testing.T) { t.Helper(); back(t); patient(t) },
			"timeout", `does not answer\. See Telltale's pods`,
		},
		"LargePackets": {
			func(t *testing.T) {
				t.Helper()
				impatient(t)
				c.endpoint(t, 0, narrow(t, c.replicas[0].Port))
			},
			func(t *testing.T) { t.Helper(); back(t); patient(t) },
			"timeout", `The API server had no answer within 1s, and Telltale can be reached from its own pods`,
		},
		"CABundle": {
			func(t *testing.T) {
				t.Helper()
				c.kubectl(t, "delete", "clusterrole", "telltale-authority")
				spoil("replace", "/webhooks/0/clientConfig/caBundle", `"`+writeCertificate(t, t.TempDir())+`"`)(t)
			},
			again,
			"certificate", `The certificate of .* is not of a CA in caBundle of mutatingwebhookconfiguration/telltale`,
		},
		"FailurePolicy": {
			func(t *testing.T) {
				t.Helper()
				spoil("replace", "/webhooks/0/failurePolicy", `"Fail"`)(t)
				spoil("replace", "/webhooks/0/namespaceSelector", selector)(t)
				spoil("replace", "/webhooks/0/clientConfig/service/path", `"/none"`)(t)
				c.kubectl(t, "label", "namespace", "telltale-canary", "team=a")
			},
			again,
			"misdirected", `has the API server call "/none"`,
		},
	}
}

// stranger listens with a certificate that no CA of ours has signed.
func stranger(t *testing.T) string {
	t.Helper()

	dir := t.TempDir()
	writeCertificate(t, dir)

	return listenTLS(t, dir)
}

// silent takes connections, and says nothing.
func silent(t *testing.T) string {
	t.Helper()

	return listen(t, func(conn net.Conn) {
		<-t.Context().Done()
		_ = conn.Close() // not before: what is unused is closed
	})
}

// narrow lets a handshake pass to a port, and no review, as a network does that drops
// large packets.
func narrow(t *testing.T, port string) string {
	t.Helper()

	const most = 2200 // bytes; a handshake of Go sends less

	return listen(t, func(near net.Conn) {
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			return
		}
		defer far.Close()

		go func() { copyAll(near, far, 1<<30) }()
		copyAll(far, near, most)
		<-t.Context().Done()
	})
}

// copyAll copies until an error, or until there were so many bytes. The last ones are
// not copied then.
func copyAll(to, from net.Conn, most int) {
	buffer := make([]byte, 1<<16)

	for n := 0; n < most; {
		read, err := from.Read(buffer)
		if n += read; n >= most || err != nil {
			return
		}

		if _, err := to.Write(buffer[:read]); err != nil {
			return
		}
	}
}

// listen serves a port of all addresses until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
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

			go serve(conn)
		}
	}()

	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	return port
}

// listenTLS greets with the certificate of a folder.
func listenTLS(t *testing.T, dir string) string {
	t.Helper()

	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}

	return listen(t, func(conn net.Conn) {
		_ = tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}).HandshakeContext(context.Background())
		_ = conn.Close()
	})
}

// relay is the address of a replica. API servers keep connections, and need no
// endpoint for these: closed, it cuts them, as the end of a pod does.
type relay struct {
	port string

	mu     sync.Mutex
	isOpen bool
	near   map[net.Conn]bool
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()

	r := &relay{near: map[net.Conn]bool{}}
	r.port = listen(t, func(near net.Conn) {
		r.mu.Lock()
		isOpen := r.isOpen
		r.near[near] = true
		r.mu.Unlock()

		if isOpen {
			harness.Forward(near, "127.0.0.1:"+to)
		}

		_ = near.Close()

		r.mu.Lock()
		defer r.mu.Unlock()

		delete(r.near, near)
	})

	return r
}

func (r *relay) open(isOpen bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.isOpen = isOpen
	for near := range r.near {
		if !isOpen {
			_ = near.Close()
		}
	}
}
