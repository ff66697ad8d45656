package patches

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// maxPod is how large a pod gets, in bytes of JSON. etcd takes no request of
// more than 1.5 MiB; the rest is for what the API server adds after us. What it
// stores is smaller than JSON, so this errs on the safe side.
//
// Source: DefaultMaxRequestBytes, go.etcd.io/etcd/server/v3 embed/config.go.
const maxPod = 1536<<10 - 64<<10

// isOdd tells whether what a plan changes may not go with other fields of the
// pod, so that the whole pod has to be looked at. What is not odd, unsafe knows
// to be safe without.
func (e *edits) isOdd(p *plan) bool {
	if len(p.changes) == 0 {
		return false
	}

	_, isMirror := e.pod.Annotations[mirrorAnnotation]

	return p.in.risky || isMirror || slices.ContainsFunc(p.changes, func(c change) bool {
		switch c.list.kind {
		case mountKind:
			return c.swap || len(c.list.container.VolumeDevices) > 0
		case volumeKind:
			return c.swap
		case initContainerKind:
			return c.swap || e.pod.spec.isOdd()
		default:
			return false
		}
	}) || slices.ContainsFunc(p.in.profiled, func(key string) bool { return e.pod.Annotations[key] != "" })
}

// isOdd tells whether a container that is good elsewhere may not be good here.
func (s *podSpec) isOdd() bool {
	return len(s.OS)+len(s.Resources) > 0 || s.HostNetwork
}

// refused is what the API server would have against the pod with a plan, and
// has not against the pod as it came.
func (e *edits) refused(p *plan) string {
	before, after, err := e.wholes(p)
	if err != nil {
		return fmt.Sprintf("the pod can't be looked at as a whole: %v. This is a bug of Telltale: please report it.", err)
	}

	if refusal := blamed(refusals(before), refusals(after)); refusal != nil {
		return fmt.Sprintf("the pod would not be valid: %s. Correct the Injection, or narrow its selector.", describe(refusal))
	}

	return ""
}

// wholes are the pod as it came, and with the plan and those before it.
func (e *edits) wholes(p *plan) (before, after *corev1.Pod, err error) {
	if err := json.Unmarshal(e.pod.raw, &before); err != nil {
		return nil, nil, fmt.Errorf("it does not decode: %w", withoutValue(err))
	}

	var tree map[string]any
	if err := json.Unmarshal(e.pod.raw, &tree); err != nil {
		return nil, nil, withoutValue(err)
	}

	for i := range e.lists {
		if l := e.lists[i].with(p); l.isChanged() {
			l.put(l.parentIn(tree))
		}
	}

	raw, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(raw, &after)
	}

	return before, after, withoutValue(err)
}

// withoutValue is an error of encoding/json that tells no value.
func withoutValue(err error) error {
	if err == nil {
		return nil
	}

	return fmt.Errorf("%T", err)
}

func (l *list) isChanged() bool { return len(l.first)+len(l.last)+len(l.swapped) > 0 }

// parentIn is the object of the pod that has the list.
func (l *list) parentIn(pod map[string]any) map[string]any {
	section := "spec"
	if l.kind.isMap() {
		section = "metadata"
	}

	object, _ := pod[section].(map[string]any)
	if l.container == nil {
		return object
	}

	key, containers := "containers", l.pod.spec.Containers
	if l.isInit {
		key, containers = "initContainers", l.pod.spec.InitContainers
	}

	for i := range containers {
		if all, _ := object[key].([]any); &containers[i] == l.container && i < len(all) {
			object, _ = all[i].(map[string]any)
		}
	}

	return object
}

// put makes the list what it is with all additions. Init containers come last
// among the lists, so the indexes of the pod's own hold until then.
func (l *list) put(parent map[string]any) {
	if l.kind.isMap() {
		l.putMap(parent)

		return
	}

	own, _ := parent[l.kind.field()].([]any)
	own = slices.Clone(own)

	for i, a := range l.swapped {
		own[i] = json.RawMessage(a.json)
	}

	whole := make([]any, 0, len(l.first)+len(own)+len(l.last))
	for _, a := range l.first {
		whole = append(whole, json.RawMessage(a.json))
	}

	whole = append(whole, own...)
	for _, a := range l.last {
		whole = append(whole, json.RawMessage(a.json))
	}

	parent[l.kind.field()] = whole
}

func (l *list) putMap(parent map[string]any) {
	whole := map[string]any{}
	if own, ok := parent[l.kind.field()].(map[string]any); ok {
		whole = own
	}

	for _, a := range slices.Concat(l.first, l.last, slices.Collect(maps.Values(l.swapped))) {
		whole[a.key] = json.RawMessage(a.json)
	}

	parent[l.kind.field()] = whole
}
