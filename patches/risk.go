package patches

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/podsecurity"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func risksOf(s *v1alpha1.InjectionSpec) risks {
	r := risks{
		security: len(s.Volumes)+len(s.InitContainers) > 0,
		validity: slices.ContainsFunc(v1alpha1.CoreEnv(s.Env), isFromFile) || slices.ContainsFunc(s.VolumeMounts, isBidirectional) ||
			slices.ContainsFunc(s.Volumes, func(v corev1.Volume) bool { return v.Ephemeral != nil }) ||
			slices.ContainsFunc(s.InitContainers, isRisky),
	}

	for k := range s.Annotations {
		r.security = r.security || podsecurity.ReadsAnnotation(k)
		r.validity = r.validity || isOfContainer(k) || k == corev1.SeccompPodAnnotationKey
	}

	for _, c := range s.InitContainers {
		if sc := c.SecurityContext; sc != nil && (sc.SeccompProfile != nil || sc.AppArmorProfile != nil) {
			r.profiles = append(r.profiles, appArmorPrefix+c.Name, seccompPrefix+c.Name)
		}
	}

	if r.security {
		podsecurity.Prepare()
	}

	return r
}

func isRisky(c corev1.Container) bool {
	sc := c.SecurityContext

	return len(c.VolumeDevices)+len(c.ResizePolicy)+len(c.Resources.Claims)+len(c.RestartPolicyRules) > 0 || c.Lifecycle != nil ||
		sc != nil && (sc.WindowsOptions != nil || sc.ProcMount != nil) || slices.ContainsFunc(c.Env, isFromFile)
}

func isFromFile(e corev1.EnvVar) bool {
	return e.ValueFrom != nil && e.ValueFrom.FileKeyRef != nil
}

func isBidirectional(m corev1.VolumeMount) bool {
	return m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional
}
