package trial

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Kind is that of the files that say what is expected.
const Kind = "TelltaleTest"

// Test is a file of kind TelltaleTest.
type Test struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name,omitempty"`
		Namespace string `json:"namespace,omitempty"`
	} `json:"metadata,omitzero"`
	// Expect is what becomes of workloads.
	Expect []Expectation `json:"expect"`

	source string // the file
}

// Expectation is what becomes of the pod of one workload. Injected and Failed are
// complete: no other Injection is applied to it, or fails.
type Expectation struct {
	// Workload is KIND/NAME: deployment/checkout.
	Workload string `json:"workload"`
	// Namespace is that of the workload. Default: metadata.namespace, or --namespace.
	Namespace string `json:"namespace,omitempty"`
	// Injected are the names of the Injections that the pod gets; cluster/ before a
	// ClusterInjection's.
	Injected []string `json:"injected,omitempty"`
	// Failed are the reasons of those that fail, by name.
	Failed map[string]string `json:"failed,omitempty"`
	// Pod is a file with the pod that is expected, beside this one. --update writes it.
	// Its name ends in .golden, so that no other tool takes it for a manifest.
	Pod string `json:"pod,omitempty"`
}

// golden is how the name of a golden pod ends.
const golden = ".golden"

// parseTest reads a TelltaleTest. A field that there is not is an error.
func parseTest(raw []byte, source string) (*Test, error) {
	t := &Test{source: source}
	if err := yaml.UnmarshalStrict(raw, t); err != nil {
		return nil, fmt.Errorf("cannot read the %s: %w", Kind, err)
	}

	if len(t.Expect) == 0 {
		return nil, fmt.Errorf("the %s expects nothing: add expect", Kind)
	}

	for i := range t.Expect {
		if err := t.Expect[i].check(); err != nil {
			return nil, fmt.Errorf("expect[%d]: %w", i, err)
		}
	}

	return t, nil
}

func (e *Expectation) check() error {
	kind, name, ok := strings.Cut(e.Workload, "/")
	if !ok || kind == "" || name == "" {
		return fmt.Errorf("workload %q is not KIND/NAME", e.Workload)
	}

	for _, reason := range e.Failed {
		if !slices.Contains(failure.Reasons(), failure.Reason(reason)) {
			return fmt.Errorf("%q is no reason of a failure: see the table in the README", reason)
		}
	}

	if e.Pod != "" && filepath.Ext(e.Pod) != golden {
		return fmt.Errorf("pod %q must end in %s", e.Pod, golden)
	}

	return nil
}

// names are all that an expectation names.
func (e *Expectation) names() []string {
	return slices.Concat(e.Injected, slices.Sorted(maps.Keys(e.Failed)))
}
