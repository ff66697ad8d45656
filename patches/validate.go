package patches

import (
	"fmt"
	"path"
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// reservedPrefix is that of the labels and annotations that are Telltale's own.
const reservedPrefix = "telltale.dev/"

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
