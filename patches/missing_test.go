package patches

import (
	"testing"

	"sigs.k8s.io/yaml"
)

// TestMissing compares what was declared with what stands there.
func TestMissing(t *testing.T) {
	t.Parallel()

	cases := map[string]struct{ reason, want, have, path string }{
		"Value":        {"A value is not compared.", `{image: a, tty: true}`, `{image: b, tty: true}`, ""},
		"More":         {"The API server fills in fields.", `{ports: [{containerPort: 80}]}`, `{ports: [{containerPort: 80, protocol: TCP}], terminationMessagePath: x}`, ""},
		"Field":        {"A field is not there.", `{image: a, restartPolicy: Always}`, `{image: b}`, ".restartPolicy"},
		"Source":       {"A webhook reads the value from a Secret.", `{name: A, value: x}`, `{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}`, ""},
		"NoSource":     {"The source was dropped.", `{name: A, valueFrom: {fileKeyRef: {path: p}}}`, `{name: A, value: ""}`, ".valueFrom.fileKeyRef.path"},
		"Probe":        {"A mesh rewrites probes.", `{startupProbe: {tcpSocket: {port: 1}}}`, `{startupProbe: {httpGet: {port: 2, path: /x}}}`, ""},
		"Volume":       {"Another source is another value.", `{name: v, secret: {secretName: s}}`, `{name: v, csi: {driver: d}}`, ""},
		"EmptyDir":     {"The API server makes a volume without a source an emptyDir.", `{name: v, image: {reference: r}}`, `{name: v, emptyDir: {}}`, ".image.reference"},
		"OtherType":    {"Another type has no such field.", `{type: Localhost, localhostProfile: p}`, `{type: RuntimeDefault}`, ""},
		"Args":         {"One of several was taken out.", `{args: [a, b, a]}`, `{args: [a, b]}`, ".args[2]"},
		"OtherArgs":    {"A webhook puts its own command before it.", `{command: [sh, -c]}`, `{command: [vault-env]}`, ""},
		"Capability":   {"Another one is another value.", `{add: [NET_ADMIN]}`, `{add: [NET_RAW]}`, ""},
		"Element":      {"A named element is gone, and another came.", `{env: [{name: A, value: x}]}`, `{env: [{name: B, value: x}]}`, ".env[0]"},
		"ElementFirst": {"Another one came before it.", `{env: [{name: A, value: x}]}`, `{env: [{name: B}, {name: A, value: x}]}`, ""},
		"Twice":        {"Of two elements of a name, one is enough.", `{env: [{name: A, value: x}]}`, `{env: [{name: A}, {name: A, value: x}]}`, ""},
		"NoNames": {
			"Which of two elements without names was changed can be told by the other one.", `{ports: [{containerPort: 80}, {containerPort: 80, hostPort: 80}]}`,
			`{ports: [{containerPort: 81, protocol: TCP}, {containerPort: 80, hostPort: 80, protocol: TCP}]}`, "",
		},
		"NoNamesField": {"The same, of a field.", `{envFrom: [{secretRef: {name: s}}, {prefix: P, secretRef: {name: s}}]}`, `{envFrom: [{secretRef: {name: s}}, {secretRef: {name: s}}]}`, ".envFrom[1].prefix"},
		"Rewritten":    {"Which is which can't be told.", `{items: [{key: a, path: p, mode: 1}]}`, `{items: [{key: b, path: q}, {key: c, path: r}]}`, ""},
		"Resources":    {"A limit was taken away, another was added.", `{limits: {cpu: "1"}}`, `{limits: {memory: 1Gi}}`, ".limits.cpu"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var want, have any
			for doc, into := range map[string]*any{c.want: &want, c.have: &have} {
				if err := yaml.Unmarshal([]byte(doc), into); err != nil {
					t.Fatal(err)
				}
			}

			if got := missing("", withoutEmpty(want, ""), have); got != c.path {
				t.Errorf("%s got %q, want %q", c.reason, got, c.path)
			}
		})
	}
}
