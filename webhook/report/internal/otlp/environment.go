package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// The ways to send, as OTEL_EXPORTER_OTLP_PROTOCOL names them.
const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// defaultTimeout is how long a request may take, as the specification has it.
const defaultTimeout = 10 * time.Second

// environment is what the standard variables say. It is checked before the
// exporter reads them, which would log a bad value and go on with a default.
//
// Source: open-telemetry/opentelemetry-specification, specification/protocol/exporter.md.
type environment struct {
	protocol string
	timeout  time.Duration
	tls      *tls.Config // nil: the system's CAs, and no client certificate
}

// Wanted tells whether the environment names an endpoint for logs.
func Wanted() bool {
	_, endpoint := lookup("ENDPOINT")
	disabled := strings.EqualFold(strings.TrimSpace(os.Getenv("OTEL_SDK_DISABLED")), "true")

	return endpoint != "" && !disabled && os.Getenv("OTEL_LOGS_EXPORTER") != "none"
}

// lookup returns a variable of the exporter, with its name. The one for logs wins.
func lookup(name string) (variable, value string) {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_LOGS_", "OTEL_EXPORTER_OTLP_"} {
		if value := os.Getenv(prefix + name); value != "" {
			return prefix + name, value
		}
	}

	return "OTEL_EXPORTER_OTLP_" + name, ""
}

// environmentOf reads and checks the environment. An error names the variable, and
// never its value: headers and URLs may hold secrets.
func environmentOf() (env environment, err error) {
	if env.protocol, err = oneOf("PROTOCOL", protocolHTTP, protocolGRPC); err != nil {
		return env, err
	}
	if env.timeout, err = timeout(); err != nil {
		return env, err
	}
	_, err = oneOf("COMPRESSION", "none", "gzip")
	if err := errors.Join(err, endpoint(), insecure(), headers(), resourceAttributes()); err != nil {
		return env, err
	}
	env.tls, err = certificates()

	return env, err
}

// oneOf reads a variable that has one of some values. The first is the default.
func oneOf(name string, values ...string) (string, error) {
	variable, value := lookup(name)
	switch {
	case value == "":
		return values[0], nil
	case !slices.Contains(values, value):
		return "", fmt.Errorf("%s must be %s", variable, strings.Join(values, " or "))
	default:
		return value, nil
	}
}

func timeout() (time.Duration, error) {
	variable, value := lookup("TIMEOUT")
	if value == "" {
		return defaultTimeout, nil
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s must be a number of milliseconds, more than 0", variable)
	}

	return time.Duration(n) * time.Millisecond, nil
}

func endpoint() error {
	variable, value := lookup("ENDPOINT")
	u, err := url.Parse(value)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return fmt.Errorf("%s must be a URL, such as http://collector.observability:4318", variable)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%s must be a URL without a user and a query; a header may have a password: OTEL_EXPORTER_OTLP_HEADERS", variable)
	default:
		return nil
	}
}

func insecure() error {
	if variable, value := lookup("INSECURE"); value != "" && !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
		return fmt.Errorf("%s must be true or false", variable)
	}

	return nil
}

func headers() error {
	variable, value := lookup("HEADERS")
	if value == "" {
		return nil
	}
	for header := range strings.SplitSeq(value, ",") {
		name, v, ok := strings.Cut(header, "=")
		decoded, err := url.PathUnescape(v)
		if !ok || err != nil || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) || !httpguts.ValidHeaderFieldValue(decoded) {
			return fmt.Errorf("%s must be a list such as name=value,other=value, with values encoded as in a URL", variable)
		}
	}

	return nil
}

func resourceAttributes() error {
	value := strings.TrimSpace(os.Getenv("OTEL_RESOURCE_ATTRIBUTES"))
	if value == "" {
		return nil
	}
	for pair := range strings.SplitSeq(value, ",") {
		key, v, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(v); !ok || err != nil || strings.TrimSpace(key) == "" {
			return errors.New("OTEL_RESOURCE_ATTRIBUTES must be a list such as k8s.cluster.name=prod,team=web, with values encoded as in a URL")
		}
	}

	return nil
}

// certificates reads the CAs of the backend, and our certificate for it.
func certificates() (*tls.Config, error) {
	roots, err := rootCAs()
	if err != nil {
		return nil, err
	}
	certVariable, cert := lookup("CLIENT_CERTIFICATE")
	keyVariable, key := lookup("CLIENT_KEY")
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	switch {
	case cert == "" && key == "" && roots == nil:
		return nil, nil
	case cert == "" && key == "":
		return c, nil
	case cert == "" || key == "":
		return nil, fmt.Errorf("%s and %s must both be set, or neither", certVariable, keyVariable)
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cannot read the files of %s and %s: %w", certVariable, keyVariable, err)
	}
	c.Certificates = []tls.Certificate{own}

	return c, nil
}

func rootCAs() (*x509.CertPool, error) {
	variable, file := lookup("CERTIFICATE")
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file of %s: %w", variable, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the file of %s must have a certificate in PEM", variable)
	}

	return roots, nil
}
