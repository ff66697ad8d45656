package explain

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/version"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches"
)

// release is the version of the API server, for objects from files: it drops the
// fields that it does not know, and those whose feature gates are off.
type release struct {
	stored            bool // the objects are the API server's own: it has dropped all that it drops
	program, emulated int  // the minor version of its program, and the one that it emulates
	err               error
}

// release asks the API server for its version, unless the objects are its own.
func (o *options) release(stored bool) release {
	if stored {
		return release{stored: true}
	}

	discovery, err := o.ToDiscoveryClient()
	if err != nil {
		return release{err: err}
	}

	info, err := discovery.ServerVersion()
	if err != nil {
		return release{err: err}
	}

	return releaseOf(info)
}

func releaseOf(info *version.Info) (r release) {
	minor := func(text string) (n int) {
		if n, r.err = strconv.Atoi(strings.TrimRight(text, "+")); r.err != nil {
			r.err = fmt.Errorf("it says that its minor version is %q", text)
		}

		return n
	}

	if r.program = minor(info.Minor); r.err != nil {
		return r
	}

	if r.emulated = r.program; info.EmulationMinor != "" {
		r.emulated = minor(info.EmulationMinor)
	}

	return r
}

// tell makes the release known to the facts of a namespace.
func (r release) tell(f *facts) {
	f.release = r

	switch {
	case r.stored:
	case r.err != nil:
		f.unread = append(f.unread, Unread{What: "the version of the API server, which decides on the fields that it drops", Why: reasonOf(r.err), Decides: true})
	default:
		f.Cluster = f.Of(patches.NewRelease(r.program, r.emulated))
	}
}

// doubts are the fields of a pod that the API server may have, or may drop.
func (r release) doubts(s *verdict.Subject, before verdict.Pod) (all []Unread) {
	unknown := strings.Join(s.Unknown, ", ")

	switch {
	case unknown == "" || r.err != nil:
	case r.stored || r.program > patches.Newest():
		all = append(all, Unread{
			What: unknown, Decides: true,
			Why: fmt.Sprintf("this version of the plugin knows the fields of Kubernetes 1.%d. Is there a newer one?", patches.Newest()),
		})
	default:
		all = append(all, Unread{What: unknown, Why: "Kubernetes has no such field, so the API server drops it, and kubectl apply refuses it. Is it misspelt?"})
	}

	if before.Doubt != "" {
		all = append(all, Unread{
			What: "the feature gates of the API server", Decides: true,
			Why: fmt.Sprintf("they decide if it keeps %s. Here they are as 1.%d has them by default. --dry-run=server asks it", before.Doubt, r.emulated),
		})
	}

	return all
}
