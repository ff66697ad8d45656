package trial

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
)

// Result is what became of one workload: an item of the output of -o json.
type Result struct {
	// Workload is KIND/NAME, and Source the file that it, or its expectation, is in.
	Workload  string `json:"workload"`
	Namespace string `json:"namespace"`
	Source    string `json:"source"`
	// Injected and Failed are what its pod would have.
	Injected []string          `json:"injected"`
	Failed   map[string]string `json:"failed"`
	// Expected is true if a TelltaleTest, or --strict, says what is to become of it.
	Expected bool `json:"expected"`
	// Faults are what is not as expected; none: it passed.
	Faults []string `json:"faults,omitempty"`

	pod   *corev1.Pod
	texts map[string]string
}

// title is how people call it.
func (r *Result) title() string { return r.Workload + " (" + r.Namespace + ")" }

// judgeAll judges all workloads.
func (in *input) judgeAll(ctx context.Context) (all []*Result, err error) {
	for _, w := range in.workloads {
		r, err := in.judge(ctx, w)
		if err != nil {
			return nil, cli.Unknown("%s: %w", w.source, err)
		}

		all = append(all, r)
	}

	return all, nil
}

func (in *input) judge(ctx context.Context, w workload) (*Result, error) {
	r := &Result{
		Workload: w.String(), Namespace: w.Namespace, Source: w.source, Injected: []string{}, Failed: map[string]string{}, texts: map[string]string{},
	}

	before, err := in.Arrive(w.Subject, false)
	if err != nil {
		return nil, err
	}

	v, err := in.Judge(ctx, before)
	if err != nil {
		return nil, err
	}

	for _, one := range v.All {
		name := one.Injection.String()
		r.texts[name] = one.Text

		if one.Outcome != verdict.NotSelected && one.Outcome != verdict.NotAsked {
			for _, required := range one.Unseen {
				in.unseen[fmt.Sprintf("whether %s is there, which %s requires: no file has it", required, name)] = true
			}
		}

		switch one.Outcome {
		case verdict.Injected:
			r.Injected = append(r.Injected, name)
		case verdict.Failed, verdict.Denied:
			r.Failed[name] = cmp.Or(string(one.Reason), string(one.Outcome))
		case verdict.Unknown:
			r.fault("could not tell about %s: the labels of namespace %s are not known. Add its manifest, or say --namespace-labels %s:KEY=VALUE (%s: if it has none)",
				name, w.Namespace, w.Namespace, w.Namespace)
		default:
		}
	}

	r.pod, err = in.After(before, v)

	return r, err
}

func (r *Result) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// strict makes each failure a fault.
func (r *Result) strict() {
	r.Expected = true

	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		r.fault("%s: %s: %s", name, r.Failed[name], r.texts[name])
	}
}

// expect compares a result with what is expected.
func (in *input) expect(e *Expectation, r *Result) {
	r.Expected = true

	for _, name := range e.names() {
		if !in.names[name] {
			r.fault("there is no Injection %q in these files", name)
		}
	}

	for _, name := range e.Injected {
		switch reason, failed := r.Failed[name]; {
		case slices.Contains(r.Injected, name):
		case failed:
			r.fault("%s is not injected: %s: %s", name, reason, r.texts[name])
		case in.names[name]:
			r.fault("%s is not injected: %s", name, orText(r.texts[name]))
		}
	}

	for _, name := range r.Injected {
		if !slices.Contains(e.Injected, name) {
			r.fault("%s is injected, and the test does not expect it", name)
		}
	}

	in.expectFailed(e, r)
}

func orText(text string) string {
	if text == "" {
		return "it is in another namespace"
	}

	return text
}

func (in *input) expectFailed(e *Expectation, r *Result) {
	for _, name := range slices.Sorted(maps.Keys(e.Failed)) {
		if got := r.Failed[name]; got != e.Failed[name] && in.names[name] {
			r.fault("%s is to fail as %s, and it %s", name, e.Failed[name], became(got))
		}
	}

	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		if _, ok := e.Failed[name]; !ok && !slices.Contains(e.Injected, name) {
			r.fault("%s fails, and the test does not expect it: %s: %s", name, r.Failed[name], r.texts[name])
		}
	}
}

func became(reason string) string {
	if reason == "" {
		return "does not fail"
	}

	return "fails as " + reason
}

// hold compares all results with the tests. An expectation of a workload that is not
// there is a result of its own.
func (in *input) hold(all []*Result, update bool) ([]*Result, error) {
	for _, t := range in.tests {
		for i := range t.Expect {
			e := &t.Expect[i]
			namespace := e.Namespace

			if namespace == "" {
				namespace = t.Metadata.Namespace
			}

			at := slices.IndexFunc(all, func(r *Result) bool { return strings.EqualFold(r.Workload, e.Workload) && r.Namespace == namespace })
			if at < 0 {
				missing := &Result{Workload: e.Workload, Namespace: namespace, Source: t.source, Expected: true, Injected: []string{}, Failed: map[string]string{}}
				missing.fault("there is no such workload in these files")
				all = append(all, missing)

				continue
			}

			in.expect(e, all[at])

			if err := holdPod(t, e, all[at], update); err != nil {
				return nil, err
			}
		}
	}

	return all, nil
}

// holdPod compares the pod with the golden one, or writes that.
func holdPod(t *Test, e *Expectation, r *Result, update bool) error {
	if e.Pod == "" {
		return nil
	}

	got, err := yaml.Marshal(r.pod)
	if err != nil {
		return err
	}

	file := filepath.Join(filepath.Dir(t.source), e.Pod)
	if update {
		return os.WriteFile(file, got, 0o644)
	}

	want, err := os.ReadFile(file)

	switch {
	case os.IsNotExist(err):
		r.fault("there is no golden pod %s: --update writes it", file)
	case err != nil:
		return err
	case !bytes.Equal(want, got):
		r.fault("the pod is not as in %s. If that is right, --update writes it anew:\n%s", file, cli.Diff(want, got, file, "now"))
	}

	return nil
}

// limits are the things that can't be judged here.
func (in *input) limits(version string) (all []string) {
	all = []string{
		"how much of a ResourceQuota is used",
		"other webhooks, and policies",
		"whether Secrets, ConfigMaps and images are there",
		"the rules of the CRDs for Injections (kubectl apply --dry-run=server judges by them)",
	}

	all = append(all, slices.Sorted(maps.Keys(in.unseen))...)

	if version == "" {
		all = append(all, "fields that the version of the API server does not take (say --kubernetes-version)")
	}

	return all
}
