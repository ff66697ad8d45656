//go:build apiserver && chart

package config_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// option is a way to install Telltale: values of the chart, and a kustomization that
// users without Helm would write. Folders are in this one.
type option struct {
	reason string
	values string // YAML

	overlay    string   // in place of default
	without    string   // a folder that default has
	resources  []string // more folders
	components []string
	patches    []patch
}

type patch struct {
	Target map[string]string `json:"target,omitempty"`
	Patch  string            `json:"patch"`
}

// edit is a JSON patch. Operations are lines of YAML.
func edit(kind, name string, operations ...string) []patch {
	return []patch{{Target: map[string]string{"kind": kind, "name": name}, Patch: "- " + strings.Join(operations, "\n- ")}}
}

func remove(apiVersion, kind, name string) []patch {
	return []patch{{Patch: fmt.Sprintf("{$patch: delete, apiVersion: %s, kind: %s, metadata: {name: %s, namespace: telltale-system}}", apiVersion, kind, name)}}
}

// argument gives Telltale one more flag.
func argument(flag string) []patch {
	return edit("Deployment", "telltale", "{op: add, path: /spec/template/spec/containers/0/args/-, value: "+flag+"}")
}

// options are the values of the chart, each with what it stands for in kustomize.
func options() map[string]option {
	all := switches()
	maps.Copy(all, settings())

	return all
}

// switches add objects, or take them away.
func switches() map[string]option {
	return map[string]option{
		"CertManager":   {reason: "The certificate is cert-manager's.", values: "certManager: {enabled: true}", overlay: "overlays/cert-manager"},
		"NoCRDs":        {reason: "They are applied in another way.", values: "crds: {enabled: false}", without: "crd"},
		"NoAudit":       {reason: "The cluster does not grant its rights.", values: "audit: {enabled: false}", without: "audit", patches: argument("--audit=false")},
		"NoCanary":      {reason: "The cluster does not grant its rights.", values: "canary: {enabled: false}", without: "canary", patches: argument("--canary-interval=0")},
		"Heal":          {reason: "The component has both.", values: "heal: [missed, stuck]", components: []string{"components/heal"}},
		"Secrets":       {reason: "The component has both.", values: "secrets: {enabled: true}", components: []string{"components/secrets"}},
		"Readers":       {reason: "All users may read.", values: "readers: {enabled: true}", components: []string{"components/readers"}},
		"NoNetwork":     {reason: "The network has its own rules.", values: "networkPolicy: {enabled: false}", without: "network-policy"},
		"Monitor":       {reason: "Prometheus without the rules.", values: "serviceMonitor: {enabled: true}", resources: []string{"prometheus"}, patches: remove("monitoring.coreos.com/v1", "PrometheusRule", "telltale")},
		"Rules":         {reason: "A ruler without the metrics.", values: "rules: {enabled: true}", resources: []string{"prometheus"}, patches: slices.Concat(remove("monitoring.coreos.com/v1", "ServiceMonitor", "telltale"), remove("v1", "Service", "telltale-metrics"))},
		"Dashboard":     {reason: "Its text has curly brackets of Grafana's.", values: "dashboard: {enabled: true}", components: []string{"grafana"}},
		"OneReplica":    {reason: "For small clusters.", values: "replicas: 1", overlay: "overlays/small"},
		"OtherPriority": {reason: "A class of the user's needs no quota.", values: "priorityClassName: high", patches: slices.Concat(remove("v1", "ResourceQuota", "telltale-critical-pods"), edit("Deployment", "telltale", "{op: replace, path: /spec/template/spec/priorityClassName, value: high}"))},
		"NoPriority":    {reason: "Without any there is no key.", values: `priorityClassName: ""`, patches: slices.Concat(remove("v1", "ResourceQuota", "telltale-critical-pods"), edit("Deployment", "telltale", "{op: remove, path: /spec/template/spec/priorityClassName}"))},
	}
}

// settings change objects.
func settings() map[string]option {
	deployment := func(path, value string) []patch {
		return edit("Deployment", "telltale", "{op: add, path: /spec/template/spec/"+path+", value: "+value+"}")
	}
	digest := "sha256:" + strings.Repeat("a", 64)

	return map[string]option{
		"Image":          {reason: "A registry of the user's.", values: "image: {repository: registry.example:5000/telltale, tag: v1}", patches: deployment("containers/0/image", "registry.example:5000/telltale:v1")},
		"Digest":         {reason: "It wins over the tag.", values: "image: {tag: v1, digest: " + digest + "}", patches: deployment("containers/0/image", "telltale@"+digest)},
		"Pull":           {reason: "For a tag that moves.", values: "image: {pullPolicy: Always}", patches: deployment("containers/0/imagePullPolicy", "Always")},
		"PullSecret":     {reason: "The registry asks for a password.", values: "imagePullSecrets: [{name: registry}]", patches: deployment("imagePullSecrets", "[{name: registry}]")},
		"Priority":       {reason: "The quota is for the same class.", values: "priorityClassName: system-node-critical", patches: slices.Concat(deployment("priorityClassName", "system-node-critical"), edit("ResourceQuota", "telltale-critical-pods", "{op: replace, path: /spec/scopeSelector/matchExpressions/0/values, value: [system-node-critical]}"))},
		"Resources":      {reason: "More memory, for many Injections.", values: "resources: {limits: {memory: 1Gi}}", patches: deployment("containers/0/resources/limits/memory", "1Gi")},
		"Nodes":          {reason: "Beside the control plane.", values: "nodeSelector: {pool: system}\ntolerations: [{operator: Exists}]", patches: slices.Concat(deployment("nodeSelector/pool", "system"), deployment("tolerations", "[{operator: Exists}]"))},
		"Affinity":       {reason: "Not beside pods that are often evicted.", values: "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}", patches: deployment("affinity", "{podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}")},
		"PodAnnotations": {reason: "A mesh reads one.", values: "podAnnotations: {sidecar.istio.io/inject: 'false'}", patches: edit("Deployment", "telltale", "{op: add, path: /spec/template/metadata/annotations/sidecar.istio.io~1inject, value: 'false'}")},
		"PodLabels":      {reason: "A network policy selects by one.", values: "podLabels: {team: platform}", patches: edit("Deployment", "telltale", "{op: add, path: /spec/template/metadata/labels/team, value: platform}")},
		"ServiceAccount": {reason: "A cloud reads one.", values: "serviceAccount: {annotations: {team: platform}}", patches: edit("ServiceAccount", "telltale", "{op: add, path: /metadata/annotations, value: {team: platform}}")},
		"HealMissed":     {reason: "One of the two.", values: "heal: [missed]", components: []string{"components/heal"}, patches: edit("Deployment", "telltale", "{op: replace, path: /spec/template/spec/containers/0/args/4, value: --heal=missed}")},
		"Port":           {reason: "It is in three places.", values: "webhook: {port: 10250}", patches: slices.Concat(deployment("containers/0/ports/0/containerPort", "10250"), edit("Deployment", "telltale", "{op: replace, path: /spec/template/spec/containers/0/args/0, value: --webhook-port=10250}"), edit("NetworkPolicy", "telltale", "{op: replace, path: /spec/ingress/0/ports/0/port, value: 10250}"))},
		"APIServers":     {reason: "Only they may call.", values: "networkPolicy: {apiServers: [10.0.0.0/28, 'fd00::1/128']}", patches: edit("NetworkPolicy", "telltale", "{op: add, path: /spec/ingress/0/from, value: [{ipBlock: {cidr: 10.0.0.0/28}}, {ipBlock: {cidr: 'fd00::1/128'}}]}")},
		"HostNetwork":    {reason: "The control plane is not in the pods' network.", values: "webhook: {hostNetwork: true}", patches: slices.Concat(deployment("hostNetwork", "true"), deployment("dnsPolicy", "ClusterFirstWithHostNet"))},
		"MetricsFrom":    {reason: "Prometheus's namespace has a label already.", values: "networkPolicy: {metricsNamespaceLabels: {metrics: null, team: monitoring}}", patches: edit("NetworkPolicy", "telltale", "{op: replace, path: /spec/ingress/1/from/0/namespaceSelector/matchLabels, value: {team: monitoring}}")},
		"MonitorLabels":  {reason: "The operator selects by one.", values: "serviceMonitor: {enabled: true, labels: {release: prometheus}}\nrules: {enabled: true, labels: {role: alerts}}", resources: []string{"prometheus"}, patches: slices.Concat(edit("ServiceMonitor", "telltale", "{op: add, path: /metadata/labels/release, value: prometheus}"), edit("PrometheusRule", "telltale", "{op: add, path: /metadata/labels/role, value: alerts}"))},
		"DashboardValue": {reason: "The sidecar looks for another value of the label.", values: "dashboard: {enabled: true, labels: {grafana_dashboard: 'yes'}}", components: []string{"grafana"}, patches: edit("ConfigMap", "telltale-dashboard", "{op: replace, path: /metadata/labels/grafana_dashboard, value: 'yes'}")},
		"DashboardLabel": {reason: "The sidecar looks for another.", values: "dashboard: {enabled: true, labels: {dashboards: all}}", components: []string{"grafana"}, patches: edit("ConfigMap", "telltale-dashboard", "{op: add, path: /metadata/labels/dashboards, value: all}")},
		"OTLP": {reason: "As docs/observe.md has it.", values: "clusterName: prod\notlp: {endpoint: 'http://collector:4317', protocol: grpc, headersSecret: {name: token}}", patches: slices.Concat(
			argument("--cluster-name=prod"),
			deployment("containers/0/env/-", "{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: 'http://collector:4317'}"),
			deployment("containers/0/env/-", "{name: OTEL_EXPORTER_OTLP_PROTOCOL, value: grpc}"),
			deployment("containers/0/env/-", "{name: OTEL_EXPORTER_OTLP_HEADERS, valueFrom: {secretKeyRef: {name: token, key: headers}}}"))},
		"Volumes":       {reason: "A file with a CA.", values: volumes, patches: slices.Concat(deployment("volumes", "[{name: ca, configMap: {name: callers}}]"), deployment("containers/0/volumeMounts", "[{name: ca, mountPath: /etc/callers, readOnly: true}]"))},
		"VolumesBeside": {reason: "The overlay has a volume of its own.", values: "certManager: {enabled: true}\n" + volumes, overlay: "overlays/cert-manager", patches: slices.Concat(deployment("volumes/-", "{name: ca, configMap: {name: callers}}"), deployment("containers/0/volumeMounts/-", "{name: ca, mountPath: /etc/callers, readOnly: true}"))},
		"More":          {reason: "There is no value for it.", values: "extraArgs: [--event-qps=100]\nextraEnv: [{name: GOGC, value: '50'}]", patches: slices.Concat(argument("--event-qps=100"), deployment("containers/0/env/-", "{name: GOGC, value: '50'}"))},
	}
}

// volumes are values with one more volume.
const volumes = "extraVolumes: [{name: ca, configMap: {name: callers}}]\nextraVolumeMounts: [{name: ca, mountPath: /etc/callers, readOnly: true}]"

// and is both options.
func (o option) and(more option) option {
	o.values += "\n" + more.values
	o.overlay += more.overlay
	o.resources = slices.Compact(append(slices.Clone(o.resources), more.resources...))
	o.components = append(slices.Clone(o.components), more.components...)
	o.patches = append(slices.Clone(o.patches), more.patches...)

	return o
}

// kustomize builds what the option stands for.
func (o option) kustomize(t *testing.T) map[string]manifest {
	t.Helper()

	var defaults struct{ Resources []string }
	if err := yaml.Unmarshal(read(t, "default/kustomization.yaml"), &defaults); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	folders := slices.Clone(o.resources)

	for _, r := range defaults.Resources {
		if folder := strings.TrimPrefix(r, "../"); o.overlay == "" && folder != o.without {
			folders = append(folders, folder)
		}
	}

	if o.overlay != "" {
		folders = append(folders, o.overlay)
	}

	at := func(folders []string) (ways []string) {
		for _, f := range folders {
			ways = append(ways, relative(t, dir)+"/"+f)
		}

		return ways
	}

	text, err := yaml.Marshal(map[string]any{"resources": at(folders), "components": at(o.components), "patches": o.patches})
	if err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}

	all := objects(t, build(t, dir))
	delete(all, "Namespace//telltale-system") // Helm makes it.

	return all
}
