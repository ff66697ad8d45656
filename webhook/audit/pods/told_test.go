package pods

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestLoadNames reads an event that was made up: what can't be the name of a failure is
// not kept, nor more than there is room for.
func TestLoadNames(t *testing.T) {
	once := failure.OnceOf("1", types.NamespacedName{Name: "proxy"}, failure.Missed)
	event := func(reason failure.Reason, names ...string) *corev1.Event {
		return &corev1.Event{Reason: string(reason), ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{failure.OncePrefix + "a": strings.Join(names, ",")}}}
	}

	m := newTerm(&Audit{told: map[string]bool{}})
	m.loadNames(event(failure.Conflict, once))
	m.loadNames(event(failure.Missed, strings.Repeat("x", 1000), ""))

	if len(m.told) > 0 {
		t.Errorf("%d are kept, want none", len(m.told))
	}

	m.loadNames(event(failure.Missed, "short", once))

	if len(m.told) != 1 || !m.told[once] {
		t.Errorf("%v are kept, want %s", m.told, once)
	}

	for i := range maxTold + 1 {
		m.loadNames(event(failure.Lost, fmt.Sprintf("%08d", i)))
	}

	if len(m.told) != maxTold {
		t.Errorf("%d are kept, want %d", len(m.told), maxTold)
	}
}
