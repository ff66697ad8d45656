//go:build apiserver

package config_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// TestUser holds that Telltale runs as no root, and as any user that a platform
// chooses. A kubelet starts a pod with runAsNonRoot and no runAsUser only if the
// image names its user by number.
func TestUser(t *testing.T) {
	pod := only[appsv1.Deployment](t, build(t, "default"), "Deployment").Spec.Template.Spec
	if pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot {
		t.Error("it may run as root")
	}

	own := pod.Containers[0].SecurityContext
	for _, id := range []*int64{pod.SecurityContext.RunAsUser, pod.SecurityContext.RunAsGroup, pod.SecurityContext.FSGroup, own.RunAsUser, own.RunAsGroup} {
		if id != nil {
			t.Errorf("OpenShift's restricted-v2 may refuse it: it asks for %d", *id)
		}
	}

	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}

	users := regexp.MustCompile(`(?m)^USER .*$`).FindAllString(string(dockerfile), -1)
	if len(users) != 1 || !regexp.MustCompile(`^USER [1-9]\d*:[1-9]\d*$`).MatchString(users[0]) {
		t.Errorf("the image's user is no number: %q", users)
	}
}

// TestNetworkPolicyPorts holds that the NetworkPolicy has ports by number, and that
// the Deployment has the same.
func TestNetworkPolicyPorts(t *testing.T) {
	built := build(t, "default")
	ports := only[appsv1.Deployment](t, built, "Deployment").Spec.Template.Spec.Containers[0].Ports

	var open []string

	for _, rule := range only[networkingv1.NetworkPolicy](t, built, "NetworkPolicy").Spec.Ingress {
		for _, port := range rule.Ports {
			for _, p := range ports {
				if port.Port.IntVal == p.ContainerPort { // 0 for a name
					open = append(open, p.Name)
				}
			}
		}
	}

	if want := []string{"webhook", "metrics"}; !slices.Equal(open, want) {
		t.Errorf("it opens %v, want %v", open, want)
	}
}
