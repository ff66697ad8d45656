package patches

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
)

// Namespace is our knowledge of the namespace that a pod is created in.
type Namespace struct {
	Name string
	// Labels are those of the namespace, where it is Known.
	Labels map[string]string
	Known  bool
	// Limits and Quotas judge the resources of the pods. Of a LimitRange only
	// the name and the spec count, of a ResourceQuota the name, the scopes in its
	// spec, and the names of the resources in status.hard.
	Limits []*corev1.LimitRange
	Quotas []*corev1.ResourceQuota
	// Objects knows the ConfigMaps and Secrets that Injections require. If nil, none
	// can be looked at.
	Objects Objects
}

// Match is an Injection that selects a pod of a namespace. Undecided is true
// where that depends on the labels of a namespace that is not known yet.
type Match struct {
	*Injection
	Undecided bool
	namespace Namespace
}

// LimitJudges tells whether a LimitRange can refuse a pod, or change what others
// refuse: most are for containers, some are for claims only.
func LimitJudges(l *corev1.LimitRange) bool { return apiserver.LimitJudges(l) }

// QuotaJudges tells whether a ResourceQuota asks anything of a pod's containers:
// one that counts objects does not.
func QuotaJudges(q *corev1.ResourceQuota) bool { return apiserver.QuotaJudges(q) }
