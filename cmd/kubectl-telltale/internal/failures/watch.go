package failures

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
)

// together is how long changes are gathered before their namespaces are read again:
// an event of Telltale is seldom alone.
const together = time.Second

// follow prints rows that change. An event tells in which namespace to look.
type follow struct {
	s       *scan.Scan
	t       *table
	printed map[key]*Row
}

// watchEvents prints changes until ctx ends.
func watchEvents(ctx context.Context, s *scan.Scan, t *table, rows []*Row) error {
	f := &follow{s: s, t: t, printed: map[key]*Row{}}
	for _, r := range rows {
		f.printed[r.key()] = r
	}

	for ctx.Err() == nil {
		if err := f.once(ctx); err != nil {
			return err
		}
	}

	return nil
}

// once follows one watch until it ends, as each does after some minutes. The next read
// finds changes from in between.
func (f *follow) once(ctx context.Context) error {
	w, err := f.s.Client.Watch(ctx, &corev1.EventList{}, client.MatchingFields{"source": source}, client.InNamespace(f.s.Namespace))
	if err != nil {
		return ended(ctx, cli.Unknown("cannot watch events: %w", err))
	}
	defer w.Stop()

	changed := map[string]bool{}

	var due <-chan time.Time

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			if err := f.look(ctx, changed); err != nil {
				return ended(ctx, err)
			}

			clear(changed)

			due = nil
		case e, more := <-w.ResultChan():
			if !more {
				return nil
			}

			if event, ok := e.Object.(*corev1.Event); ok && e.Type != watch.Bookmark {
				changed[event.Namespace] = true
			}

			if due == nil {
				due = time.After(together)
			}
		}
	}
}

// ended is nil if the user has ended the watch.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is no failure
	}

	return err
}

// look reads namespaces again, and prints the rows that are others than before.
func (f *follow) look(ctx context.Context, namespaces map[string]bool) error {
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		all, err := read(ctx, f.s.In(namespace))
		if err != nil {
			return err
		}

		f.s.Read()

		var rows []*Row

		for _, r := range all.rows() {
			if before := f.printed[r.key()]; before == nil || !equality.Semantic.DeepEqual(before, r) {
				rows = append(rows, r)
				f.printed[r.key()] = r
			}
		}

		if err := f.t.print(rows, time.Now()); err != nil {
			return err
		}
	}

	return nil
}

// key is what the row is about.
func (r *Row) key() key {
	k := key{namespace: r.Namespace, owner: r.Owner, reason: r.Reason}
	if r.Injection != nil {
		k.injection.Cluster, k.injection.Name = r.Injection.Kind == "ClusterInjection", r.Injection.Name
	}

	return k
}
