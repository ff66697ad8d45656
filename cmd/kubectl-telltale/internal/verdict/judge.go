package verdict

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Outcome is what becomes of an Injection on a pod that is to be created.
type Outcome string

// The outcomes.
const (
	// Injected: the pod gets all of it.
	Injected Outcome = "Injected"
	// Failed: it selects the pod, and the pod starts without it.
	Failed Outcome = "Failed"
	// Denied: it selects the pod, and the pod is refused, as it, or another, says
	// onFailure: Deny.
	Denied Outcome = "Denied"
	// Previewed: it selects the pod, and its mode is Preview, so it changes none.
	Previewed Outcome = "Previewed"
	// NotSelected: its selector, or an opt-out, says no.
	NotSelected Outcome = "NotSelected"
	// NotAsked: the API server does not ask Telltale about the pod.
	NotAsked Outcome = "NotAsked"
	// Stopped: it selects the pod, and all injection is stopped.
	Stopped Outcome = "Stopped"
	// Unknown: something that decides could not be read.
	Unknown Outcome = "Unknown"
)

// Pod is a pod that is to be created, as the API server sends it to webhooks.
type Pod struct {
	Namespace string
	JSON      []byte
	// Excluding are the requirements of its controller's selector that an added label
	// can break (patches.Excluding).
	Excluding labels.Requirements
	// Doubt is a field that the API server may keep or drop: its feature gates decide,
	// and can't be read. "" if there is none.
	Doubt string

	release *patches.Release // that the pod has still to pass; nil: none
}

// One is the verdict on one Injection.
type One struct {
	Injection *patches.Injection
	Outcome   Outcome
	// Reason is that of a failure, or of the one that a preview would be; Text says
	// what, where, and what to do, or why the Injection does not select the pod.
	Reason failure.Reason
	Text   string
	// Unseen are the objects that it requires, and that may be there or not: nobody could
	// tell. The outcome is that of a namespace that has them.
	Unseen []patches.Required
}

// Verdict is what becomes of a pod.
type Verdict struct {
	// All has a verdict on each Injection that can reach the pod's namespace.
	All []One
	// Answer is the webhook's; the zero value if it is not asked.
	Answer webhook.Answer
	// NotAsked says why the API server does not ask Telltale; "" if it does.
	NotAsked string
}

// silent reports nothing.
type silent struct{}

// Report does nothing.
func (silent) Report(failure.Failure) {}

// excluding knows one controller's selector.
type excluding labels.Requirements

// Excluding returns it.
func (e excluding) Excluding(failure.Ref) labels.Requirements { return labels.Requirements(e) }

// patience is how long a judgement may take. The webhook's own limit is short, as
// many wait for it.
const patience = time.Minute

// Judge says what becomes of a pod. An error means that the pod can't be read.
func (c *Cluster) Judge(ctx context.Context, pod Pod) (v Verdict, err error) {
	p, err := patches.Decode(pod.JSON)
	if err != nil {
		return v, err
	}

	ns := c.Namespace(pod.Namespace)
	if v.NotAsked = Asks(c.webhook, p.Labels, ns); v.NotAsked == "" {
		in := webhook.New(c, silent{}, webhook.Options{Selectors: excluding(pod.Excluding), Previews: c.Previews})
		v.Answer = in.Handle(ctx, &webhook.Review{Namespace: pod.Namespace, DryRun: true, Pod: p}, time.Now().Add(patience))
	}

	failed := map[string]failure.Failure{}
	for _, f := range v.Answer.Failures {
		failed[f.Injection.String()] = f
	}

	for _, in := range c.Reach(pod.Namespace) {
		f, isFailed := failed[in.String()]
		v.All = append(v.All, c.one(in, p, ns, v, f, isFailed))
	}

	if v.NotAsked == "" {
		c.preview(ctx, p, ns, v.All)
	}

	return v, nil
}

// preview says what would become of the pod with the Injections that only look.
func (c *Cluster) preview(ctx context.Context, p *patches.Pod, ns patches.Namespace, all []One) {
	matches, _ := c.Match(p.Traits(), ns.Name) // it has no error

	for _, would := range patches.PreviewAll(ctx, p, matches, c.Previews(p.Traits(), ns.Name)) {
		at := slices.IndexFunc(all, func(one One) bool { return one.Injection == would.Injection })
		all[at].Outcome, all[at].Text = Previewed, "it changes no pod (spec.mode is Preview), and would be applied"

		switch f := would.Failure; {
		case f == nil:
		case f.Reason == patches.NotLoaded:
			all[at].Outcome, all[at].Text = Unknown, unknownNamespace(ns)
		default:
			all[at].Reason = failure.Reason(f.Reason)
			all[at].Text = fmt.Sprintf("it changes no pod (spec.mode is Preview), and would fail as %s: %s", f.Reason, f.Text)
		}
	}
}

func unknownNamespace(ns patches.Namespace) string {
	return fmt.Sprintf("the labels of namespace %s could not be read", ns.Name)
}

func (c *Cluster) one(in *patches.Injection, p *patches.Pod, ns patches.Namespace, v Verdict, f failure.Failure, isFailed bool) One {
	one := One{Injection: in, Outcome: Injected, Unseen: c.unseen(in, ns.Name)}

	switch yes, why := in.Selects(p.Traits(), ns); {
	case !yes:
		one.Outcome, one.Text = NotSelected, why
	case p.IsMirror():
		one.Outcome, one.Text = NotSelected, "the pod mirrors a static pod of a node: its containers run already"
	case c.stop != "":
		one.Outcome, one.Text = Stopped, c.stop
	case v.NotAsked != "":
		one.Outcome, one.Text = NotAsked, v.NotAsked
	case isFailed && f.Reason == failure.NotLoaded:
		one.Outcome, one.Text = Unknown, unknownNamespace(ns)
	case isFailed:
		one.Outcome, one.Reason, one.Text = Failed, f.Reason, f.Text
	}

	if one.Outcome == Failed && in.Deny && v.Answer.Denied != "" {
		one.Outcome = Denied
	}

	if v.Answer.Denied != "" && one.Outcome == Injected {
		one.Outcome, one.Text = Denied, "the pod is refused: "+v.Answer.Denied
	}

	return one
}
