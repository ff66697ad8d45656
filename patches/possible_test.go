package patches

import (
	"strings"
	"testing"
)

func TestImpossible(t *testing.T) {
	const (
		quotaCPU = "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: shop}, spec: {hard: {limits.cpu: '1'}}}"
		max128   = "{apiVersion: v1, kind: LimitRange, metadata: {name: l, namespace: shop}, spec: {limits: [{type: Container, max: {memory: 128Mi}}]}}"
		min64    = "{apiVersion: v1, kind: LimitRange, metadata: {name: m, namespace: shop}, spec: {limits: [{type: Container, min: {memory: 64Mi, cpu: 1m}}]}}"
		defaults = "{apiVersion: v1, kind: LimitRange, metadata: {name: d, namespace: shop}, spec: {limits: [{type: Container, default: {cpu: 10m}}]}}"
		silent   = "initContainers: [{name: wait, image: w}]"
		greedy   = "initContainers: [{name: wait, image: w, resources: {limits: {memory: 1Gi, cpu: 1m}}}]"
	)

	cases := map[string]struct {
		reason, spec, want string
		rules              []string
	}{
		"NoRules":         {"Nothing asks for anything.", silent, "", nil},
		"Quota":           {"Whatever a pod sets, the init container sets no limit.", silent, `ResourceQuota "q" wants limits.cpu for init container "wait"`, []string{quotaCPU}},
		"QuotaSet":        {"It sets the limit.", greedy, "", []string{quotaCPU}},
		"QuotaByDefault":  {"A LimitRange sets the limit.", silent, "", []string{quotaCPU, defaults}},
		"Maximum":         {"It asks for more than any pod may.", greedy, `maximum memory usage per Container is 128Mi, but limit is 1Gi`, []string{max128}},
		"Minimum":         {"A pod must ask for some memory, and the init container asks for enough.", greedy, "", []string{min64}},
		"OnlyEnv":         {"It has no resources.", "env: [{name: A, value: a}]", "", []string{quotaCPU, max128}},
		"OtherContainers": {"Its containers are not the sample's.", "containers: {include: [app]}\nenv: [{name: A, value: a}]\n" + greedy, "", []string{quotaCPU}},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := goldenCase{ns: Namespace{Name: "shop", Known: true}}
			for _, doc := range c.rules {
				g.add(t, []byte(doc))
			}

			got := Impossible(t.Context(), securityInjection(t, "a", c.spec), g.ns)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%s got %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

func TestBurstable(t *testing.T) {
	cases := map[string]struct{ reason, spec, want string }{
		"NoInitContainers": {"Env has no resources.", "env: [{name: A, value: a}]", ""},
		"Silent":           {"It sets nothing.", "initContainers: [{name: good, image: w, resources: {limits: {cpu: 1m, memory: 1Mi}}}, {name: wait, image: w}]", "wait"},
		"OnlyCPU":          {"Memory is missing.", "initContainers: [{name: wait, image: w, resources: {limits: {cpu: 1m}}}]", "wait"},
		"LowerRequest":     {"The request is not the limit.", "initContainers: [{name: wait, image: w, resources: {limits: {cpu: 2m, memory: 1Mi}, requests: {cpu: 1m, memory: 1Mi}}}]", "wait"},
		"OnlyLimits":       {"The API server copies limits to requests.", "initContainers: [{name: wait, image: w, resources: {limits: {cpu: 1m, memory: 1Mi}}}]", ""},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Burstable(securityInjection(t, "a", c.spec)); got != c.want {
				t.Errorf("%s got %q", c.reason, got)
			}
		})
	}
}
