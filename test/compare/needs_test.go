//go:build apiserver

package compare

// need is something that users want for their pods.
type need struct {
	name   string
	pods   []string // their fields besides the name, in YAML's flow form
	path   string   // of what is looked at, as kubectl's jsonpath
	want   []string // there, for each pod
	none   string   // there, where nothing is injected; default: ""
	before string   // objects that have to be there, in YAML
}

// app is a pod with containers.
func app(containers string) string {
	return `metadata: {labels: {app: checkout}}, spec: {containers: [` + containers + `]}`
}

// ownedBy is such a pod, of a ReplicaSet that a Deployment has made.
func ownedBy(replicaSet, containers string) string {
	return `metadata: {labels: {app: checkout, pod-template-hash: "5d7f9"}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: ` +
		replicaSet + `, uid: "1", controller: true}]}, spec: {containers: [` + containers + `]}`
}

const (
	plain = `{name: app, image: x}`
	own   = `{name: app, image: x}, {name: worker, image: x, env: [{name: REGION, value: us}]}`

	region = `{range .spec.containers[*]}{.env[?(@.name=="REGION")].value};{end}`
)

// needs are those that an Injection or a MutatingAdmissionPolicy meets: all have a file
// in docs/compare.
func needs() []need {
	return []need{
		{name: "env", pods: []string{app(plain + `, {name: worker, image: x, env: [{name: A, value: b}]}`)}, path: region, want: []string{"eu;eu;"}, none: ";;"},
		{name: "keep", pods: []string{app(own)}, path: region, want: []string{"eu;us;"}, none: ";us;"},
		{name: "override", pods: []string{app(own)}, path: region, want: []string{"eu;eu;"}, none: ";us;"},
		{name: "secret-key", pods: []string{app(plain)}, path: `{.spec.containers[*].env[?(@.name=="TOKEN")].valueFrom.secretKeyRef.name}`, want: []string{"api-token"}},
		{
			name: "env-from", pods: []string{app(plain + `, {name: worker, image: x, envFrom: [{configMapRef: {name: own}}]}`)},
			path: `{range .spec.containers[*]}{.envFrom[*].configMapRef.name};{end}`, want: []string{"defaults;defaults own;"}, none: ";own;",
		},
		{
			name: "init-first", pods: []string{app(plain + `], initContainers: [{name: own, image: x}`), app(plain)},
			path: `{.spec.initContainers[*].name}`, want: []string{"wait own", "wait"}, none: "own",
		},
		{name: "sidecar", pods: []string{app(plain)}, path: `{.spec.initContainers[*].restartPolicy}`, want: []string{"Always"}},
		{
			name: "corporate-ca", pods: []string{app(own)},
			path: `{.spec.volumes[?(@.name=="corp-ca")].configMap.name} {.spec.containers[*].volumeMounts[?(@.name=="corp-ca")].mountPath} {.spec.containers[*].env[?(@.name=="SSL_CERT_FILE")].value}`,
			want: []string{"corp-ca /etc/corp /etc/corp /etc/corp/ca.crt /etc/corp/ca.crt"}, none: "  ",
		},
		{name: "pull-secret", pods: []string{app(plain)}, path: `{.spec.imagePullSecrets[*].name}`, want: []string{"registry"}},
		{name: "metadata", pods: []string{app(plain)}, path: `{.metadata.labels.team} {.metadata.annotations.example\.com/oncall}`, want: []string{"payments payments"}, none: " "},
		{
			name: "init-too", pods: []string{app(plain + `], initContainers: [{name: own, image: x}`)},
			path: `{.spec.initContainers[*].env[?(@.name=="REGION")].value};` + region, want: []string{"eu;eu;"}, none: ";;",
		},
		{name: "some-containers", pods: []string{app(plain + `, {name: worker, image: x}`)}, path: region, want: []string{"eu;;"}, none: ";;"},
		{
			name: "java-agent", pods: []string{
				app(plain + `, {name: worker, image: x, env: [{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}]}`),
				app(plain + `, {name: worker, image: x, env: [{name: JAVA_TOOL_OPTIONS, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}`),
			},
			path: `{range .spec.containers[*]}{.env[?(@.name=="JAVA_TOOL_OPTIONS")].value};{end}`,
			want: []string{"-javaagent:/otel/agent.jar;-Xmx1g -javaagent:/otel/agent.jar;", ";;"}, none: ";-Xmx1g;",
		},
		{
			name: "no-proxy", pods: []string{
				app(plain + `, {name: worker, image: x, env: [{name: NO_PROXY, value: "db.example,.svc"}]}`),
				app(plain + `, {name: worker, image: x, env: [{name: NO_PROXY, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}`),
			},
			path: `{range .spec.containers[*]}{.env[?(@.name=="NO_PROXY")].value};{end}`,
			want: []string{".svc,.cluster.local;db.example,.svc,.cluster.local;", ";;"}, none: ";db.example,.svc;",
		},
		{
			name: "namespaces", pods: []string{app(plain)}, path: region, want: []string{"eu;"}, none: ";",
			before: `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {stage: production}}}`,
		},
		{
			name: "opt-out", pods: []string{app(plain), `metadata: {labels: {app: checkout, telltale.dev/inject: disabled}}, spec: {containers: [` + plain + `]}`},
			path: region, want: []string{"eu;", ";"}, none: ";",
		},
		{name: "order", pods: []string{app(plain)}, path: `{.spec.initContainers[*].name}`, want: []string{"fetch check"}},
		{
			name: "all-or-nothing", pods: []string{app(plain), app(`{name: app, image: x, env: [{name: REGION, value: us}]}`)},
			path: `{.spec.initContainers[*].name};` + region, want: []string{"check-region;eu;", ";us;"}, none: ";;",
		},
		{
			name: "preview", pods: []string{app(plain)}, path: `{.metadata.annotations.telltale\.dev/previewed};` + region,
			want: []string{"preview;;"}, none: ";;",
		},
		{
			name: "required", pods: []string{app(plain)}, path: region, want: []string{"eu;"}, none: ";",
			before: `{apiVersion: v1, kind: ConfigMap, metadata: {name: corp-ca, namespace: shop}, data: {ca.crt: x}}`,
		},
		{
			name: "owner", pods: []string{ownedBy("checkout-5d7f9", plain), ownedBy("checkout-old-5d7f9", plain), app(plain)},
			path: region, want: []string{"eu;", ";", ";"}, none: ";",
		},
		{
			name: "image", pods: []string{app(plain + `, {name: java, image: registry.example/java/checkout:1}`), app(plain)},
			path: region, want: []string{"eu;eu;", ";"}, none: ";;",
		},
		{name: "plain-container", pods: []string{app(plain)}, path: `{.spec.containers[*].name}`, want: []string{"app logs"}, none: "app"},
		{name: "mirror", pods: []string{app(plain)}, path: `{.spec.containers[*].image}`, want: []string{"mirror.example/x"}, none: "x"},
	}
}
