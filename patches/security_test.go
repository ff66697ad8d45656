package patches

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// strict is a securityContext that every level lets pass.
const strict = "allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}"

// securityPods are pods that differ in what the checks of Pod Security read.
func securityPods() map[string]string {
	container := "containers: [{name: app, image: x, securityContext: {" + strict + "}}]"

	return map[string]string{
		"Bare":        "{metadata: {}, spec: {containers: [{name: app, image: x}]}}",
		"Strict":      "{metadata: {}, spec: {" + container + "}}",
		"Covers":      "{metadata: {}, spec: {securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, " + container + "}}",
		"Root":        "{metadata: {}, spec: {securityContext: {runAsNonRoot: false, runAsUser: 0}, " + container + "}}",
		"Windows":     "{metadata: {}, spec: {os: {name: windows}, securityContext: {runAsNonRoot: true}, containers: [{name: app, image: x}]}}",
		"HostProcess": "{metadata: {}, spec: {os: {name: windows}, securityContext: {windowsOptions: {hostProcess: true}}, containers: [{name: app, image: x}]}}",
		"UserSpace":   "{metadata: {}, spec: {hostUsers: false, " + container + "}}",
		"HostNetwork": "{metadata: {}, spec: {hostNetwork: true, " + container + "}}",
		"Privileged":  "{metadata: {}, spec: {containers: [{name: app, image: x, securityContext: {privileged: true}}]}}",
		"PrivilegedInit": "{metadata: {}, spec: {initContainers: [{name: setup, image: z, securityContext: {privileged: true}}], " +
			container + "}}",
		"HostPath": "{metadata: {}, spec: {volumes: [{name: extra, hostPath: {path: /}}], " + container + "}}",
		"Annotated": "{metadata: {annotations: {container.seccomp.security.alpha.kubernetes.io/setup: unconfined, " +
			"container.apparmor.security.beta.kubernetes.io/app: runtime/default}}, spec: {" + container + "}}",
		"Unconfined": "{metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/app: unconfined}}, spec: {" + container + "}}",
	}
}

// securityInjections are specs that add each of what the checks read, and all
// that they don't.
func securityInjections() map[string]string {
	specs := map[string]string{
		"HostPath":    "volumes: [{name: extra, hostPath: {path: /var/log}}]",
		"NFS":         "volumes: [{name: extra, nfs: {server: a, path: /}}]",
		"NoSource":    "volumes: [{name: extra}]",
		"Secret":      "volumes: [{name: extra, secret: {secretName: a}}, {name: image, image: {reference: a}}]",
		"AppArmor":    "annotations: {container.apparmor.security.beta.kubernetes.io/app: unconfined}",
		"SeccompPod":  "annotations: {seccomp.security.alpha.kubernetes.io/pod: unconfined}",
		"Seccomp":     "annotations: {container.seccomp.security.alpha.kubernetes.io/app: unconfined}",
		"SeccompInit": "annotations: {container.seccomp.security.alpha.kubernetes.io/setup: unconfined}",
		"NotRead": "{env: [{name: A, value: a}], envFrom: [{secretRef: {name: a}}], imagePullSecrets: [{name: a}], " +
			"labels: {pod-security.kubernetes.io/enforce: privileged}, annotations: {a: unconfined}}",
	}

	for name, securityContext := range map[string]string{
		"Empty":       "",
		"Strict":      strict,
		"Most":        "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}",
		"Privileged":  "privileged: true",
		"Root":        strict + ", runAsUser: 0",
		"Bind":        strings.Replace(strict, "{drop", "{add: [NET_BIND_SERVICE], drop", 1),
		"Capability":  "capabilities: {add: [SYS_ADMIN]}",
		"ProcMount":   strict + ", procMount: Unmasked",
		"AppArmor":    strict + ", appArmorProfile: {type: Unconfined}",
		"SELinux":     strict + ", seLinuxOptions: {type: container_engine_t}",
		"SELinuxUser": "seLinuxOptions: {user: a}",
		"Seccomp":     "seccompProfile: {type: Unconfined}",
		"HostProcess": "windowsOptions: {hostProcess: true}",
	} {
		specs["Init"+name] = "initContainers: [{name: setup, image: z, securityContext: {" + securityContext + "}}]"
	}

	specs["InitHostPort"] = "initContainers: [{name: setup, image: z, ports: [{containerPort: 1, hostPort: 1}], securityContext: {" + strict + "}}]"
	specs["InitProbe"] = "initContainers: [{name: setup, image: z, restartPolicy: Always, startupProbe: {tcpSocket: {host: a, port: 1}}, " +
		"securityContext: {" + strict + "}}]"
	specs["InitSwapped"] = "{onConflict: Override, " + specs["InitPrivileged"] + "}"
	specs["VolumeSwapped"] = "{onConflict: Override, " + specs["HostPath"] + "}"

	return specs
}

func securityInjection(t *testing.T, name, spec string) *Injection {
	t.Helper()

	in := v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	decode(t, []byte(spec), &in.Spec, true)
	in.Spec.Selector = &metav1.LabelSelector{}

	return Compile(&in)
}

func enforcing(level, version string) Namespace {
	return Namespace{Name: "shop", Known: true, Labels: map[string]string{
		api.EnforceLevelLabel: level, api.EnforceVersionLabel: version,
	}}
}

// TestForbiddenIsExact puts every Injection, and every one after some, into
// every pod, and compares what is forbidden with what the checks say of the pod
// as patched.
func TestForbiddenIsExact(t *testing.T) {
	forbidden, compiled := 0, map[string]*Injection{}
	for name, spec := range securityInjections() {
		compiled[name] = securityInjection(t, name, spec)
	}

	for podName, doc := range securityPods() {
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}

		for _, level := range []string{"baseline", "restricted"} {
			for _, version := range []string{"v1.0", "v1.18", "v1.19", "v1.25", "v1.31", "v1.35", "latest"} {
				ns := enforcing(level, version)

				for name, in := range compiled {
					forbidden += checkForbidden(t, podName+" "+name, raw, ns, in)

					for _, first := range []string{"AppArmor", "SeccompInit", "InitSwapped", "VolumeSwapped", "InitEmpty"} {
						if first != name && (version == "v1.18" || version == "latest") {
							forbidden += checkForbidden(t, podName+" "+first+" "+name, raw, ns, compiled[first], in)
						}
					}
				}
			}
		}
	}

	if forbidden < 1000 {
		t.Errorf("only %d Injections were forbidden", forbidden)
	}
}

// checkForbidden applies Injections one after the other, and holds the verdict
// on each against the pod before it and after it. It returns how many were
// forbidden.
func checkForbidden(t *testing.T, what string, raw []byte, ns Namespace, injections ...*Injection) (forbidden int) {
	t.Helper()

	pod, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}

	matches := make([]Match, len(injections))
	for i, in := range injections {
		matches[i] = Match{Injection: in, namespace: ns}
	}

	r := New(t.Context(), pod, matches)
	applied := []Match{}
	before := broken(t, raw, ns)

	for _, m := range matches {
		free := Match{Injection: m.Injection, namespace: Namespace{Known: true}}
		with := New(t.Context(), pod, append(slices.Clone(applied), free))
		after := broken(t, applyPatch(t, raw, with.Patch), ns)
		breaks := slices.ContainsFunc(after, func(i int) bool { return !slices.Contains(before, i) })
		i := slices.IndexFunc(r.Failed, func(f Failure) bool { return f.Injection == m.Injection })

		if got := i >= 0 && r.Failed[i].Reason == Forbidden; got != breaks {
			t.Errorf("%s: %s in %s: forbidden %v, checks broken before: %v, after: %v", what, m.Name, enforced(ns), got, before, after)
		}

		if i >= 0 {
			forbidden++

			continue
		}

		applied = append(applied, free)
		before = after
	}

	return forbidden
}

// evaluator has the checks.
var evaluator = sync.OnceValue(func() policy.Evaluator {
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err)
	}

	return e
})

// broken returns the checks of a namespace's level that a pod breaks, as the
// API server would decode it.
func broken(t *testing.T, raw []byte, ns Namespace) (checks []int) {
	t.Helper()

	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}

	for i := range pod.Spec.Volumes {
		pod.Spec.Volumes[i] = *withSource(&pod.Spec.Volumes[i])
	}

	for i, r := range evaluator().EvaluatePod(enforced(ns).LevelVersion, &pod.ObjectMeta, &pod.Spec) {
		if !r.Allowed {
			checks = append(checks, i)
		}
	}

	return checks
}

// TestMostAreNotGuarded: what no check reads costs nothing.
func TestMostAreNotGuarded(t *testing.T) {
	for name, spec := range securityInjections() {
		if in := securityInjection(t, name, spec); in.risks.security != (name != "NotRead") {
			t.Errorf("%s: guarded %v", name, in.risks.security)
		}
	}

	if mount := securityInjection(t, "mount", "volumeMounts: [{name: a, mountPath: /a}]"); mount.risks.security {
		t.Error("a mount of the pod's volume is guarded")
	}
}

// TestSecurityUnknownNamespace asks about a pod whose namespace is not known
// yet: what every level lets pass is applied, and what one may not is no match
// and no "no match", but undecided.
func TestSecurityUnknownNamespace(t *testing.T) {
	raw := []byte(`{"metadata":{},"spec":{"containers":[{"name":"app","image":"x"}]}}`)
	specs := securityInjections()

	for name, want := range map[string]Reason{
		"InitStrict": "", "Secret": "", "NotRead": "", "InitEmpty": NotLoaded, "HostPath": NotLoaded, "AppArmor": NotLoaded,
	} {
		pod, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}

		set := (&Set{}).With(securityInjection(t, name, specs[name]))

		var got Reason
		if r := New(t.Context(), pod, set.Match(pod.Traits(), Namespace{Name: "shop"})); len(r.Failed) > 0 {
			got = r.Failed[0].Reason
		}

		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestForbiddenUndecodable: a pod that no API server sends, whose spec decodes
// only as far as Injections meet it.
func TestForbiddenUndecodable(t *testing.T) {
	pod, err := Decode([]byte(`{"metadata":{},"spec":{"containers":[],"hostPID":"s3cr3t"}}`))
	if err != nil {
		t.Fatal(err)
	}

	in := securityInjection(t, "logs", securityInjections()["HostPath"])
	r := New(t.Context(), pod, (&Set{}).With(in).Match(pod.Traits(), enforcing("baseline", "latest")))

	if len(r.Failed) != 1 || r.Failed[0].Reason != Unsafe || strings.Contains(fmt.Sprint(r.Failed), "s3cr3t") {
		t.Errorf("got %+v", r.Failed)
	}
}

// BenchmarkSecurity is what an Injection of one init container costs where a
// level is enforced: one that passes by itself, one that needs the pod's
// securityContext, one that is forbidden; and, to compare, where none is.
func BenchmarkSecurity(b *testing.B) {
	doc := `{"metadata":{},"spec":{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},` +
		`"containers":[{"name":"app","image":"x","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`

	for _, c := range []struct{ name, level, securityContext string }{
		{"NoLevel", "privileged", `{}`},
		{"ByItself", "restricted", `{"allowPrivilegeEscalation":false,"runAsNonRoot":true,"capabilities":{"drop":["ALL"]},"seccompProfile":{"type":"RuntimeDefault"}}`},
		{"WithPod", "restricted", `{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}`},
		{"Forbidden", "restricted", `{"privileged":true}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			var in v1alpha1.Injection

			in.Spec.Selector = &metav1.LabelSelector{}
			if err := json.Unmarshal([]byte(`[{"name":"setup","image":"z","securityContext":`+c.securityContext+`}]`), &in.Spec.InitContainers); err != nil {
				b.Fatal(err)
			}

			compiled, ns := Compile(&in), enforcing(c.level, "latest")

			b.ReportAllocs()

			for b.Loop() {
				pod, err := Decode([]byte(doc))
				if err != nil {
					b.Fatal(err)
				}

				New(b.Context(), pod, []Match{{Injection: compiled, namespace: ns}})
			}
		})
	}
}
