package property

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// pod makes a pod of any shape. Most are good; the API server decides.
func (d dice) pod() *corev1.Pod {
	p := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: d.podMeta()}
	p.Spec.Volumes = d.volumes(6)
	p.Spec.SecurityContext = d.podSecurityContext()
	p.Spec.RestartPolicy = pick(d, "", "", corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)

	inits, apps := names(d, "c", 12)[:4], append([]string{"app"}, names(d, "side", 3)...)
	p.Spec.InitContainers = some(d, 4, func(i int) corev1.Container {
		return d.asInit(d.container(inits[i], p.Spec.Volumes))
	})

	for i := range pick(d, 1, 1, 2, 4) {
		p.Spec.Containers = append(p.Spec.Containers, d.asApp(d.container(apps[i], p.Spec.Volumes)))
	}

	if d.chance(20) {
		p.Spec.ImagePullSecrets = some(d, 3, func(int) corev1.LocalObjectReference {
			return corev1.LocalObjectReference{Name: pick(d, "pull", "other", "corp")}
		})
	}

	d.spice(p)

	switch d.IntN(14) {
	case 0:
		d.asWindows(p)
	case 1:
		d.asStatic(p)
	case 2:
		d.asHostNetwork(p)
	case 3:
		p.Spec.HostUsers = new(false)
	case 4:
		p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}
		if d.chance(50) {
			p.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("128Mi")}
		}
	}

	d.addNew(p)

	return p
}

func (d dice) podMeta() metav1.ObjectMeta {
	m := metav1.ObjectMeta{GenerateName: "pod-", Labels: d.labels()}
	if d.chance(30) {
		m.GenerateName, m.Name = "", "pod-"+strconv.Itoa(d.IntN(1e9))
	}

	if d.chance(50) {
		m.OwnerReferences = d.owner()
	}

	if d.chance(40) {
		m.Annotations = d.annotations()
	}

	if d.chance(5) {
		m.Finalizers = []string{"example.com/wait"}
	}

	return m
}

func (d dice) labels() map[string]string {
	if d.chance(10) {
		return nil
	}

	l := map[string]string{"app": pick(d, "web", "cart")}
	for range d.IntN(3) {
		l[pick(d, "tier", "team", "example.com/zone", "pod-template-hash")] = pick(d, "a", "b", "")
	}

	return l
}

func (d dice) annotations() map[string]string {
	a := map[string]string{}
	for range d.IntN(4) {
		a[pick(d, "note", "example.com/a", "prometheus.io/scrape", "telltale.dev/injected", "telltale.dev/failed")] = pick(d, "", "x", "{\"a\": 1}\n")
	}

	switch d.IntN(12) {
	case 0:
		a["controller.kubernetes.io/pod-deletion-cost"] = pick(d, "5", "-1")
	case 1:
		a["container.apparmor.security.beta.kubernetes.io/app"] = pick(d, "runtime/default", "unconfined")
	case 2:
		a["seccomp.security.alpha.kubernetes.io/pod"] = "runtime/default"
	case 3:
		a["kubectl.kubernetes.io/default-container"] = "app"
	case 4:
		a["container.seccomp.security.alpha.kubernetes.io/c-1"] = "unconfined"
	}

	return a
}

func (d dice) podSecurityContext() *corev1.PodSecurityContext {
	if d.chance(70) {
		return nil
	}

	return pick(d,
		&corev1.PodSecurityContext{},
		&corev1.PodSecurityContext{RunAsUser: new(int64(1)), FSGroup: new(int64(2)), SupplementalGroups: []int64{3}, RunAsNonRoot: new(true)},
		&corev1.PodSecurityContext{
			RunAsGroup: new(int64(1)), FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch), SupplementalGroupsPolicy: new(corev1.SupplementalGroupsPolicyStrict),
			AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
		},
		&corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}, Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ip_local_port_range", Value: "1024 65535"}}},
		&corev1.PodSecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("user")}},
		&corev1.PodSecurityContext{SELinuxChangePolicy: new(corev1.SELinuxChangePolicyRecursive), SELinuxOptions: &corev1.SELinuxOptions{Level: "s0"}},
	)
}

// spice adds some of the many other fields.
func (d dice) spice(p *corev1.Pod) {
	s := &p.Spec
	for range d.IntN(5) {
		switch d.IntN(21) {
		case 0:
			s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		case 1:
			s.NodeSelector = map[string]string{"disk": "ssd"}
		case 2:
			s.HostAliases = []corev1.HostAlias{{IP: "1.2.3.4", Hostnames: []string{"a"}}}
		case 3:
			s.DNSPolicy, s.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}}
		case 4:
			s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
				MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, MatchLabelKeys: []string{"pod-template-hash"},
			}}
		case 5:
			s.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
		case 6:
			s.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/ready"}}
		case 7:
			s.TerminationGracePeriodSeconds = new(int64(d.IntN(3)))
		case 8:
			s.ActiveDeadlineSeconds = new(int64(30))
		case 9:
			s.ShareProcessNamespace = new(true)
		case 10:
			s.AutomountServiceAccountToken = new(d.chance(50))
		case 11:
			s.PriorityClassName = pick(d, "system-node-critical", "system-cluster-critical")
		case 12:
			s.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: new("gpu")}}
			s.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}}
		case 13:
			s.Hostname, s.Subdomain, s.SetHostnameAsFQDN = "host", "sub", new(true)
		case 14:
			s.EnableServiceLinks = new(false)
		case 15:
			s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
					TopologyKey: "host", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, MatchLabelKeys: []string{"team"},
				}},
			}}
		case 16:
			s.HostIPC, s.HostPID = d.chance(50), d.chance(50)
		case 17:
			s.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(1)}}}
		case 18:
			s.OS = &corev1.PodOS{Name: corev1.Linux}
		case 19:
			s.ServiceAccountName, s.SchedulerName, s.NodeName = pick(d, "", "default"), pick(d, "", "other"), pick(d, "", "node-1")
		case 20:
			s.PreemptionPolicy, s.HostnameOverride = maybe(d, 50, corev1.PreemptLowerPriority), maybe(d, 50, "example.com")
		}
	}
}

func (d dice) asWindows(p *corev1.Pod) {
	p.Spec.OS = &corev1.PodOS{Name: pick(d, corev1.Windows, corev1.Windows, corev1.Linux)}
	p.Spec.SecurityContext = nil
	p.Spec.HostPID, p.Spec.HostIPC, p.Spec.ShareProcessNamespace = false, false, nil

	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			list[i].SecurityContext = nil
		}
	}
}

// asStatic makes the pod that a kubelet posts for one of its static pods.
func (d dice) asStatic(p *corev1.Pod) {
	p.GenerateName, p.Name = "", "static-"+strconv.Itoa(d.IntN(1e9))
	p.Annotations = map[string]string{
		corev1.MirrorPodAnnotationKey: pick(d, "c3a0c4", "c3a0c4", ""), "kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "c3a0c4",
	}
	p.OwnerReferences = nil
	p.Spec.NodeName, p.Spec.SchedulingGates = "node-1", nil
	p.Spec.ImagePullSecrets = nil
	p.Spec.Volumes = []corev1.Volume{{Name: "v-0", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}}}}

	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			list[i].Env, list[i].EnvFrom, list[i].VolumeDevices = nil, nil, nil
			list[i].VolumeMounts = d.mounts(p.Spec.Volumes, 2)
		}
	}
}

func (d dice) asHostNetwork(p *corev1.Pod) {
	p.Spec.HostNetwork = true

	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if d.chance(50) {
				list[i].Ports = append(list[i].Ports, corev1.ContainerPort{ContainerPort: pick(d, int32(9090), 9091, 9092), Protocol: pick(d, "", corev1.ProtocolTCP)})
			}

			for j := range list[i].Ports {
				list[i].Ports[j].HostPort = pick(d, 0, list[i].Ports[j].ContainerPort)
			}
		}
	}
}

// asHuge makes a pod of about so many bytes.
func (d dice) asHuge(p *corev1.Pod, size int) {
	c := &p.Spec.Containers[0]
	for i := range 8 {
		c.Env = append(c.Env, corev1.EnvVar{Name: "HUGE_" + strconv.Itoa(i), Value: strings.Repeat("x", size/8)})
	}
}
