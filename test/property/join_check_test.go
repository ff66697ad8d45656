//go:build apiserver

package property

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// joinedValue is a value that is a part of another one.
type joinedValue struct {
	value string
	v1alpha1.Join
}

func (j joinedValue) isIn(have any) bool {
	value, _ := have.(string)
	if !j.Unique {
		return strings.Contains(j.Separator+value+j.Separator, j.Separator+j.value+j.Separator)
	}

	elements := strings.Split(value, j.Separator)
	for element := range strings.SplitSeq(j.value, j.Separator) {
		if !slices.Contains(elements, element) {
			return false
		}
	}

	return true
}

// declaredEnv is what containers are to have of an Injection's env.
func declaredEnv(env []v1alpha1.EnvVar) map[string]any {
	all := envByName(v1alpha1.CoreEnv(env))

	for _, e := range env {
		if e.Join != nil {
			all[e.Name] = map[string]any{"name": e.Name, "value": joinedValue{e.Value, *e.Join}}
		}
	}

	return all
}

// takeJoined checks that the values that others were joined to are still there, and
// takes all of them away: the rest must be the same.
func takeJoined(t *testing.T, injected []declared, without, with []byte) (before, after *corev1.Pod, broken string) {
	t.Helper()

	before, after = decode[*corev1.Pod](t, tokenVolume.ReplaceAll(without, []byte("token"))), decode[*corev1.Pod](t, tokenVolume.ReplaceAll(with, []byte("token")))
	have := map[string]string{}

	each := func(p *corev1.Pod, f func(id string, value *string)) {
		for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range list {
				for j := range list[i].Env {
					if e := &list[i].Env[j]; slices.ContainsFunc(injected, func(in declared) bool { return in.joins(e.Name) }) {
						f(list[i].Name+" "+e.Name, &e.Value)
					}
				}
			}
		}
	}

	each(after, func(id string, value *string) { have[id], *value = *value, "" })
	each(before, func(id string, value *string) {
		if !strings.Contains(have[id], *value) {
			broken = fmt.Sprintf("the pod's own value of %s is gone", id)
		}

		*value = ""
	})

	return before, after, broken
}

func (in declared) joins(name string) bool {
	return slices.ContainsFunc(in.spec.Env, func(e v1alpha1.EnvVar) bool { return e.Name == name && e.Join != nil })
}
