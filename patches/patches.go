package patches

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Cause says why an Injection was not applied to a pod. Its values are reasons
// of the failure package, word for word.
type Cause string

// What can keep an Injection from being applied.
const (
	Conflict  Cause = "InjectionConflict"
	Invalid   Cause = "InjectionInvalid"
	Unsafe    Cause = "InjectionUnsafe"
	Forbidden Cause = "InjectionForbidden"
	Undecided Cause = "InjectionsNotLoaded"
)

// Failure is an Injection that was not applied, and why.
type Failure struct {
	Injection *Injection
	Cause     Cause
	// Text says what, where, and what to do, in one line. It holds no value of
	// an env var.
	Text string
}

// Result is what becomes of a pod.
type Result struct {
	// Patch is a JSON patch of the bytes that the Pod was decoded from, or nil
	// where there is nothing to change.
	Patch []byte
	// Injected are the Injections that the patched pod carries, whether the
	// patch adds them or they were there already.
	Injected []*Injection
	// Failed are those it does not carry, in the order of the matches.
	Failed []Failure
}

// New applies Injections to a pod, in the order given. Each is applied whole or
// not at all, and one that fails does not stop the others. The patch also
// writes down on the pod which were applied and which failed.
// A pod that nothing matches is left alone.
func New(p *Pod, matches []Match) Result {
	var r Result
	if len(matches) == 0 {
		return r
	}

	e := newEdits(p, matches)
	for _, m := range matches {
		if f := e.apply(m); f != nil {
			r.Failed = append(r.Failed, *f)
		} else {
			r.Injected = append(r.Injected, m.Injection)
		}
	}

	r.Patch = e.write(injectedRecord(r.Injected), failedRecord(r.Failed))

	return r
}

// Refuse is the patch for a pod that gets none of its Injections, for a reason
// that is not theirs: it only writes down, under the names of the matches, that
// they failed. With no matches it writes the cause under "*", for all
// Injections at once.
func Refuse(p *Pod, matches []Match, cause Cause) []byte {
	failed := make([]Failure, len(matches))
	for i, m := range matches {
		failed[i] = Failure{Injection: m.Injection, Cause: cause}
	}

	record := failedRecord(failed)
	if len(matches) == 0 {
		record = "*=" + string(cause)
	}

	return newEdits(p, nil).write("", record)
}

// edits are the lists of a pod, with what Injections do to them. They are in
// the order in which the patch must change them: env of an init container is
// addressed by its index, so it comes before init containers are added.
type edits struct {
	pod     *Pod
	matches []Match
	lists   []list
	// these three are in lists
	volumes, initContainers, annotations *list
	// added is no less than how many bytes the pod has grown by.
	added int
	// spec is the pod's, decoded whole where that was needed.
	spec *corev1.PodSpec
}

func newEdits(p *Pod, matches []Match) *edits {
	const ofContainer, ofPod = 3, 5

	e := &edits{pod: p, matches: matches}
	// As large as it gets: it must not move, for it is pointed into.
	e.lists = make([]list, 0, ofContainer*(len(p.spec.Containers)+len(p.spec.InitContainers))+ofPod)

	for i := range p.spec.Containers {
		e.addContainer(&p.spec.Containers[i], "/spec/containers/"+strconv.Itoa(i)+"/", false)
	}

	for i := range p.spec.InitContainers {
		e.addContainer(&p.spec.InitContainers[i], "/spec/initContainers/"+strconv.Itoa(i)+"/", true)
	}

	e.volumes = e.addList(volumeKind, "/spec/")
	e.initContainers = e.addList(initContainerKind, "/spec/")
	e.addList(pullSecretKind, "/spec/")
	e.addList(labelKind, "/metadata/")
	e.annotations = e.addList(annotationKind, "/metadata/")

	return e
}

func (e *edits) addContainer(c *container, path string, isInit bool) {
	if c.Name == "" {
		return // null perhaps; no API server creates a pod with it
	}

	for _, k := range [...]kind{envKind, envFromKind, mountKind} {
		e.lists = append(e.lists, list{kind: k, pod: e.pod, container: c, isInit: isInit, parent: path})
	}
}

func (e *edits) addList(k kind, path string) *list {
	e.lists = append(e.lists, list{kind: k, pod: e.pod, parent: path})

	return &e.lists[len(e.lists)-1]
}

func (e *edits) write(injected, failed string) []byte {
	stale := e.record(injected, failed)

	var b builder
	for i := range e.lists {
		e.lists[i].write(&b)
	}

	for _, key := range stale {
		b.op("remove", e.annotations.pathOf(0, key), nil)
	}

	return b.patch()
}
