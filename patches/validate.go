package patches

import (
	"fmt"
	"path"
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// validate finds what makes an Injection unusable on any pod. The API server
// refuses all of it when an Injection is applied; it is checked here as well
// for those that were stored before it did, or while it could not.
func validate(s *v1alpha1.InjectionSpec) error {
	var c checks
	for i, e := range s.Env {
		c.name("env", i, e.Name)
		if e.Value != "" && e.ValueFrom != nil {
			c.add("spec.env[%d]: %q has both value and valueFrom", i, e.Name)
		}

		c.join(i, e)
	}

	for i, m := range s.VolumeMounts {
		at := m.MountPath
		if at != "" {
			at = path.Clean(at) // of /a and /a/, one would hide the other
		}

		c.name("volumeMounts", i, at)
	}

	for i, v := range s.Volumes {
		c.name("volumes", i, v.Name)
	}

	for i, n := range s.InitContainers {
		c.name("initContainers", i, n.Name)
		if n.Image == "" {
			c.add("spec.initContainers[%d]: %q has no image", i, n.Name)
		}
	}

	for i, r := range s.ImagePullSecrets {
		c.name("imagePullSecrets", i, r.Name)
	}

	for i, r := range s.Requires {
		c.requirement(i, r)
	}

	for _, keys := range []map[string]string{s.Labels, s.Annotations} {
		for k := range keys {
			if strings.HasPrefix(k, reservedPrefix) {
				c.add("labels and annotations under %s are Telltale's own: %q", reservedPrefix, k)
			}
		}
	}

	return c.err
}

// checks keeps the first thing found to be wrong.
type checks struct {
	err  error
	seen map[string]bool
}

func (c *checks) add(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// name checks what must be there and unique within one list.
func (c *checks) name(list string, i int, name string) {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}

	id := list + "\x00" + name
	switch {
	case name == "":
		c.add("spec.%s[%d] has no name or path", list, i)
	case c.seen[id]:
		c.add("spec.%s[%d]: %q is there twice", list, i, name)
	}

	c.seen[id] = true
}

// join checks that a value can be joined, and that none needs to be.
func (c *checks) join(i int, e v1alpha1.EnvVar) {
	switch {
	case refersTo(e.Value, e.Name):
		c.add("spec.env[%d]: the value of %q refers to itself: leave the reference out, and use join", i, e.Name)
	case e.Join == nil:
	case e.Value == "":
		c.add("spec.env[%d]: join needs a value, and %q has none", i, e.Name)
	case e.Join.Separator == "":
		c.add("spec.env[%d]: join of %q needs a separator", i, e.Name)
	}
}

// requirement checks what the API server checks when an Injection is applied.
func (c *checks) requirement(i int, r v1alpha1.Requirement) {
	switch r.Kind {
	case v1alpha1.RequiredReferences:
		if r.Name != "" || len(r.Keys) > 0 {
			c.add("spec.requires[%d]: References takes no name and no keys", i)
		}
	case v1alpha1.RequiredConfigMap, v1alpha1.RequiredSecret:
		if r.Name == "" {
			c.add("spec.requires[%d] has no name", i)
		}
	default:
		c.add("spec.requires[%d]: the kind %q can't be required: use ConfigMap, Secret or References", i, r.Kind)
	}
}

// refersTo tells whether a value has the reference $(NAME), which $$(NAME) is not.
//
// Source: Expand, k8s.io/kubernetes v1.37.2
// third_party/forked/golang/expansion/expand.go.
func refersTo(value, name string) bool {
	return strings.Contains(strings.ReplaceAll(value, "$$", ""), "$("+name+")")
}
