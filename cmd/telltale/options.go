package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

const usage = `Telltale injects env vars and init containers into pods, as Injections declare
it, never keeps a pod from starting, and reports every failure as a Warning
event on the Deployment that owns the pod.

Usage: telltale [flags]

It is called by the API server: a MutatingWebhookConfiguration must point at
its port. config/default has one for a cluster, config/overlays/local one for a
telltale that runs on your own machine:

  kubectl apply -k config/overlays/local
  telltale --dns-names=localhost

Without --cert-dir it makes its own certificates and keeps the caBundle of the
MutatingWebhookConfiguration right.

Flags:
`

// options are the settings of the command line. parse fills in every default.
type options struct {
	webhookPort    int
	metricsAddress string
	metricsSecure  bool
	healthAddress  string
	namespace      string
	configuration  string
	caSecret       string
	serviceName    string
	dnsNames       []string
	certDir        string
	clientCAFile   string
	eventQPS       float64
	maxEventKeys   int
	maxNamespaces  int
	maxInFlight    int
	webhookTimeout time.Duration
	watchSecrets   bool
	clusterName    string
	audit          bool
	stuckAfter     time.Duration
	withdrawAfter  time.Duration
	canary         time.Duration
	heal           []string
	healPerMinute  int
	version        bool
	zap            zap.Options
}

func parse(args []string, stderr io.Writer) (options, error) {
	var (
		o        options
		dnsNames string
		heal     string
	)

	f := flag.NewFlagSet("telltale", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}

	f.IntVar(&o.webhookPort, "webhook-port", 9443, "port on which the API server calls, by HTTPS")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080",
		"address of /metrics for Prometheus, by HTTP; 0 for none")
	f.BoolVar(&o.metricsSecure, "metrics-secure", false,
		"serve /metrics by HTTPS, and only to callers with a token that the API server allows to get the path /metrics")
	f.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 for none")
	f.StringVar(&o.namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "telltale-system"),
		"Telltale's own namespace: its CA and its Lease are there, and events that no other namespace can hold")
	f.StringVar(&o.configuration, "webhook-configuration", "telltale",
		"name of the MutatingWebhookConfiguration; Telltale keeps its caBundle right")
	f.StringVar(&o.caSecret, "ca-secret", "telltale-ca", "name of the Secret that holds the CA")
	f.StringVar(&o.serviceName, "service-name", "telltale-webhook", "name of the Service that the API server calls")
	f.StringVar(&dnsNames, "dns-names", "",
		"names, separated by commas, by which the API server calls (default \"<service-name>.<namespace>.svc\")")
	f.StringVar(&o.certDir, "cert-dir", "",
		"folder with tls.crt and tls.key to serve, and to reload when they change, instead of own certificates")
	f.StringVar(&o.clientCAFile, "client-ca-file", "",
		"PEM file with the CAs of callers, reloaded when it changes; without one, every caller that reaches the port gets an answer")
	f.Float64Var(&o.eventQPS, "event-qps", 50, "how many calls a second to make to the API server, to find owners and write events; the last calls at the end are not limited")
	f.IntVar(&o.maxEventKeys, "max-event-keys", 10000,
		"how many keys (owner, reason, Injection) without an event to keep in memory, and as many with one; further failures are counted on their namespace")
	f.IntVar(&o.maxNamespaces, "max-metric-namespaces", 1000,
		"how many namespaces have a label of their own in the metric of failures, the first that fail; the others share the label \"other\"")
	f.StringVar(&o.clusterName, "cluster-name", "",
		"name of this cluster in log records (k8s.cluster.name), which are sent if OTEL_EXPORTER_OTLP_ENDPOINT is set")
	o.reviewFlags(f)
	o.auditFlags(f)
	f.StringVar(&heal, "heal", "",
		"which pods to evict, so that their replacements are better, separated by commas: \"missed\" (an Injection was not applied, as Telltale was not asked), \"stuck\" (they never started because of one that is withdrawn now); it needs the rights of config/components/heal (default: none)")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	config.RegisterFlags(f)
	o.zap.StacktraceLevel = zapcore.PanicLevel // the text of an error says enough
	o.zap.BindFlags(f)

	if err := f.Parse(args); err != nil {
		return o, err
	}

	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; all settings are flags, see --help", f.Arg(0))
	}

	o.heal = splitNames(heal)
	o.dnsNames = splitNames(cmp.Or(dnsNames, o.serviceName+"."+o.namespace+".svc"))

	return o, o.check()
}

// reviewFlags are those of how pods are answered.
func (o *options) reviewFlags(f *flag.FlagSet) {
	f.IntVar(&o.maxInFlight, "max-in-flight", 1000, "how many admissions to work on at the same time; further ones are shed at once")
	f.DurationVar(&o.webhookTimeout, "webhook-timeout", 5*time.Second,
		"how long the API server waits for an answer: timeoutSeconds of the MutatingWebhookConfiguration")
	f.BoolVar(&o.watchSecrets, "watch-secrets", false,
		"look whether the Secrets are there that Injections require; it needs the rights of config/components/secrets. Without it, each counts as there")
}

// auditFlags are those of what the leader does.
func (o *options) auditFlags(f *flag.FlagSet) {
	f.BoolVar(&o.audit, "audit", true,
		"have the leader watch pods, and show those that were created without Telltale being asked; it needs the rights of config/audit")
	f.DurationVar(&o.stuckAfter, "stuck-after", 30*time.Second,
		"how long an Injection must keep a pod from starting until the audit shows that on the pod's owner")
	f.DurationVar(&o.withdrawAfter, "withdraw-after", 2*time.Minute,
		"how long an Injection must keep a pod from starting, and no other pod of the owner has started with it, until the owner's new pods start without it")
	f.DurationVar(&o.canary, "canary-interval", time.Minute,
		"how often the leader checks, by a dry run of a pod in namespace telltale-canary, that the API server asks Telltale about new pods; it needs the rights of config/canary; 0 for never")
	f.IntVar(&o.healPerMinute, "heal-per-minute", 10, "how many pods to evict a minute, at most")
}

func (o *options) check() error {
	switch {
	case o.webhookPort < 1 || o.webhookPort > 65535:
		return fmt.Errorf("--webhook-port must be from 1 to 65535, not %d", o.webhookPort)
	case o.eventQPS <= 0:
		return fmt.Errorf("--event-qps must be more than 0, not %v", o.eventQPS)
	case o.maxEventKeys < 1:
		return fmt.Errorf("--max-event-keys must be 1 at least, not %d", o.maxEventKeys)
	case o.maxNamespaces < 1:
		return fmt.Errorf("--max-metric-namespaces must be 1 at least, not %d", o.maxNamespaces)
	case o.maxInFlight < 1:
		return fmt.Errorf("--max-in-flight must be 1 at least, not %d", o.maxInFlight)
	case o.webhookTimeout < time.Second || o.webhookTimeout > 30*time.Second:
		return fmt.Errorf("--webhook-timeout must be from 1s to 30s, as timeoutSeconds, not %v", o.webhookTimeout)
	case o.stuckAfter <= 0 || o.withdrawAfter < o.stuckAfter:
		return fmt.Errorf("--stuck-after must be more than 0, and --withdraw-after no less than it, not %v and %v", o.stuckAfter, o.withdrawAfter)
	case o.canary != 0 && o.canary < time.Second:
		return fmt.Errorf("--canary-interval must be 0, or 1s at least, not %v", o.canary)
	case !isSubset(o.heal, healMissed, healStuck):
		return fmt.Errorf("--heal may have %q and %q, not %q", healMissed, healStuck, o.heal)
	case len(o.heal) > 0 && (!o.audit || o.canary == 0):
		return errors.New("--heal needs the audit and the canary: leave --audit and --canary-interval as they are")
	case o.healPerMinute < 1:
		return fmt.Errorf("--heal-per-minute must be 1 at least, not %d", o.healPerMinute)
	case len(o.dnsNames) == 0:
		return fmt.Errorf("--dns-names must have a name")
	default:
		return nil
	}
}

// The values of --heal.
const healMissed, healStuck = "missed", "stuck"

func isSubset(some []string, of ...string) bool {
	return !slices.ContainsFunc(some, func(one string) bool { return !slices.Contains(of, one) })
}

func splitNames(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
