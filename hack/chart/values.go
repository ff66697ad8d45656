package main

import (
	"fmt"
	"slices"
	"strings"
)

// value is one of the chart's values, or a group of them.
type value struct {
	name   string // "image.tag" is in the group "image"
	about  string // in plain English, for people that install Telltale
	is     any    // the default; nil for a group
	schema schema // more than its type: see schemaOf
}

// schema is a JSON schema.
type schema map[string]any

// values are all of them, in the order of values.yaml. Defaults are those of config,
// read from config/default.
func values(o *objects) ([]value, error) {
	r := reader{o: o}
	all := r.values()

	return all, r.err
}

// reader reads defaults. It keeps the first error.
type reader struct {
	o   *objects
	err error
}

// of returns the value that config/default has at a place.
func (r *reader) of(object, path string) any {
	n := r.o.all.keys[object]
	if n == nil {
		n = &node{}
	}

	found, err := n.find(strings.Split(path, "/"))
	if err == nil && found.base == nil {
		err = fmt.Errorf("there is none")
	}

	if err != nil {
		if r.err == nil {
			r.err = fmt.Errorf("cannot read a default from %s, %s: %w", object, path, err)
		}

		return nil
	}

	return found.base
}

func (r *reader) values() []value {
	return slices.Concat(r.parts(), r.surroundings(), r.pods())
}

// texts are labels or annotations. Those that config has already would be there twice.
func texts(but ...string) schema {
	none := schema{}
	for _, key := range but {
		none[key] = false
	}

	return schema{"type": "object", "properties": none, "additionalProperties": schema{"type": "string"}}
}

// listOf is a list of objects. Each has these keys, and maybe others.
func listOf(required ...string) schema {
	item := schema{"type": "object"}
	if required != nil {
		item["required"] = required
	}

	return schema{"type": "array", "items": item}
}

// keys is an object with these keys, which have objects, and no others.
func keys(names ...string) schema {
	properties := schema{}
	for _, name := range names {
		properties[name] = schema{"type": "object"}
	}

	return schema{"type": "object", "properties": properties, "additionalProperties": false}
}

// parts are the replicas, the image and what Telltale does.
func (r *reader) parts() []value {
	image, _ := r.of(deploymentID, container+"image").(string)
	repository, _, _ := strings.Cut(image, ":")

	return []value{
		{"replicas", "How many pods answer the API server. Two, so that one can be replaced. With one, pods that start while it moves to another node get no Injections.", r.of(deploymentID, "spec/replicas"), schema{"type": "integer", "minimum": 1}},

		{"image", "The image of Telltale.", nil, nil},
		{"image.repository", "Its name, with the registry and without a tag. Telltale has no public registry: set this to yours.", repository, schema{"pattern": `^([^@\s]+/)?[^:@/\s]+$`}},
		{"image.tag", "Its tag. The default is the chart's appVersion.", "", nil},
		{"image.digest", `Its digest, "sha256:…". If set, it is used in place of the tag.`, "", schema{"pattern": "^(sha256:[0-9a-f]{64})?$"}},
		{"image.pullPolicy", "When nodes pull it.", r.of(deploymentID, container+"imagePullPolicy"), schema{"enum": []string{"Always", "IfNotPresent", "Never"}}},
		{"imagePullSecrets", "Secrets with passwords of the registry, as in a pod: [{name: registry}].", []any{}, listOf("name")},

		{"certManager", "The webhook's certificate.", nil, nil},
		{"certManager.enabled", "cert-manager makes the certificate, and must be there. By default Telltale is its own authority.", false, nil},

		{"crds", "The CRDs of Injections and ClusterInjections.", nil, nil},
		{"crds.enabled", "The chart installs and upgrades the CRDs. Switch it off if you apply them in another way.", true, nil},
		{"crds.keep", "The CRDs stay if the chart is uninstalled, with all Injections.", true, nil},

		{"audit", "The audit finds pods that miss an Injection (docs/audit.md).", nil, nil},
		{"audit.enabled", "Run the audit. It needs the right to watch all pods.", true, nil},
		{"canary", "Each minute the canary checks that the API server asks Telltale. It has the namespace telltale-canary.", nil, nil},
		{"canary.enabled", "Run the canary.", true, nil},
		{"heal", "Which pods Telltale evicts, so that their replacements are better: [missed, stuck] (docs/operate.md). It needs the audit and the canary.", []any{}, schema{"type": "array", "items": schema{"enum": []string{"missed", "stuck"}}, "uniqueItems": true}},
		{"secrets", "Secrets that Injections require.", nil, nil},
		{"secrets.enabled", "Telltale looks whether they are there. Its service account may list all Secrets of the cluster then.", false, nil},
		{"readers", "Rights of users.", nil, nil},
		{"readers.enabled", "All users may read ClusterInjections and the registration. `kubectl telltale explain` needs both.", false, nil},
	}
}

// surroundings are the network, Prometheus, Grafana and log stores.
func (r *reader) surroundings() []value {
	const name = "app.kubernetes.io/name"

	return []value{
		{"webhook", "How the API server reaches the webhook.", nil, nil},
		{"webhook.port", "The port of the pods that the API server calls. 8081 and 8443 are taken. On private clusters of GKE, 10250 needs no rule in the firewall.", r.of(deploymentID, container+"ports/0/containerPort"), schema{"type": "integer", "minimum": 1, "maximum": 65535, "not": schema{"enum": []int{8081, 8443}}}},
		{"webhook.hostNetwork", "The pods use the network of their nodes: for control planes that can't reach pods (docs/install.md). Ports 8081, 8443 and webhook.port must be free there, also on one node more than there are replicas, for upgrades.", false, nil},
		{"networkPolicy", "The NetworkPolicy of the pods.", nil, nil},
		{"networkPolicy.enabled", "Have a NetworkPolicy.", true, nil},
		{"networkPolicy.apiServers", "The addresses that may call the webhook: [10.0.0.0/28]. By default all may, as no selector is right for each API server.", []any{}, schema{"type": "array", "items": schema{"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]+$"}}},
		{"networkPolicy.metricsNamespaceLabels", "Namespaces with all of these labels may read metrics: that of Prometheus. Helm adds yours to the default. To replace it: {metrics: null, team: monitoring}.", r.of(networkID, "spec/ingress/1/from/0/namespaceSelector/matchLabels"), texts()},

		{"serviceMonitor", "For the Prometheus operator: a Service and a ServiceMonitor.", nil, nil},
		{"serviceMonitor.enabled", "Have both. The operator's CRDs must be there.", false, nil},
		{"serviceMonitor.labels", "More labels of the ServiceMonitor. Many operators select by one: {release: kube-prometheus-stack}.", map[string]any{}, texts(name)},
		{"rules", "For the Prometheus operator: alerts and recording rules.", nil, nil},
		{"rules.enabled", "Have a PrometheusRule. The operator's CRDs must be there.", false, nil},
		{"rules.labels", "More labels of the PrometheusRule.", map[string]any{}, texts(name)},
		{"dashboard", "For Grafana: a ConfigMap with a dashboard, for its sidecar.", nil, nil},
		{"dashboard.enabled", "Have the ConfigMap.", false, nil},
		{"dashboard.labels", "Labels of the ConfigMap, by which the sidecar finds it.", map[string]any{"grafana_dashboard": "1"}, texts(name)},

		{"otlp", "Failures as log records (docs/observe.md).", nil, nil},
		{"otlp.endpoint", "Where Telltale sends them: http://collector.observability:4318. By default it sends none.", "", schema{"pattern": `^(https?://[^/\s].*)?$`}},
		{"otlp.protocol", "The protocol of the endpoint.", "http/protobuf", schema{"enum": []string{"http/protobuf", "grpc"}}},
		{"otlp.headersSecret", "A Secret of the release's namespace with headers, such as a token.", nil, nil},
		{"otlp.headersSecret.name", "The name of the Secret.", "", nil},
		{"otlp.headersSecret.key", "The key in the Secret. Its value is as in OTEL_EXPORTER_OTLP_HEADERS.", "headers", schema{"minLength": 1}},
		{"clusterName", "The name of this cluster in log records.", "", nil},
	}
}

// pods are how Telltale's pods run.
func (r *reader) pods() []value {
	return []value{
		{"resources", "Requests and limits. docs/install.md has what was measured. There is no limit of CPU: a throttled webhook answers late.", r.of(deploymentID, container+"resources"), keys("limits", "requests")},
		{"priorityClassName", "While Telltale is away, pods start without Injections. So it starts before them. A class of Kubernetes itself gets a ResourceQuota, as some clusters ask for one.", r.of(deploymentID, pod+"priorityClassName"), nil},
		{"nodeSelector", "On which nodes it may run.", r.of(deploymentID, pod+"nodeSelector"), texts()},
		{"tolerations", "Which taints of nodes it tolerates, as in a pod.", []any{}, listOf()},
		{"affinity", "Near which nodes and pods it runs, as in a pod. It is spread over nodes and zones without this.", map[string]any{}, keys("nodeAffinity", "podAffinity", "podAntiAffinity")},
		{"podLabels", "More labels of the pods.", map[string]any{}, texts("app.kubernetes.io/name", "telltale.dev/inject")},
		{"podAnnotations", "More annotations of the pods.", map[string]any{}, texts("kubectl.kubernetes.io/default-container")},
		{"serviceAccount", "The pods' ServiceAccount.", nil, nil},
		{"serviceAccount.annotations", "Annotations of the ServiceAccount.", map[string]any{}, texts()},
		{"extraArgs", "More flags: [--event-qps=100]. `telltale --help` has all.", []any{}, schema{"type": "array", "items": schema{"type": "string", "pattern": "^--"}}},
		{"extraEnv", "More env vars, as in a container.", []any{}, listOf("name")},
		{"extraVolumes", "More volumes, as in a pod: for the files of --client-ca-file, or of OTEL_EXPORTER_OTLP_CERTIFICATE.", []any{}, listOf("name")},
		{"extraVolumeMounts", "Where they are, as in a container.", []any{}, listOf("name", "mountPath")},
	}
}
