package apiserver

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func fromYAML[T any](t *testing.T, doc string) (v T) {
	t.Helper()

	if err := yaml.UnmarshalStrict([]byte(doc), &v); err != nil {
		t.Fatal(err)
	}

	return v
}

func toJSON(t *testing.T, doc string) []byte {
	t.Helper()

	b, err := yaml.YAMLToJSON([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func TestSameContainer(t *testing.T) {
	cases := map[string]struct {
		reason, declared, have string
		hostNetwork, want      bool
	}{
		"Defaults": {
			reason:   "An API server has filled in all it fills in.",
			declared: `{name: a, image: x, env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}], startupProbe: {httpGet: {port: 1}}}`,
			have: `{name: a, image: x, imagePullPolicy: Always, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, resources: {},
				env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: spec.nodeName}}}],
				startupProbe: {httpGet: {port: 1, path: /, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3},
				volumeMounts: [{name: kube-api-access-abcde, readOnly: true, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}`,
			want: true,
		},
		"OtherImage": {reason: "An image is no default.", declared: `{name: a, image: x}`, have: `{name: a, image: y}`},
		"OtherProbe": {
			reason:   "Another period is none of the API server's.",
			declared: `{name: a, image: x, startupProbe: {httpGet: {port: 1}}}`, have: `{name: a, image: x, startupProbe: {httpGet: {port: 1}, periodSeconds: 11}}`,
		},
		"LimitRange": {
			reason:   "Resources that a LimitRange added are not ours.",
			declared: `{name: a, image: x, resources: {requests: {cpu: 10m}}}`,
			have:     `{name: a, image: x, resources: {requests: {cpu: 10m, memory: 1Gi}, limits: {cpu: "1"}}}`, want: true,
		},
		"OtherRequest": {
			reason:   "Resources that were declared must be there as declared.",
			declared: `{name: a, image: x, resources: {requests: {cpu: 10m}}}`, have: `{name: a, image: x, resources: {requests: {cpu: 20m}}}`,
		},
		"SameQuantity": {
			reason:   "1000m is 1.",
			declared: `{name: a, image: x, resources: {limits: {cpu: 1000m}}}`, have: `{name: a, image: x, resources: {limits: {cpu: "1"}, requests: {cpu: "1"}}}`, want: true,
		},
		"HostPort": {
			reason:   "On the host's network the API server sets the host's port.",
			declared: `{name: a, image: x, ports: [{containerPort: 80}]}`, have: `{name: a, image: x, ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]}`,
			hostNetwork: true, want: true,
		},
		"OwnHostPort": {
			reason:   "On a pod's own network somebody else did.",
			declared: `{name: a, image: x, ports: [{containerPort: 80}]}`, have: `{name: a, image: x, ports: [{containerPort: 80, hostPort: 80}]}`,
		},
		"ServiceAccountMount": {
			reason:   "A mount at that path that was declared must be there.",
			declared: `{name: a, image: x, volumeMounts: [{name: t, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}`, have: `{name: a, image: x}`,
		},
		"UnknownField": {reason: "A field that we do not know may mean anything.", declared: `{name: a, image: x}`, have: `{name: a, image: x, newField: 1}`},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			declared := fromYAML[corev1.Container](t, c.declared)
			if got := SameContainer(toJSON(t, c.have), &declared, c.hostNetwork); got != c.want {
				t.Errorf("%s got %v", c.reason, got)
			}
		})
	}
}

func TestSameVolume(t *testing.T) {
	cases := map[string]struct {
		reason, declared, have string
		want                   bool
	}{
		"NoSource":    {"Without a source it is an emptyDir.", `{name: v}`, `{name: v, emptyDir: {}}`, true},
		"DefaultMode": {"The API server fills in the mode.", `{name: v, secret: {secretName: s}}`, `{name: v, secret: {secretName: s, defaultMode: 420}}`, true},
		"OtherMode":   {"Another mode was asked for.", `{name: v, secret: {secretName: s}}`, `{name: v, secret: {secretName: s, defaultMode: 256}}`, false},
		"OtherSource": {"A Secret is no ConfigMap.", `{name: v, secret: {secretName: s}}`, `{name: v, configMap: {name: s}}`, false},
		"PullPolicy":  {"It depends on the tag.", `{name: v, image: {reference: r}}`, `{name: v, image: {reference: r, pullPolicy: IfNotPresent}}`, true},
		"Token": {
			"The API server fills in how long it lives.", `{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}`,
			`{name: v, projected: {defaultMode: 420, sources: [{serviceAccountToken: {path: t, expirationSeconds: 3600}}]}}`, true,
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			declared := fromYAML[corev1.Volume](t, c.declared)
			if got := SameVolume(toJSON(t, c.have), &declared); got != c.want {
				t.Errorf("%s got %v", c.reason, got)
			}
		})
	}
}

func TestSameSource(t *testing.T) {
	cases := map[string]struct {
		reason, declared, have string
		want                   bool
	}{
		"APIVersion": {"The API server fills it in.", `{fieldRef: {fieldPath: a}}`, `{fieldRef: {apiVersion: v1, fieldPath: a}}`, true},
		"Divisor":    {"The API server fills it in.", `{resourceFieldRef: {resource: limits.cpu}}`, `{resourceFieldRef: {resource: limits.cpu, divisor: "0"}}`, true},
		"OtherKey":   {"Another key is another value.", `{secretKeyRef: {name: s, key: a}}`, `{secretKeyRef: {name: s, key: b}}`, false},
		"Optional":   {"It may be missing: that is not the same.", `{secretKeyRef: {name: s, key: a}}`, `{secretKeyRef: {name: s, key: a, optional: true}}`, false},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			declared := fromYAML[corev1.EnvVarSource](t, c.declared)
			if got := SameSource(toJSON(t, c.have), &declared); got != c.want {
				t.Errorf("%s got %v", c.reason, got)
			}
		})
	}

	if SameSource(nil, &corev1.EnvVarSource{}) || !SameSource(nil, nil) || SameSource([]byte("{}"), nil) {
		t.Error("no source is the same as no source, and as nothing else")
	}
}
