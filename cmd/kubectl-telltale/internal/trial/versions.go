package trial

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// never is the first minor version of a field that no version takes yet.
const never = 1 << 16

// since has the fields that an API server does not take before a minor version, by
// the defaults of its feature gates. The table in docs/install.md was made with real
// API servers, and TestVersions holds this one against it.
func since() map[string]int {
	return map[string]int{
		"volumes[].image":                                  35,
		"env[].valueFrom.fileKeyRef":                       35,
		"volumes[].projected.sources[].clusterTrustBundle": 37,
		"volumes[].projected.sources[].podCertificate":     37,
		"initContainers[].lifecycle.stopSignal":            never,
		"volumes[].emptyDir.mode":                          never,
		"protocol of a probe's httpGet":                    never,
	}
}

// oldest and newest are the minor versions that the table knows.
const oldest, newest = 34, 37

// minorOf reads a version of Kubernetes: v1.36.3, 1.36.
func minorOf(version string) (int, error) {
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if len(parts) < 2 || parts[0] != "1" {
		return 0, fmt.Errorf("--kubernetes-version %q is not like 1.%d", version, newest)
	}

	minor, err := strconv.Atoi(parts[1])
	if err != nil || minor < oldest || minor > newest {
		return 0, fmt.Errorf("--kubernetes-version %q is not known: it must be from 1.%d to 1.%d", version, oldest, newest)
	}

	return minor, nil
}

// refusal says which field of an Injection a version of Kubernetes does not take; ""
// if it takes all that the table knows.
func refusal(s *v1alpha1.InjectionSpec, minor int) string {
	table := since()

	for _, used := range fieldsOf(s) {
		if table[used.field] > minor {
			return fmt.Sprintf("spec.%s: Kubernetes 1.%d does not take it", used.at, minor)
		}
	}

	return ""
}

// use is a field of the table, and where an Injection has it.
type use struct{ field, at string }

func fieldsOf(s *v1alpha1.InjectionSpec) (used []use) {
	for i := range s.Env {
		used = append(used, ofEnv(s.Env[i].Core(), fmt.Sprintf("env[%d]", i))...)
	}

	for i := range s.Volumes {
		used = append(used, ofVolume(&s.Volumes[i], fmt.Sprintf("volumes[%d]", i))...)
	}

	for i := range s.InitContainers {
		used = append(used, ofContainer(&s.InitContainers[i], fmt.Sprintf("initContainers[%d]", i))...)
	}

	return used
}

func ofEnv(e corev1.EnvVar, at string) []use {
	if e.ValueFrom == nil || e.ValueFrom.FileKeyRef == nil {
		return nil
	}

	return []use{{"env[].valueFrom.fileKeyRef", at + ".valueFrom.fileKeyRef"}}
}

func ofVolume(v *corev1.Volume, at string) (used []use) {
	if v.Image != nil {
		used = append(used, use{"volumes[].image", at + ".image"})
	}

	if v.EmptyDir != nil && v.EmptyDir.Mode != nil {
		used = append(used, use{"volumes[].emptyDir.mode", at + ".emptyDir.mode"})
	}

	if v.Projected == nil {
		return used
	}

	for i := range v.Projected.Sources {
		at := fmt.Sprintf("%s.projected.sources[%d]", at, i)

		if v.Projected.Sources[i].ClusterTrustBundle != nil {
			used = append(used, use{"volumes[].projected.sources[].clusterTrustBundle", at + ".clusterTrustBundle"})
		}

		if v.Projected.Sources[i].PodCertificate != nil {
			used = append(used, use{"volumes[].projected.sources[].podCertificate", at + ".podCertificate"})
		}
	}

	return used
}

func ofContainer(c *corev1.Container, at string) (used []use) {
	for i := range c.Env {
		used = append(used, ofEnv(c.Env[i], fmt.Sprintf("%s.env[%d]", at, i))...)
	}

	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		used = append(used, use{"initContainers[].lifecycle.stopSignal", at + ".lifecycle.stopSignal"})
	}

	for name, p := range map[string]*corev1.Probe{"startupProbe": c.StartupProbe, "readinessProbe": c.ReadinessProbe, "livenessProbe": c.LivenessProbe} {
		if p != nil && p.HTTPGet != nil && p.HTTPGet.Protocol != nil {
			used = append(used, use{"protocol of a probe's httpGet", at + "." + name + ".httpGet.protocol"})
		}
	}

	return used
}
