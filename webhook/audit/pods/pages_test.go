package pods

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestEachListed lists objects of several sizes. Each is seen once, in its order, and no
// page is larger than an answer may be.
func TestEachListed(t *testing.T) {
	t.Parallel()

	mix := make([]int, 2000)
	for i := range mix {
		mix[i] = 1000

		if i%300 > 250 {
			mix[i] = maxAnswer / 3
		}
	}

	for name, c := range map[string]struct {
		reason string
		sizes  []int // of the objects, in bytes
		calls  int   // at most
		fails  bool
	}{
		"Nothing": {"There may be no object.", nil, 1, false},
		"Small":   {"Mostly, the number limits a page.", make([]int, 3*page), 3, false},
		"Large":   {"All are as large as can be.", []int{maxAnswer, maxAnswer, maxAnswer}, 12, false},
		"Mixed":   {"A few large ones cost some calls.", mix, 400, false},
		"TooBig":  {"No object is so large.", []int{1, maxAnswer + 1}, 10, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			calls, seen := 0, 0
			list := func(_ context.Context, o metav1.ListOptions) (*corev1.EventList, error) {
				calls++

				from, _ := strconv.Atoi(o.Continue)
				answer, bytes := &corev1.EventList{}, 0

				for i := from; i < min(from+int(o.Limit), len(c.sizes)); i++ {
					bytes += c.sizes[i]
					answer.Items = append(answer.Items, corev1.Event{Count: int32(i)})
					answer.Continue = strconv.Itoa(i + 1)
				}

				if answer.Continue == strconv.Itoa(len(c.sizes)) {
					answer.Continue = ""
				}

				if bytes > maxAnswer {
					return nil, fmt.Errorf("cannot read: %w", &http.MaxBytesError{Limit: maxAnswer})
				}

				return answer, nil
			}

			err := eachListed(t.Context(), metav1.ListOptions{}, list, func(one runtime.Object) {
				if got := int(one.(*corev1.Event).Count); got != seen {
					t.Errorf("object %d comes after %d", got, seen)
				}

				seen++
			})

			if _, large := errors.AsType[*http.MaxBytesError](err); c.fails {
				if !large {
					t.Errorf("%s Got %v", c.reason, err)
				}

				return
			}

			if err != nil || seen != len(c.sizes) || calls > c.calls {
				t.Errorf("%s %d of %d seen after %d calls, want %d at most: %v", c.reason, seen, len(c.sizes), calls, c.calls, err)
			}
		})
	}
}
