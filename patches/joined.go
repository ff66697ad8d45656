package patches

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// joined knows where in the env vars of a draft their first values stand, those
// before anything was joined. The pod's record keeps it, so that a pod that comes
// again, after an edit of an Injection, does not get both the old part and the new.
// Nil: no match joins anything.
type joined struct {
	spans map[variable]span
	// recorded are the Injections that the pod has, as its record says, and old are
	// those of another revision.
	recorded, old []string
	// doubtful are variables that may have a part of an old revision of an Injection,
	// which can't be told from the rest.
	doubtful map[doubtful]bool

	matches []Match
	edits   *edit.Edits
}

type doubtful struct {
	variable

	injection string
}

// variable is an env var, by its list and name.
type variable struct {
	list int
	name string
}

// span is where in a value its first value stands, in bytes.
type span struct{ from, size int }

// newJoined reads the record that a pod came with. A variable to which an old
// revision was joined has its first value again.
func newJoined(p *Pod, matches []Match, edits *edit.Edits) *joined {
	if !slices.ContainsFunc(matches, func(m Match) bool { return m.joins != nil }) {
		return nil
	}

	j := &joined{spans: map[variable]span{}, doubtful: map[doubtful]bool{}, matches: matches, edits: edits}
	j.readRevisions(p)

	for entry := range strings.SplitSeq(p.Annotations[v1alpha1.JoinedAnnotation], ",") {
		container, name, where, hash := parseEntry(entry)

		list, l := j.envOf(container)
		if l == nil {
			continue
		}

		at, found := l.Find(name)
		if !found {
			continue
		}

		value, isLiteral := l.Literal(at)
		if !isLiteral || hash != hashOf(value) {
			continue // it was changed since
		}

		if injection, isDoubtful := strings.CutPrefix(where, "?"); isDoubtful {
			j.doubtful[doubtful{variable{list, name}, injection}] = true

			continue
		}

		s, ok := parseSpan(where, value)
		if !ok {
			continue
		}

		if j.joinsOneOf(j.old, l, name) {
			l.Swap(at, edit.Addition{Item: joinedItem(l, at, name, value[s.from:s.from+s.size]), By: podsOwn})
			s.from = 0
		}

		j.spans[variable{list, name}] = s
	}

	return j
}

// podsOwn is the number of an addition that is none of a match.
const podsOwn = -1

func (j *joined) readRevisions(p *Pod) {
	recorded, _ := v1alpha1.ParseRecord(p.Annotations[v1alpha1.InjectedAnnotation])
	for _, r := range recorded {
		for _, m := range j.matches {
			if m.joins == nil || m.String() != r.Name {
				continue
			}

			if j.recorded = append(j.recorded, r.Name); m.revision != r.Revision {
				j.old = append(j.old, r.Name)
			}
		}
	}
}

// joinsOneOf tells whether one of these Injections joins a variable.
func (j *joined) joinsOneOf(these []string, l *edit.List, name string) bool {
	return slices.ContainsFunc(j.matches, func(m Match) bool {
		return m.joins[name] != nil && m.reachesList(l) && slices.Contains(these, m.String())
	})
}

// isFirst tells whether nothing was joined before to the value at a place.
func (j *joined) isFirst(l *edit.List, list int, at edit.Place, name string) bool {
	if j == nil || !l.IsOnOwn(at) || j.joinsOneOf(j.recorded, l, name) {
		return false
	}

	_, known := j.spans[variable{list, name}]

	return !known
}

// mayBeOld tells whether the value at a place may have a part of an old revision of
// an Injection, and it can't be told which part that is. The record keeps that.
func (j *joined) mayBeOld(in *Injection, l *edit.List, list int, at edit.Place, name string) bool {
	if j == nil || !l.IsOnOwn(at) {
		return false
	}

	v := doubtful{variable{list, name}, in.String()}
	if _, known := j.spans[v.variable]; !known && slices.Contains(j.old, v.injection) {
		j.doubtful[v] = true
	}

	return j.doubtful[v]
}

// doubt takes over the doubts of a draft of the same pod.
func (j *joined) doubt(of *joined) {
	if j != nil {
		maps.Copy(j.doubtful, of.doubtful)
	}
}

// note follows the first value through a change.
func (j *joined) note(c change) {
	if j == nil {
		return
	}

	v := variable{c.list, c.item.Key}

	switch s, known := j.spans[v]; {
	case !c.isJoin:
		delete(j.spans, v)
	case known:
		j.spans[v] = span{s.from + c.moved, s.size}
	default:
		j.spans[v] = span{c.moved, c.size}
	}
}

// record is the record of all first values to which some plans join something. The
// others stay as the pod has them.
func (j *joined) record(made []plan) string {
	if j == nil {
		return ""
	}

	var entries []string

	add := func(l *edit.List, at edit.Place, name, where string) {
		value, _ := l.Literal(at)
		if _, unique := j.envOf(l.Container.Name); unique != nil && !strings.ContainsAny(name, ",=/#") {
			entries = append(entries, l.Container.Name+"/"+name+"="+where+"#"+hashOf(value))
		}
	}

	for v, s := range j.spans {
		l := &j.edits.Lists[v.list]

		at, _ := l.Find(v.name)
		if joins(made, l, v.name) {
			add(l, at, v.name, fmt.Sprintf("%d+%d", s.from, s.size))
		} else {
			l.KeepOwn(at)
		}
	}

	for v := range j.doubtful {
		l := &j.edits.Lists[v.list]
		if at, _ := l.Find(v.name); l.IsOnOwn(at) {
			add(l, at, v.name, "?"+v.injection)
		}
	}

	slices.Sort(entries)

	return join(entries)
}

// joins tells whether one of some plans joins an env var of a container.
func joins(made []plan, l *edit.List, name string) bool {
	return slices.ContainsFunc(made, func(p plan) bool {
		return p.in.joins[name] != nil && p.in.reachesList(l)
	})
}

// envOf returns the env of a container by its name, or nil if not exactly one
// container has that name.
func (j *joined) envOf(container string) (index int, env *edit.List) {
	for i := range j.edits.Lists {
		l := &j.edits.Lists[i]
		if l.Kind != edit.Env || l.Container.Name != container {
			continue
		}

		if env != nil {
			return 0, nil
		}

		index, env = i, l
	}

	return index, env
}

// joinedItem is an env var with another value. The pod's own keeps its other fields.
func joinedItem(l *edit.List, at edit.Place, name, value string) *edit.Item {
	e := corev1.EnvVar{Name: name, Value: value}
	it := &edit.Item{Key: name, JSON: edit.Encode(e), Value: e}

	if l.IsOnOwn(at) {
		it.ValueJSON = edit.Encode(value)
	}

	return it
}

// parseEntry reads "app/NO_PROXY=0+14#5f3c9a1b" or "app/NO_PROXY=?proxy#5f3c9a1b".
func parseEntry(entry string) (container, name, where, hash string) {
	container, where, _ = strings.Cut(entry, "=")
	container, name, _ = strings.Cut(container, "/")
	where, hash, _ = strings.Cut(where, "#")

	return container, name, where, hash
}

// parseSpan reads "0+14", if that is a part of the value.
func parseSpan(where, value string) (s span, ok bool) {
	_, err := fmt.Sscanf(where, "%d+%d", &s.from, &s.size)

	return s, err == nil && s.from >= 0 && s.size >= 0 && s.from <= len(value) && s.size <= len(value)-s.from &&
		utf8.ValidString(value[s.from:s.from+s.size])
}

// hashOf tells whether a value is still the one that was written.
func hashOf(value string) string {
	hash := sha256.Sum256([]byte(value))

	return hex.EncodeToString(hash[:revisionBytes])
}
