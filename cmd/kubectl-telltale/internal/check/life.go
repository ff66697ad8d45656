package check

import (
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// takesOver is how long a Lease of a leader that has died lasts.
	takesOver = 17 * time.Second
	// behind is how far the audit's mark may be behind: it stays two minutes behind the
	// newest pod, and hears at least once a minute. The alert is after five more.
	behind = 8 * time.Minute
	// webhookPort is where the pods of Telltale listen.
	webhookPort = 9443
)

// judgeNetwork tells if there is a pod to call, and if a NetworkPolicy lets callers in.
func (f *found) judgeNetwork(s section) {
	const reachable, open = "its Service has endpoints", "no NetworkPolicy keeps the API server out"

	ready := 0

	for i := range f.endpoints.o.Items {
		for _, e := range f.endpoints.o.Items[i].Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready += len(e.Addresses)
			}
		}
	}

	switch {
	case f.endpoints.err != nil:
		s.unread(reachable, f.endpoints.err)
	case ready == 0:
		s.add(reachable, Bad, "Service "+f.service()+" has no endpoint that is ready", "See kubectl get pods,services,endpointslices -n "+f.namespace, "operate.md#telltalecanarybypassed")
	default:
		s.good(reachable, fmt.Sprint(ready))
	}

	switch closed := f.closedBy(); {
	case f.networks.err != nil:
		s.unread(open, f.networks.err)
	case closed != "":
		s.add(open, Bad, fmt.Sprintf("NetworkPolicy %s lets nothing in on port %d", closed, webhookPort), "Allow it, as config/network-policy does", "install.md#private-clusters-let-the-control-plane-in")
	default:
		s.good(open, "")
	}
}

// closedBy returns a NetworkPolicy that selects Telltale's pods, if none of these lets
// anything in on the port of the webhook. Addresses are not looked at: nothing here knows
// those of the API server.
func (f *found) closedBy() (closed string) {
	if f.networks.err != nil || f.deployment.err != nil {
		return ""
	}

	for i := range f.networks.o.Items {
		p := &f.networks.o.Items[i]

		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil || !selector.Matches(labels.Set(f.deployment.o.Spec.Template.Labels)) {
			continue
		}

		if letsIn(p, webhookPort) {
			return ""
		}

		closed = p.Name
	}

	return closed
}

func letsIn(p *networkingv1.NetworkPolicy, port int32) bool {
	for _, rule := range p.Spec.Ingress {
		if len(rule.Ports) == 0 {
			return true
		}

		for _, at := range rule.Ports {
			switch {
			case at.Port == nil, at.Port.Type == intstr.String:
				return true // a named port may be ours
			case at.Port.IntVal == port, at.EndPort != nil && at.Port.IntVal <= port && port <= *at.EndPort:
				return true
			}
		}
	}

	return false
}

// judgeLife tells if Telltale does its work.
func (f *found) judgeLife(s section, now time.Time) {
	f.judgeProbe(s)
	f.judgeStop(s)

	const leads = "a replica leads"

	switch l := f.leader; {
	case l.isMissing():
		s.add(leads, Bad, "there is no Lease telltale in namespace "+f.namespace, "See the log of Telltale (logger leader)", "operate.md#telltalenoleader")
	case l.err != nil:
		s.unread(leads, l.err)
	case l.o.Spec.RenewTime == nil || now.Sub(l.o.Spec.RenewTime.Time) > takesOver:
		s.add(leads, Bad, "its Lease was not renewed for "+ageOf(l.o, now), "See the log of Telltale (logger leader)", "operate.md#telltalenoleader")
	default:
		s.good(leads, *l.o.Spec.HolderIdentity)
	}

	f.judgeAudit(s, now)
	f.judgeCanary(s, now)
}

func ageOf(l *coordinationv1.Lease, now time.Time) string {
	if l.Spec.RenewTime == nil {
		return "ever"
	}

	return now.Sub(l.Spec.RenewTime.Time).Round(time.Second).String()
}

func (f *found) judgeProbe(s section) {
	const check = "the API server asks Telltale about new pods"

	const page = "operate.md#telltalecanarybypassed"

	_, injected := f.probe.o.Annotations[v1alpha1.InjectedAnnotation]
	_, failed := f.probe.o.Annotations[v1alpha1.FailedAnnotation]

	switch {
	case apierrors.IsNotFound(f.probe.err):
		s.add(check, Unknown, "could not tell: there is no namespace "+f.canaryHome+" for a dry run", "Apply config/canary", "operate.md#telltalecanaryunknown")
	case f.probe.err != nil:
		s.unread(check, f.probe.err)
	case !injected && !failed && f.stop.err == nil:
		s.add(check, Warning, "could not tell: all injection is stopped", "End the stop", "operate.md#stop-all-injection-at-once")
	case !injected && !failed:
		s.add(check, Bad, "a dry run of a pod came back without a record: new pods start without their Injections", "See kubectl describe deployment telltale -n "+f.namespace, page)
	case failed:
		s.add(check, Warning, "it is asked, and its test Injection failed: "+f.probe.o.Annotations[v1alpha1.FailedAnnotation], "See the log of Telltale", page)
	default:
		s.good(check, "dry run of a pod")
	}
}

func (f *found) judgeStop(s section) {
	const check = "injection is not stopped"

	switch {
	case f.stop.isMissing():
		s.good(check, "")
	case f.stop.err != nil:
		s.unread(check, f.stop.err)
	default:
		s.add(check, Warning, fmt.Sprintf("ConfigMap telltale-stop stops it (%q)", f.stop.o.Data["reason"]), "To end that: kubectl delete configmap telltale-stop -n "+f.namespace, "operate.md#stop-all-injection-at-once")
	}
}

func (f *found) judgeAudit(s section, now time.Time) {
	const check = "the audit keeps up with pods"

	var mark struct {
		UpTo time.Time `json:"upTo"`
	}

	switch l := f.auditLease; {
	case f.hasFlag("--audit=false"):
		s.add(check, Warning, "Telltale runs with --audit=false: pods that it was not asked about are not shown", "Grant config/audit", "audit.md#without-it")
	case l.isMissing():
		s.add(check, Bad, "it has not begun: there is no Lease telltale-audit", "See the log of Telltale (logger audit)", "operate.md#telltaleauditbehind")
	case l.err != nil:
		s.unread(check, l.err)
	default:
		err := markOf(l.o, "telltale.dev/audit", &mark)
		age := now.Sub(mark.UpTo).Round(time.Second)

		switch {
		case err != nil:
			s.add(check, Warning, "it has looked at no pod yet: "+err.Error(), "Wait a minute", "operate.md#telltaleauditbehind")
		case age > behind:
			s.add(check, Warning, "it has told of pods up to "+age.String()+" ago", "See the log of Telltale (logger audit)", "operate.md#telltaleauditbehind")
		default:
			s.good(check, "up to "+age.String()+" ago")
		}
	}
}

func (f *found) judgeCanary(s section, now time.Time) {
	const check = "the canary found no outage that lasts"

	const page = "operate.md#telltalecanarybypassed"

	var o outage

	switch l := f.canaryLease; {
	case f.hasFlag("--canary-interval=0"):
		s.add(check, Warning, "Telltale runs without a canary", "Grant config/canary", page)
	case l.isMissing():
		s.add(check, Warning, "it has not begun: there is no Lease telltale-canary", "See the log of Telltale (logger canary)", page)
	case l.err != nil:
		s.unread(check, l.err)
	case markOf(l.o, "telltale.dev/canary", &o) != nil || o.Began.IsZero():
		s.good(check, "there was none")
	case o.Ended.IsZero():
		s.add(check, Bad, "since "+o.Began.UTC().Format(time.RFC3339)+": "+o.Finding.Text, "See kubectl describe deployment telltale -n "+f.namespace, page)
	default:
		s.good(check, "the last ended "+now.Sub(o.Ended).Round(time.Second).String()+" ago")
	}
}
