package patches

import (
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// maxRecord is how long one of our two annotations gets, in bytes. A longer one
// is cut after a whole entry and ends in ",...".
const maxRecord = 16 << 10

// record sets the two annotations that say what became of the pod, and removes
// one that is there from elsewhere, in a pod template perhaps. Where it would
// make the annotations or the pod too large it only removes: better no record
// than no pod.
func (e *edits) record(injected, failed string) (stale []string) {
	if e.annotationBytes()+2*maxRecord > maxAnnotations || e.podBytes()+2*maxRecord > maxPod {
		injected, failed = "", ""
	}

	for _, record := range [...]struct{ key, value string }{
		{v1alpha1.InjectedAnnotation, injected},
		{v1alpha1.FailedAnnotation, failed},
	} {
		key, value := record.key, record.value
		at, found := e.annotations.find(key)
		a := addition{&item{key: key, json: encode(value)}, &Injection{}}

		switch {
		case value == "" && found:
			stale = append(stale, key)
		case value == "":
		case found:
			e.annotations.swap(at, a)
		default:
			e.annotations.add(a)
		}
	}

	return stale
}

func injectedRecord(injections []*Injection) string {
	entries := make([]string, len(injections))
	for i, in := range injections {
		entries[i] = in.String()
	}

	return join(entries)
}

func failedRecord(failed []Failure) string {
	entries := make([]string, len(failed))
	for i, f := range failed {
		entries[i] = f.Injection.String() + "=" + string(f.Cause)
	}

	return join(entries)
}

func join(entries []string) string {
	n := 0
	for i, e := range entries {
		if n += len(e) + 1; n > maxRecord {
			return strings.Join(append(entries[:i:i], "..."), ",")
		}
	}

	return strings.Join(entries, ",")
}
