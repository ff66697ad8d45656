package v1alpha1

import "strings"

// Recorded is what a pod's record, the annotations InjectedAnnotation and
// FailedAnnotation, says of one Injection.
//
// +kubebuilder:object:generate=false
type Recorded struct {
	// Name is "proxy", "cluster/corp-ca" for a ClusterInjection, or "*" for all
	// Injections at once.
	Name string
	// Revision is that of the Injection, "5f3c9a1b". It is empty for "*", and in
	// records of versions before there were revisions.
	Revision string
	// Reason says why the Injection was not applied: "InjectionConflict". It is
	// empty in InjectedAnnotation.
	Reason string
}

// cut is in the place of the entries that a record has no room for.
const cut = "..."

// String is the entry as a record has it: "proxy@5f3c9a1b=InjectionConflict".
func (r Recorded) String() string {
	s := r.Name
	if r.Revision != "" {
		s += "@" + r.Revision
	}

	if r.Reason != "" {
		s += "=" + r.Reason
	}

	return s
}

// ParseRecord reads either annotation of a record, with or without revisions.
// An entry without a name is none. If whole is false, the record had more
// entries than there was room for.
func ParseRecord(annotation string) (record []Recorded, whole bool) {
	whole = true

	for entry := range strings.SplitSeq(annotation, ",") {
		var r Recorded

		r.Name, r.Reason, _ = strings.Cut(entry, "=")
		r.Name, r.Revision, _ = strings.Cut(r.Name, "@")

		switch r.Name {
		case "":
		case cut:
			whole = false
		default:
			record = append(record, r)
		}
	}

	return record, whole
}
