package main

// change is a switch of the chart: under a condition, the objects are those of a variant
// of config/default.
type change struct {
	when string
	variant
}

// switches are those of the chart. The order is that of what they add to a list.
func switches() []change {
	return []change{
		{".Values.certManager.enabled", variant{instead: "overlays/cert-manager"}},
		{"not .Values.crds.enabled", variant{without: "crd"}},
		{"not .Values.audit.enabled", variant{without: "audit", patches: []patch{argument("--audit=false")}}},
		{"not .Values.canary.enabled", variant{without: "canary", patches: []patch{argument("--canary-interval=0")}}},
		{".Values.heal", variant{components: []string{"components/heal"}}},
		{".Values.secrets.enabled", variant{components: []string{"components/secrets"}}},
		{".Values.readers.enabled", variant{components: []string{"components/readers"}}},
		{"not .Values.networkPolicy.enabled", variant{without: "network-policy"}},
		{".Values.webhook.hostNetwork", variant{patches: []patch{
			add("hostNetwork", "true"), add("dnsPolicy", "ClusterFirstWithHostNet"),
		}}},
		{".Values.serviceMonitor.enabled", variant{resources: []string{"prometheus"}, patches: []patch{
			deletion("monitoring.coreos.com/v1", "PrometheusRule", "telltale"),
		}}},
		{".Values.rules.enabled", variant{resources: []string{"prometheus"}, patches: []patch{
			deletion("monitoring.coreos.com/v1", "ServiceMonitor", "telltale"), deletion("v1", "Service", "telltale-metrics"),
		}}},
		{".Values.dashboard.enabled", variant{components: []string{"grafana"}}},
		// Only the classes of Kubernetes itself need a quota.
		{`not (hasPrefix "system-" .Values.priorityClassName)`, variant{patches: []patch{deletion("v1", "ResourceQuota", "telltale-critical-pods")}}},
	}
}

// argument is a patch that adds an argument to Telltale's.
func argument(arg string) patch { return add("containers/0/args/-", arg) }

// add is a patch that adds a value to the spec of Telltale's pods.
func add(path, value string) patch {
	return patch{
		"target": map[string]string{"kind": "Deployment", "name": "telltale"},
		"patch":  "- {op: add, path: /" + pod + path + ", value: " + value + "}",
	}
}

func deletion(apiVersion, kind, name string) patch {
	return patch{"patch": "$patch: delete\napiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: " + namespace + "}\n"}
}
