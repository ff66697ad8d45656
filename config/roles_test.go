//go:build apiserver

package config_test

import "testing"

// testRoles asks the API server about the rights of each role.
func testRoles(t *testing.T, c cluster) {
	t.Helper()

	c.kubectl("create", "namespace", "shop")
	for _, role := range []string{"admin", "edit", "view"} {
		c.kubectl("create", "rolebinding", role, "--clusterrole", role, "--user", role, "--namespace", "shop")
	}
	c.kubectl("create", "clusterrolebinding", "prometheus", "--clusterrole", "telltale-metrics-reader", "--user", "prometheus")
	c.kubectl("apply", "-f", "components/readers/role.yaml")
	defer c.kubectl("delete", "-f", "components/readers/role.yaml") // the manifests do not have it
	c.kubectl("create", "clusterrolebinding", "reader", "--clusterrole", "telltale-reader", "--user", "reader")
	for role, verb := range map[string]string{"admin": "deletecollection", "edit": "create", "view": "get"} {
		c.eventually(append(can(verb, "injections", "shop"), "--as", role)...)
	}

	const telltale = "system:serviceaccount:telltale-system:telltale"

	cases := map[string]struct {
		reason string
		user   string
		args   []string
		want   bool
	}{
		"AdminDeletesAll": {"Admins rule their namespace.", "admin", can("deletecollection", "injections", "shop"), true},
		"EditCreates":     {"A user that may create pods may inject into them.", "edit", can("create", "injections", "shop"), true},
		"EditElsewhere":   {"But not into pods of other namespaces.", "edit", can("create", "injections", "default"), false},
		"EditCluster":     {"ClusterInjections reach pods of other namespaces.", "edit", can("create", "clusterinjections", "shop"), false},
		"EditStatus":      {"Only Telltale writes the status.", "edit", can("update", "injections", "shop", "--subresource=status"), false},
		"ViewReads":       {"To see why a pod is as it is.", "view", can("list", "injections", "shop"), true},
		"ViewCreates":     {"Viewers only read.", "view", can("create", "injections", "shop"), false},

		"ReaderCluster":      {"explain tells whether one reaches a pod.", "reader", can("list", "clusterinjections", ""), true},
		"ReaderRegistration": {"explain tells whether Telltale is asked.", "reader", can("get", "mutatingwebhookconfigurations/telltale", ""), true},
		"ReaderWebhooks":     {"Others are no matter of Telltale's.", "reader", can("list", "mutatingwebhookconfigurations", ""), false},
		"ReaderWrites":       {"It only reads.", "reader", can("patch", "clusterinjections", ""), false},

		"Injections":       {"The Injections are watched.", telltale, can("watch", "injections", "shop"), true},
		"InjectionsStatus": {"The condition Ready.", telltale, can("patch", "clusterinjections", "", "--subresource=status"), true},
		"InjectionsWrite":  {"Injections are their authors'.", telltale, can("update", "injections", "shop"), false},
		"Namespaces":       {"For namespaceSelector.", telltale, can("watch", "namespaces", ""), true},
		"Events":           {"Failures are shown as events.", telltale, can("patch", "events", "shop"), true},
		"EventsRead":       {"A patch returns the event, so no read is needed.", telltale, can("get", "events", "shop"), false},
		"EventsWatch":      {"Refused pods are heard of by the events of their controllers.", telltale, can("watch", "events", "shop"), true},
		"ReplicaSet":       {"The way from a pod to its Deployment.", telltale, can("get", "replicasets.apps", "shop"), true},
		"ReplicaSets":      {"One at a time.", telltale, can("list", "replicasets.apps", "shop"), false},
		"Pods":             {"The audit looks at those that exist.", telltale, can("watch", "pods", "shop"), true},
		"AuditLease":       {"What the next leader must know.", telltale, can("update", "leases.coordination.k8s.io/telltale-audit", "telltale-system"), true},
		"Canary":           {"A dry run of a pod asks whether Telltale is asked.", telltale, can("create", "pods", "telltale-canary"), true},
		"MakePods":         {"Nowhere else.", telltale, can("create", "pods", "shop"), false},
		"MakeOwnPods":      {"Nor beside itself.", telltale, can("create", "pods", "telltale-system"), false},
		"CanaryExec":       {"There is no pod, and no way into one.", telltale, can("create", "pods", "telltale-canary", "--subresource=exec"), false},
		"CanaryOther":      {"It makes nothing else there.", telltale, can("create", "secrets", "telltale-canary"), false},
		"CanaryLease":      {"The outage, for the next leader.", telltale, can("update", "leases.coordination.k8s.io/telltale-canary", "telltale-system"), true},
		"Endpoints":        {"Is there a replica to call?", telltale, can("list", "endpointslices.discovery.k8s.io", "telltale-system"), true},
		"OtherEndpoints":   {"Those of others are no matter.", telltale, can("list", "endpointslices.discovery.k8s.io", "shop"), false},
		"PodsWrite":        {"Pods are changed only by the answer to the API server.", telltale, can("patch", "pods", "shop"), false},
		"OtherSecret":      {"Telltale reads no other Secret.", telltale, can("get", "secrets/other", "telltale-system"), false},
		"AllSecrets":       {"Nor a list of them.", telltale, can("list", "secrets", "telltale-system"), false},
		"CA":               {"A resourceName allows a list or watch of one name.", telltale, []string{"get", "secrets", "-n", "telltale-system", "--field-selector", "metadata.name=telltale-ca"}, true},
		"RenewCA":          {"All of it is written anew.", telltale, can("update", "secrets/telltale-ca", "telltale-system"), true},
		"PatchCA":          {"No part of it is.", telltale, can("patch", "secrets/telltale-ca", "telltale-system"), false},
		"MakeCA":           {"The first replica to start makes it.", telltale, can("create", "secrets", "telltale-system"), true},
		"AllWebhooks":      {"Telltale reads no other registration.", telltale, can("list", "mutatingwebhookconfigurations", ""), false},
		"Lease":            {"The leader renews it.", telltale, can("update", "leases.coordination.k8s.io/telltale", "telltale-system"), true},
		"MakeLease":        {"The first replica to start makes it.", telltale, can("create", "leases.coordination.k8s.io", "telltale-system"), true},
		"OtherLease":       {"Telltale changes no other Lease.", telltale, can("update", "leases.coordination.k8s.io/other", "telltale-system"), false},
		"Heartbeat":        {"Each replica tells how new its view is.", telltale, can("patch", "leases.coordination.k8s.io/telltale-replicas", "telltale-system"), true},
		"HeartbeatsRead":   {"A patch returns those of the others.", telltale, can("get", "leases.coordination.k8s.io/telltale-replicas", "telltale-system"), false},
		"OtherHeartbeat":   {"The leader's Lease is never patched.", telltale, can("patch", "leases.coordination.k8s.io/telltale", "telltale-system"), false},
		"LeaseElsewhere":   {"Nor those of nodes.", telltale, can("create", "leases.coordination.k8s.io", "kube-node-lease"), false},
		"PodTemplates":     {"The API server is asked by a dry run.", telltale, can("create", "podtemplates", "telltale-system"), true},
		"OtherTemplates":   {"But only in our own namespace.", telltale, can("create", "podtemplates", "shop"), false},
		"Stop":             {"The ConfigMap that stops all injection.", telltale, []string{"get", "configmaps", "-n", "telltale-system", "--field-selector", "metadata.name=telltale-stop"}, true},
		"ConfigMaps":       {"Injections require some.", telltale, can("watch", "configmaps", ""), true},
		"AnyConfigMap":     {"Telltale gets no other ConfigMap.", telltale, can("get", "configmaps/telltale-stop", "shop"), false},
		"Secrets":          {"Only a component grants that.", telltale, can("list", "secrets", ""), false},
		"MakeStop":         {"Administrators stop it, not Telltale.", telltale, can("create", "configmaps", "telltale-system"), false},
		"EndStop":          {"Nor does it go on by itself.", telltale, can("delete", "configmaps/telltale-stop", "telltale-system"), false},
		"Webhook":          {"Our own, to keep its caBundle right.", telltale, []string{"get", "mutatingwebhookconfigurations", "--field-selector", "metadata.name=telltale"}, true},
		"PatchWebhook":     {"Our own, to keep its caBundle right.", telltale, can("patch", "mutatingwebhookconfigurations/telltale", ""), true},
		"KnowsReaders":     {"A reader of the metrics must be known.", telltale, can("create", "tokenreviews.authentication.k8s.io", ""), true},
		"AllowsReaders":    {"And must be allowed to read them.", telltale, can("create", "subjectaccessreviews.authorization.k8s.io", ""), true},
		"Metrics":          {"A role allows it.", "prometheus", []string{"auth", "can-i", "get", "/metrics"}, true},
		"MakeWebhook":      {"The user that installs Telltale makes it.", telltale, can("create", "mutatingwebhookconfigurations", ""), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.in(t).allowed(tc.user, tc.args...); got != tc.want {
				t.Errorf("%s\n%s: %v is %t, want %t", tc.reason, tc.user, tc.args, got, tc.want)
			}
		})
	}
}

// can is the question to kubectl. The exit code is the answer.
func can(verb, resource, namespace string, flags ...string) []string {
	return append([]string{"auth", "can-i", verb, resource, "-n", namespace}, flags...)
}
