package pods

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestLabelled has fields of a pod set by several managers.
func TestLabelled(t *testing.T) {
	t.Parallel()

	at := func(seconds int) time.Time { return edited.Add(time.Duration(seconds) * time.Second) }
	by := func(seconds int, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Time: &metav1.Time{Time: at(seconds)}, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	created := by(0, "", `{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{}}`)
	cases := map[string]struct {
		reason string
		fields []metav1.ManagedFieldsEntry
		want   time.Time
		by     int
	}{
		"Nothing":   {reason: "Nobody has set labels."},
		"Created":   {reason: "Who made it has set them.", fields: []metav1.ManagedFieldsEntry{created}, want: at(0), by: 1},
		"Annotated": {reason: "An annotation decides nothing.", fields: []metav1.ManagedFieldsEntry{created, by(9, "", `{"f:metadata":{"f:annotations":{"f:ovn":{}}}}`)}, want: at(0), by: 1},
		"Status":    {reason: "A status has no labels.", fields: []metav1.ManagedFieldsEntry{created, by(9, "status", `{"f:metadata":{"f:labels":{}}}`)}, want: at(0), by: 1},
		"Labelled":  {reason: "Somebody has set one later.", fields: []metav1.ManagedFieldsEntry{created, by(9, "", `{"f:metadata":{"f:labels":{"f:tier":{}}}}`)}, want: at(9), by: 2},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, by := labelled(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{ManagedFields: tc.fields}})
			if !got.Equal(tc.want) || by != tc.by {
				t.Errorf("%s: got %v by %d, want %v by %d", tc.reason, got, by, tc.want, tc.by)
			}
		})
	}
}

// TestSinceEdit asks since when an Injection is as it is, of a leader that began at
// the time edited, two minutes after the mark of the last one.
func TestSinceEdit(t *testing.T) {
	t.Parallel()

	mark := edited.Add(-2 * time.Minute)
	cases := map[string]struct {
		reason     string
		generation int64
		heard      int64
		seen       time.Time
		want       time.Time // After
	}{
		"New":      {reason: "Its creation tells the time.", generation: 1, seen: edited.Add(30 * time.Second), want: edited.Add(30 * time.Second)},
		"Before":   {reason: "The last leader has seen it.", generation: 2, seen: mark, want: mark},
		"InTheGap": {reason: "Nobody knows when it was edited.", generation: 2, seen: edited.Truncate(time.Second), want: mark},
		"Again":    {reason: "An earlier edit was heard of, and not this one.", generation: 3, heard: 2, seen: edited, want: mark},
		"Heard":    {reason: "This leader has seen the edit.", generation: 3, heard: 3, seen: edited.Add(time.Hour), want: edited.Add(time.Hour)},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			term := &term{began: edited, before: mark, changes: &changes{edited: map[types.UID]int64{"a": tc.heard}}}
			if got := term.sinceEdit(edit{"a", tc.generation}, tc.seen); got != (Since{tc.want, tc.seen}) {
				t.Errorf("%s: got %v, want %v", tc.reason, got, tc.want)
			}
		})
	}
}

// TestForgetUnknown has a namespace that could not be read looked at again.
func TestForgetUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		namespace string
		want      int
	}{
		"One":   {"a", 2},
		"All":   {"", 1},
		"Other": {"c", 3},
	} {
		t.Run(name, func(t *testing.T) {
			m := changes{namespaces: map[string]Since{"a": unknown, "b": unknown, "c": {}}}

			m.forgetUnknown(c.namespace)

			if len(m.namespaces) != c.want {
				t.Errorf("%d are left, want %d", len(m.namespaces), c.want)
			}
		})
	}
}

// TestChangedUnseen has the leader hear late of a namespace that was made and labelled
// meanwhile. Its pods of that time are not for sure older, nor younger.
func TestChangedUnseen(t *testing.T) {
	before, followed := edited, edited.Add(time.Minute)
	m := newTerm(&Audit{})
	m.before, m.changes.followed = before, followed

	if got := m.changedUnseen("shop"); got != (Since{before, followed}) {
		t.Errorf("got %v, want until the leader heard of changes", got)
	}

	m.changes.hear(nil, namespace("shop"))

	got := m.changedUnseen("shop")
	if got.After != before || time.Since(got.Until) > time.Minute || !m.changes.relabelled["shop"].Equal(got.Until) {
		t.Errorf("got %v, want until now; the next leader knows of %v", got, m.changes.relabelled)
	}
}
