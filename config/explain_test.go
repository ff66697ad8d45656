//go:build apiserver

package config_test

import (
	"strings"
	"testing"
)

// testExplain reads the manual that users read.
func testExplain(t *testing.T, c cluster) {
	t.Helper()

	// The API server publishes the manual a moment after the CRDs.
	c.eventually("explain", "injection")
	c.eventually("explain", "clusterinjection")

	cases := map[string]struct {
		reason string
		want   []string
	}{
		"injection":                                    {"The first sentence says its purpose.", []string{"Injection declares what Telltale adds to pods of its own namespace"}},
		"inj.spec":                                     {"By its short name. Defaults are told.", []string{"Skip (default)", "<[]Object>", "-required-"}},
		"injection.spec.env":                           {"The field of a core type has our rule, too.", []string{"letters, digits, -, _ and .", "hide variables of their name that come from its envFrom or from its image"}},
		"injection.spec.env.join":                      {"How values are joined.", []string{"Stands between two values", "only those of its elements that are not there"}},
		"injection.spec.volumes":                       {"The fields of core types keep their descriptions.", []string{"emptyDir represents a temporary directory"}},
		"inj.spec.initContainers":                      {"How a pod stays Guaranteed.", []string{"becomes Burstable"}},
		"injection.spec.onFailure":                     {"A promise that can't be kept is none.", []string{"Deny is a best effort"}},
		"injection.spec.mode":                          {"Each mode is told.", []string{"no pod is changed, but for the annotation", "new pods start without it"}},
		"injection.spec.containers":                    {"Globs are told.", []string{`"*" in a name stands for any`, "native sidecars: init containers with restartPolicy: Always"}},
		"injection.spec.ownerSelector":                 {"The names that a glob is compared with.", []string{"ReplicaSet without the pod's label pod-template-hash", "the last 8 digits"}},
		"inj.spec.ownerSelector.include":               {"A term of ours is told.", []string{"Kind of the controller: Deployment", "Default: any name"}},
		"injection.spec.imageSelector":                 {"Nothing is made of an image.", []string{"nginx is not docker.io/library/nginx"}},
		"inj.spec.annotationSelector.matchExpressions": {"Operators are told.", []string{"it has none of them, or is not there"}},
		"injection.spec.onConflictFor":                 {"Of which parts.", []string{"Of mounts, by their mount paths"}},
		"injection.spec.requires":                      {"What it asks, and of whom.", []string{"the failure InjectionUnmet says so", "only if Telltale may list them", "without optional: true"}},
		"injection.spec.placement":                     {"Why First is the default.", []string{"$(NAME)"}},
		"injection.status":                             {"The status explains Ready.", []string{"The condition Ready is True while"}},
		"inj.status.pods":                              {"And the columns.", []string{"do not start because of it"}},
		"inj.status.withdrawn":                         {"The owners that start without, and why.", []string{"InjectionStuck where pods with the Injection did not start"}},
		"cinj.spec":                                    {"The twin's, too.", []string{"namespaceSelector", "kubernetes.io/metadata.name"}},
		"clusterinjection.spec.labels":                 {"The manual names the reserved prefix.", []string{"telltale.dev/ are reserved"}},
	}
	for path, tc := range cases {
		t.Run(path, func(t *testing.T) {
			out := c.in(t).kubectl("explain", path)
			for _, want := range tc.want {
				if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
					t.Errorf("%s\nkubectl explain %s does not say %q:\n%s", tc.reason, path, want, out)
				}
			}
			if strings.Contains(out, "<no description>") {
				t.Errorf("%s\nkubectl explain %s has fields without a description:\n%s", tc.reason, path, out)
			}
		})
	}
}

// testColumns reads what `kubectl get` prints of an Injection in force.
func testColumns(t *testing.T, c cluster) {
	t.Helper()

	c.kubectl("apply", "-k", "samples/injections")
	c.kubectl("patch", "injection", "mesh", "-n", "shop", "--subresource=status", "--type=merge", "-p",
		`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"InForce","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`)

	lines := strings.SplitN(c.kubectl("get", "inj", "mesh", "-n", "shop", "-o", "wide"), "\n", 3)
	for i, want := range []string{"NAME ORDER READY REASON PODS FAILED MISSED STUCK OUTDATED INJECTED LOST REVISION AGE", "mesh 0 True InForce "} {
		if got := strings.Join(strings.Fields(lines[i]), " "); !strings.HasPrefix(got, want) {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}

	if both := c.kubectl("get", "telltale", "-A"); !strings.Contains(both, "clusterinjection") {
		t.Errorf("kubectl get telltale does not list ClusterInjections:\n%s", both)
	}
}
