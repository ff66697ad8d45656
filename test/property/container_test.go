package property

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// container makes a container with anything that a container may have. It is an app
// container, an init container, or a sidecar by its restartPolicy.
func (d dice) container(name string, volumes []corev1.Volume) corev1.Container {
	c := corev1.Container{
		Name: name, Image: pick(d, "a", "registry.example/app:1", "app@sha256:0123456789012345678901234567890123456789012345678901234567890123"),
		Env: d.env(6, volumes), EnvFrom: d.envFrom(), VolumeMounts: d.mounts(volumes, 4),
		ImagePullPolicy: pick(d, "", corev1.PullAlways, corev1.PullNever),
		TTY:             d.chance(10), Stdin: d.chance(10), StdinOnce: d.chance(5),
	}

	if d.chance(30) {
		c.Command, c.Args, c.WorkingDir = []string{"/app"}, []string{"--flag", "$(A)"}, "/work"
	}

	if d.chance(30) {
		c.Ports = some(d, 3, d.port)
	}

	if d.chance(40) {
		c.Resources = d.resources()
	}

	if d.chance(30) {
		c.SecurityContext = d.securityContext()
	}

	for _, v := range volumes {
		if block := v.PersistentVolumeClaim != nil || v.Ephemeral != nil; (block && d.chance(30) || d.odd(20)) && !mounted(c, v.Name) {
			c.VolumeDevices = append(c.VolumeDevices, corev1.VolumeDevice{Name: v.Name, DevicePath: pick(d, "/dev/xvda", "/dev/xvdb", "/opt")})
		}
	}

	if d.chance(10) {
		c.TerminationMessagePath, c.TerminationMessagePolicy = "/dev/end", corev1.TerminationMessageFallbackToLogsOnError
	}

	return c
}

// asApp and asInit add what only such containers may have.
func (d dice) asApp(c corev1.Container) corev1.Container {
	if d.chance(40) {
		c.LivenessProbe, c.ReadinessProbe, c.StartupProbe = d.probe(), d.probe(), d.probe()
		if c.ReadinessProbe != nil {
			c.ReadinessProbe.TerminationGracePeriodSeconds = nil
			c.ReadinessProbe.SuccessThreshold = pick(d, int32(0), 3)
		}
	}

	if d.chance(20) {
		c.Lifecycle = &corev1.Lifecycle{PreStop: d.handler(), PostStart: d.handler()}
	}

	if d.chance(8) {
		c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: pick(d, corev1.NotRequired, corev1.RestartContainer)}}
	}

	return c
}

func (d dice) asInit(c corev1.Container) corev1.Container {
	if d.chance(35) {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)

		return d.asApp(c)
	}

	if d.chance(5) {
		c.RestartPolicy = new(pick(d, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure))
		c.RestartPolicyRules = some(d, 1, func(int) corev1.ContainerRestartRule {
			return corev1.ContainerRestartRule{
				Action:    corev1.ContainerRestartRuleActionRestart,
				ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
			}
		})
	}

	return c
}

func (d dice) handler() *corev1.LifecycleHandler {
	if d.chance(40) {
		return nil
	}

	return new(pick(d,
		corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}},
		corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/x", Port: intstr.FromInt32(80), Scheme: pick(d, "", corev1.URISchemeHTTPS)}},
		corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}},
		corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: map[bool]int64{true: 45, false: pick(d, int64(0), 5)}[d.odd(30)]}},
	))
}

func mounted(c corev1.Container, volume string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
}

// env makes some, the volumes' files among them.
func (d dice) env(most int, volumes []corev1.Volume) []corev1.EnvVar {
	all := []string{"A", "B", "HTTP_PROXY", "LOG_LEVEL", "a.b-c", "_X", "POD", "Z9"}
	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	return some(d, min(most, len(all)), func(i int) corev1.EnvVar {
		e := corev1.EnvVar{Name: all[i]}

		name := corev1.LocalObjectReference{Name: "corp"}
		switch d.IntN(10) {
		case 0:
			e.ValueFrom = &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: pick(d, "metadata.name", "spec.nodeName", "status.hostIP", "metadata.labels['app']")}}
		case 1:
			e.ValueFrom = &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: pick(d, "limits.cpu", "requests.memory"), Divisor: resource.MustParse(pick(d, "0", "1"))}}
		case 2:
			e.ValueFrom = &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: name, Key: "key", Optional: maybe(d, 50, true)}}
		case 3:
			e.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: name, Key: "key"}}
		case 4:
			e.ValueFrom = d.fileKey(volumes)
		default:
			e.Value = pick(d, "", "x", "http://proxy:3128", "$(A)/b", "\u2603\n\"")
		}

		return e
	})
}

// fileKey names a file of a volume, or is nil where that can't be.
func (d dice) fileKey(volumes []corev1.Volume) *corev1.EnvVarSource {
	if !d.draws.has(files) {
		return nil
	}

	i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.EmptyDir != nil })

	switch {
	case i >= 0 && !d.odd(20):
		volumes = volumes[i : i+1]
	case d.inject && d.chance(10): // the pod's volume, perhaps
	case !d.odd(20):
		return nil
	}

	return &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{
		VolumeName: d.volumeName(volumes), Path: map[bool]string{true: "../env", false: "a.env"}[d.odd(10)], Key: "KEY", Optional: maybe(d, 50, true),
	}}
}

func (d dice) envFrom() []corev1.EnvFromSource {
	if d.chance(60) {
		return nil
	}

	name := corev1.LocalObjectReference{Name: pick(d, "corp", "other")}

	return some(d, 2, func(int) corev1.EnvFromSource {
		if d.chance(50) {
			return corev1.EnvFromSource{Prefix: pick(d, "", "P_"), SecretRef: &corev1.SecretEnvSource{LocalObjectReference: name}}
		}

		return corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: name, Optional: maybe(d, 50, true)}}
	})
}

func (d dice) port(i int) corev1.ContainerPort {
	p := corev1.ContainerPort{ContainerPort: pick(d, int32(80), 8080, 3128, 53), Protocol: pick(d, "", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)}
	if d.chance(30) {
		p.HostPort = p.ContainerPort
		p.HostIP = pick(d, "", "", "127.0.0.1")
	}

	if d.chance(30) {
		p.Name = []string{"web", "admin", "dns"}[i]
	}

	return p
}

func (d dice) resources() corev1.ResourceRequirements {
	small, big := resource.MustParse(pick(d, "1", "100m")), resource.MustParse(pick(d, "1", "2", "64Mi"))
	r := corev1.ResourceRequirements{}
	name := pick(d, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage)

	if d.chance(70) {
		r.Requests = corev1.ResourceList{name: small}
	}

	if d.chance(70) {
		r.Limits = corev1.ResourceList{name: big}
	}

	if d.odd(10) {
		r.Claims = []corev1.ResourceClaim{{Name: pick(d, "gpu", "net")}}
	}

	if d.chance(4) {
		r.Limits = corev1.ResourceList{"hugepages-2Mi": resource.MustParse("2Mi"), corev1.ResourceCPU: big}
	}

	return r
}

func (d dice) probe() *corev1.Probe {
	if d.chance(40) {
		return nil
	}

	p := &corev1.Probe{
		PeriodSeconds: pick(d, int32(0), 5), InitialDelaySeconds: pick(d, int32(0), 5), TimeoutSeconds: pick(d, int32(0), 2),
		FailureThreshold: pick(d, int32(0), 9), TerminationGracePeriodSeconds: maybe(d, 20, int64(10)),
	}
	p.ProbeHandler = pick(d,
		corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}},
		corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: pick(d, intstr.FromInt32(80), intstr.FromString("web")), HTTPHeaders: []corev1.HTTPHeader{{Name: "X-A", Value: "b"}}}},
		corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}},
		corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 80}},
	)

	return p
}

func (d dice) rarely(p corev1.ProcMountType) *corev1.ProcMountType {
	if !d.odd(30) {
		return nil
	}

	return &p
}

func (d dice) rarelyTrue() *bool {
	if !d.odd(30) {
		return nil
	}

	return new(true)
}

func (d dice) securityContext() *corev1.SecurityContext {
	switch d.IntN(6) {
	case 0:
		return &corev1.SecurityContext{Privileged: new(d.chance(50))}
	case 1:
		return &corev1.SecurityContext{
			RunAsUser: new(int64(1000)), RunAsNonRoot: new(true), AllowPrivilegeEscalation: new(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	case 2:
		return &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}, ProcMount: d.rarely(corev1.UnmaskedProcMount)}
	case 3:
		return &corev1.SecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("user"), HostProcess: d.rarelyTrue()}}
	case 4: // releases differ on whether both may be
		return &corev1.SecurityContext{
			RunAsGroup: new(int64(2)), AllowPrivilegeEscalation: maybe(d, 20, false),
			Capabilities: &corev1.Capabilities{Add: []corev1.Capability{pick(d, corev1.Capability("SYS_ADMIN"), "CAP_SYS_ADMIN", "NET_BIND_SERVICE")}},
		}
	default:
		return &corev1.SecurityContext{
			ReadOnlyRootFilesystem: new(true), SELinuxOptions: &corev1.SELinuxOptions{Level: "s0"},
			AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault},
		}
	}
}
