package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/test/child"
)

// Ways of creating a pod without one of our servers.
const (
	nothing = "nothing"
	policy  = "policy"           // a MutatingAdmissionPolicy, by ApplyConfiguration
	patch   = "policy-jsonpatch" // another, by JSON patch
)

// creations measures how long the API server takes for a pod, by a dry run, in
// the namespace of each candidate, one pod after the other.
func (b *bench) creations(ctx context.Context) error {
	if err := b.register(ctx); err != nil {
		return err
	}
	ways := []string{nothing, floor, policy, patch, constant, textbook, subject}
	took := map[string][]time.Duration{}
	const warmUp = 20
	for i := range warmUp + b.pods {
		for j := range ways {
			way := ways[(i+j)%len(ways)]
			start := time.Now()
			pod, err := b.createPod(ctx, way)
			d := time.Since(start)
			if err != nil {
				return err
			}
			if has, err := injected(pod); err != nil || has != (way != nothing && way != floor) {
				return fmt.Errorf("the pod by way of %s is injected: %v, error %w", way, has, err)
			}
			if i >= warmUp {
				took[way] = append(took[way], d)
			}
		}
	}
	for _, d := range took {
		slices.Sort(d)
	}
	b.table("Creating a pod (server-side dry run), one after the other", podTable(ways, took))
	added := func(way string) time.Duration { return quantile(took[way], 0.5) - quantile(took[nothing], 0.5) }
	best := min(added(policy), added(patch))
	b.add(row{
		what:   "added pod creation latency, p50",
		must:   fmt.Sprintf("≤ %s (the better MutatingAdmissionPolicy)", ms(best)),
		figure: fmt.Sprintf("%s; %s for the constant patch", ms(added(subject)), ms(added(constant))), held: added(subject) <= best,
	})

	return nil
}

// register makes the API server call our candidates, and run the policies, and
// waits until it does.
func (b *bench) register(ctx context.Context) error {
	file := filepath.Join(b.dir, "policy.yaml")
	if err := os.WriteFile(file, policyYAML, 0o600); err != nil {
		return fmt.Errorf("cannot write the policy: %w", err)
	}
	if err := b.one.kubectl(ctx, []string{"apply", "--filename=" + file}); err != nil {
		return err
	}
	for _, name := range []string{floor, constant, textbook} {
		if err := b.registerWebhook(ctx, b.own[name]); err != nil {
			return err
		}
	}
	var err error
	for start := time.Now(); time.Since(start) < child.Patience; {
		if err = b.inForce(ctx); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}

	return fmt.Errorf("cannot have the API server call every candidate: %w", err)
}

func (b *bench) registerWebhook(ctx context.Context, c *candidate) error {
	ignore, none := admissionregistrationv1.Ignore, admissionregistrationv1.SideEffectClassNone
	url := "https://localhost:" + port(c.address) + path
	_, err := b.one.api.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx,
		&admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: c.name},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: c.name + ".bench.telltale.dev", AdmissionReviewVersions: []string{"v1"},
				FailurePolicy: &ignore, SideEffects: &none,
				ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: c.ca},
				NamespaceSelector: &metav1.LabelSelector{
					MatchLabels: map[string]string{corev1.LabelMetadataName: namespaceOf(c.name)},
				},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}},
			}},
		}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot register %s: %w", c.name, err)
	}

	return nil
}

// inForce is an error unless the API server calls, or runs, every candidate.
func (b *bench) inForce(ctx context.Context) error {
	for _, way := range []string{policy, patch, constant, textbook, subject, floor} {
		pod, err := b.createPod(ctx, way)
		if err != nil {
			return err
		}
		if has, err := injected(pod); way != floor && !has {
			return errors.Join(fmt.Errorf("%s does not inject", way), err)
		}
	}
	metrics, err := b.one.api.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err == nil && !strings.Contains(string(metrics), `apiserver_admission_webhook_admission_duration_seconds_count{name="`+floor+".bench") {
		err = errors.New("the floor is not called")
	}

	return err
}

// createPod creates a pod in a candidate's namespace, by a dry run.
func (b *bench) createPod(ctx context.Context, way string) (*corev1.Pod, error) {
	pod, err := podOf(checkout)
	if err != nil {
		return nil, err
	}
	pod.Namespace = namespaceOf(way)
	pod, err = b.one.api.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, fmt.Errorf("cannot create a pod by way of %s: %w", way, err)
	}

	return pod, nil
}
