package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// annotation is on the canary's Lease.
const annotation = "telltale.dev/canary"

// load reads the mark of the last leader. If there is none, there was no outage.
func (t *term) load(ctx context.Context) (err error) {
	t.lease, err = t.leases.Get(ctx, t.o.Lease, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		t.lease, err = t.leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: t.o.Lease}}, metav1.CreateOptions{})
	}

	if err != nil {
		return fmt.Errorf("cannot read the Lease of the canary: %w", err)
	}

	if json.Unmarshal([]byte(t.lease.Annotations[annotation]), &t.state.mark) != nil {
		t.state.mark = mark{} // not ours, or there is none yet
	}

	return nil
}

// save writes the mark, if it is another. It is written under the Lease's
// resourceVersion, so that a leader of before can't undo it.
func (t *term) save(ctx context.Context) error {
	m := t.state.mark
	for _, at := range []*time.Time{&m.Began, &m.Ended, &m.Told} {
		*at = at.UTC().Truncate(time.Second)
	}

	text, err := json.Marshal(m)
	if err != nil || t.lease.Annotations[annotation] == string(text) || m == (mark{}) {
		return err
	}

	lease := t.lease.DeepCopy()
	lease.Annotations = map[string]string{annotation: string(text)}

	written, err := t.leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("cannot write the Lease of the canary: %w", err)
	}

	t.lease, t.state.mark = written, m

	return nil
}
