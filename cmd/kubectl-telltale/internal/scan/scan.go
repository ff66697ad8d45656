// Package scan is for commands that look at many objects. It reads lists in pages,
// shows on a terminal how far it has come, and keeps in mind what it could not read.
//
//	s, err := scan.New(o, all)
//	err = scan.Each(ctx, s, "pods", &corev1.PodList{}, nil, func(p *corev1.Pod) { … })
//	return s.End(finding)
//
// An object that the user may not read is no error: the command says what it can,
// and End says what is missing.
package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

// page is how many objects are read at once, as kubectl does.
const page = 500

// Scan is one look at a cluster, or at a namespace of it. Its methods may be called
// by several goroutines.
type Scan struct {
	// Client has the user's rights.
	Client client.WithWatch
	// Namespace is the one to look at; "" for all.
	Namespace string

	stderr   io.Writer
	progress *progress
	mu       sync.Mutex
	unread   []string
}

// AddFlags adds -A to a command.
func AddFlags(c *cobra.Command) *bool {
	return c.Flags().BoolP("all-namespaces", "A", false, "Look at all namespaces, not at the current one alone")
}

// New returns a look at the namespace of --namespace, or at all.
func New(o *cli.Options, all bool) (*Scan, error) {
	s := &Scan{stderr: o.ErrOut, progress: newProgress(o.ErrOut)}

	var err error
	if !all {
		if s.Namespace, err = o.InNamespace(); err != nil {
			return nil, err
		}
	}

	s.Client, err = o.Client()

	return s, err
}

// Each reads a list in pages, and calls use for each object, one after the other.
// The list of a namespaced kind is that of the Scan's namespace, unless options say
// otherwise. The error is for the command to return; if the user may not list the
// objects, it is nil, and End says so.
func Each[T client.Object](ctx context.Context, s *Scan, what string, list client.ObjectList, use func(T), options ...client.ListOption) error {
	o := &client.ListOptions{Namespace: s.Namespace}
	o.ApplyOptions(options)

	p := pager.New(func(ctx context.Context, from metav1.ListOptions) (runtime.Object, error) {
		one, _ := list.DeepCopyObject().(client.ObjectList) // a copy has the same type
		at := *o
		at.Limit, at.Continue = from.Limit, from.Continue

		err := s.Client.List(ctx, one, &at)
		if err == nil {
			s.progress.add(what, meta.LenList(one))
		}

		return one, err
	})
	p.PageSize = page

	err := p.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		if one, ok := object.(T); ok {
			use(one)
		}

		return nil
	})

	return s.Note("list "+what, err)
}

// Note takes the error of a read. It returns the error that ends the command. Where
// that is nil, the user may not read it, and End says so.
func (s *Scan) Note(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		s.mu.Lock()
		defer s.mu.Unlock()

		if text := s.refusal(what); !slices.Contains(s.unread, text) {
			s.unread = append(s.unread, text)
		}

		return nil
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err) && strings.Contains(what, "njections"):
		return cli.Unknown("Telltale is not installed: the API server does not know Injections. See kubectl telltale check --pre")
	case errors.Is(err, context.Canceled):
		return err
	default:
		return cli.Unknown("cannot %s: %w", what, err)
	}
}

func (s *Scan) where() string {
	if s.Namespace == "" {
		return " in all namespaces"
	}

	return " in namespace " + s.Namespace
}

// Read ends what is shown of the progress. Call it before anything is printed.
func (s *Scan) Read() { s.progress.clear() }

// End says on stderr what could not be read, and returns the end of the command: the
// finding, or that it could not tell, or nil.
func (s *Scan) End(finding error) error {
	s.Read()

	for _, one := range s.unread {
		fmt.Fprintln(s.stderr, "could not tell all:", one)
	}

	if finding == nil && len(s.unread) > 0 {
		return cli.Unknown("")
	}

	return finding
}

// Unread are the reads that the user has no right to.
func (s *Scan) Unread() []string {
	s.mu.Lock()
	defer s.mu.Unlock()

	return append([]string{}, s.unread...)
}

// Says prints that nothing was found, unless something could not be read.
func (s *Scan) Says(nothing string) {
	if len(s.Unread()) == 0 {
		fmt.Fprintln(s.stderr, nothing)
	}
}

// MayNot tells whether the user has no right to a read.
func (s *Scan) MayNot(what string) bool {
	return slices.Contains(s.Unread(), s.refusal(what))
}

func (s *Scan) refusal(what string) string { return "you may not " + what + s.where() }

// In returns the same for one namespace. End of the first does not tell what the
// second can't read.
func (s *Scan) In(namespace string) *Scan {
	return &Scan{Client: s.Client, Namespace: namespace, stderr: s.stderr, progress: s.progress}
}
