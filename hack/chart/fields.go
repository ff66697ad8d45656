package main

import "slices"

// field is a place in an object that has a value of the user's.
type field struct {
	object string // kind, namespace and name
	path   string // a JSON pointer without its first slash; "-" adds to a list
	node   node
}

const (
	pod       = "spec/template/spec/"
	container = pod + "containers/0/"
)

const (
	deploymentID = "Deployment/" + namespace + "/telltale"
	networkID    = "NetworkPolicy/" + namespace + "/telltale"
	dashboardID  = "ConfigMap/" + namespace + "/telltale-dashboard"
)

// fields are all places with values of the user's. The arguments and ports are in the
// order of config/manager.
func fields() []field {
	return slices.Concat(deployment(), environment(), others())
}

func deployment() []field {
	const object = deploymentID

	optional := func(path, values string) field {
		return field{object, path, node{when: []string{values}, block: values}}
	}

	return []field{
		{object, "spec/replicas", node{text: "{{ .Values.replicas }}"}},
		{object, pod + "priorityClassName", node{when: []string{".Values.priorityClassName"}, text: "{{ .Values.priorityClassName | quote }}"}},
		optional("spec/template/metadata/labels/"+more, ".Values.podLabels"),
		optional("spec/template/metadata/annotations/"+more, ".Values.podAnnotations"),
		optional(pod+"nodeSelector", ".Values.nodeSelector"),
		optional(pod+"tolerations", ".Values.tolerations"),
		optional(pod+"affinity", ".Values.affinity"),
		optional(pod+"imagePullSecrets", ".Values.imagePullSecrets"),
		{object, container + "image", node{text: `{{ include "telltale.image" . | quote }}`}},
		{object, container + "imagePullPolicy", node{text: "{{ .Values.image.pullPolicy }}"}},
		{object, container + "resources", node{block: ".Values.resources"}},
		{object, container + "args/0", node{text: "--webhook-port={{ .Values.webhook.port }}"}},
		{object, container + "args/--heal=missed,stuck", node{text: `--heal={{ join "," .Values.heal }}`}},
		{object, container + "args/-", node{when: []string{".Values.clusterName"}, text: `{{ printf "--cluster-name=%s" .Values.clusterName | quote }}`}},
		optional(container+"args/-", ".Values.extraArgs"),
		{object, container + "ports/0/containerPort", node{text: "{{ .Values.webhook.port }}"}},
		optional(container+"volumeMounts/-", ".Values.extraVolumeMounts"),
		optional(pod+"volumes/-", ".Values.extraVolumes"),
	}
}

// environment are the env vars of docs/observe.md.
func environment() []field {
	const object = deploymentID

	env := func(name, value string) node {
		return node{when: []string{".Values.otlp.endpoint"}, keys: map[string]*node{"name": {plain: name}, "value": {text: value}}}
	}
	secret := node{when: []string{".Values.otlp.headersSecret.name"}, keys: map[string]*node{
		"name": {plain: "OTEL_EXPORTER_OTLP_HEADERS"},
		"valueFrom": {keys: map[string]*node{"secretKeyRef": {keys: map[string]*node{
			"name": {text: "{{ .Values.otlp.headersSecret.name | quote }}"},
			"key":  {text: "{{ .Values.otlp.headersSecret.key | quote }}"},
		}}}},
	}}

	return []field{
		{object, container + "env/-", env("OTEL_EXPORTER_OTLP_ENDPOINT", "{{ .Values.otlp.endpoint | quote }}")},
		{object, container + "env/-", env("OTEL_EXPORTER_OTLP_PROTOCOL", "{{ .Values.otlp.protocol | quote }}")},
		{object, container + "env/-", secret},
		{object, container + "env/-", node{when: []string{".Values.extraEnv"}, block: ".Values.extraEnv"}},
	}
}

func others() []field {
	const keep = "metadata/annotations/helm.sh~1resource-policy"

	labels := func(object, of string) field {
		return field{object, "metadata/labels/" + more, node{when: []string{of}, block: of}}
	}

	return []field{
		{"CustomResourceDefinition//injections.telltale.dev", keep, node{when: []string{".Values.crds.keep"}, plain: "keep"}},
		{"CustomResourceDefinition//clusterinjections.telltale.dev", keep, node{when: []string{".Values.crds.keep"}, plain: "keep"}},
		{"ServiceAccount/" + namespace + "/telltale", "metadata/annotations", node{when: []string{".Values.serviceAccount.annotations"}, block: ".Values.serviceAccount.annotations"}},
		{networkID, "spec/ingress/0/from", node{when: []string{".Values.networkPolicy.apiServers"}, block: `(include "telltale.apiServers" . | fromYamlArray)`}},
		{networkID, "spec/ingress/0/ports/0/port", node{text: "{{ .Values.webhook.port }}"}},
		{networkID, "spec/ingress/1/from/0/namespaceSelector/matchLabels", node{block: ".Values.networkPolicy.metricsNamespaceLabels"}},
		{"ResourceQuota/" + namespace + "/telltale-critical-pods", "spec/scopeSelector/matchExpressions/0/values/0", node{text: "{{ .Values.priorityClassName | quote }}"}},
		labels("ServiceMonitor/"+namespace+"/telltale", ".Values.serviceMonitor.labels"),
		labels("PrometheusRule/"+namespace+"/telltale", ".Values.rules.labels"),
		labels(dashboardID, `(omit .Values.dashboard.labels "grafana_dashboard")`),
		{dashboardID, "metadata/labels/grafana_dashboard", node{when: []string{".Values.dashboard.labels.grafana_dashboard"}, text: "{{ .Values.dashboard.labels.grafana_dashboard | quote }}"}},
	}
}
