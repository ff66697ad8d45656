package patches

import (
	"fmt"
	"slices"
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// chooser is the part of an Injection that chooses pods by more than labels.
type chooser struct {
	owners      choice[ownerGlob]
	images      choice[glob]
	annotations []v1alpha1.AnnotationRequirement
}

// choice chooses by globs: one of include if there are any, and none of exclude.
type choice[G any] struct{ include, exclude []G }

func (c choice[G]) isEmpty() bool { return len(c.include)+len(c.exclude) == 0 }

// isVoid tells whether all that is included is excluded, so that no pod is chosen.
func (c choice[G]) isVoid(covers func(g, other G) bool) bool {
	isCovered := func(g G) bool { return slices.ContainsFunc(c.exclude, func(by G) bool { return covers(by, g) }) }

	return len(c.include) > 0 && !slices.ContainsFunc(c.include, func(g G) bool { return !isCovered(g) })
}

// ownerGlob stands for controllers of a kind.
type ownerGlob struct {
	kind string
	name glob
}

func (g ownerGlob) matches(c controller) bool { return g.kind == c.kind && g.name.matches(c.name) }

func (g ownerGlob) covers(other ownerGlob) bool {
	return g.kind == other.kind && g.name.covers(other.name)
}

// String is `Deployment checkout-*`, or `Job` for those of any name.
func (g ownerGlob) String() string {
	if g.name == "*" {
		return g.kind
	}

	return g.kind + " " + string(g.name)
}

// newChooser compiles the selectors of an Injection that choose by more than labels. It
// is nil for most Injections: they have none, and cost nothing.
func newChooser(s *v1alpha1.InjectionSpec) (*chooser, error) {
	var c chooser

	if o := s.OwnerSelector; o != nil {
		c.owners = choice[ownerGlob]{ownerGlobs(o.Include), ownerGlobs(o.Exclude)}
	}

	if i := s.ImageSelector; i != nil {
		c.images = choice[glob]{globsOf(i.Include), globsOf(i.Exclude)}
	}

	if a := s.AnnotationSelector; a != nil {
		c.annotations = requirements(a)
	}

	if err := c.validate(); err != nil || c.owners.isEmpty() && c.images.isEmpty() && len(c.annotations) == 0 {
		return nil, err
	}

	return &c, nil
}

func ownerGlobs(terms []v1alpha1.OwnerTerm) (globs []ownerGlob) {
	for _, t := range terms {
		name := glob(t.Name)
		if name == "" {
			name = "*"
		}

		globs = append(globs, ownerGlob{t.Kind, name})
	}

	return globs
}

func globsOf(texts []string) (globs []glob) {
	for _, t := range texts {
		globs = append(globs, glob(t))
	}

	return globs
}

// validate finds what the API server refuses in these selectors, and that they choose
// nothing.
func (c *chooser) validate() error {
	for _, g := range slices.Concat(c.owners.include, c.owners.exclude) {
		if g.kind == "" {
			return fmt.Errorf("spec.ownerSelector needs a kind for each controller")
		}
	}

	switch {
	case slices.Contains(slices.Concat(c.images.include, c.images.exclude), ""):
		return fmt.Errorf("spec.imageSelector has an empty image")
	case c.owners.isVoid(ownerGlob.covers):
		return fmt.Errorf("spec.ownerSelector excludes all that it includes")
	case c.images.isVoid(glob.covers):
		return fmt.Errorf("spec.imageSelector excludes all that it includes")
	}

	for _, r := range c.annotations {
		if err := validateRequirement(r); err != nil {
			return err
		}
	}

	return nil
}

// reads tells whether the chooser looks at images or at annotations. Other webhooks
// change these, and so a pod that exists may have others than it was created with.
func (c *chooser) reads() bool {
	return c != nil && !(c.images.isEmpty() && len(c.annotations) == 0)
}

// chooses tells whether the chooser takes a pod.
func (c *chooser) chooses(t Traits) bool {
	return c == nil || c.takesOwner(t) && meetsAll(c.annotations, t.Annotations) && c.takesImages(t)
}

func (c *chooser) takesOwner(t Traits) bool {
	if c.owners.isEmpty() {
		return true
	}

	by := controllersOf(t)

	return (len(c.owners.include) == 0 || ownerIn(c.owners.include, by) != nil) && ownerIn(c.owners.exclude, by) == nil
}

// ownerIn returns the first glob that stands for one of some controllers, or nil.
func ownerIn(globs []ownerGlob, all []controller) *ownerGlob {
	at := slices.IndexFunc(globs, func(g ownerGlob) bool { return slices.ContainsFunc(all, g.matches) })
	if at < 0 {
		return nil
	}

	return &globs[at]
}

func (c *chooser) takesImages(t Traits) bool {
	if c.images.isEmpty() {
		return true
	}

	has := func(globs []glob) bool {
		return slices.ContainsFunc(imagesOf(t), func(image string) bool { return matchesAny(globs, image) })
	}

	return (len(c.images.include) == 0 || has(c.images.include)) && !has(c.images.exclude)
}

func imagesOf(t Traits) []string {
	if t.Containers == nil {
		return nil
	}

	return t.Containers.Images()
}

// unmet says in a sentence for each selector which of its terms do not take a pod; ""
// if all take it.
func (c *chooser) unmet(t Traits) string {
	if c == nil {
		return ""
	}

	var unmet []string

	for _, selector := range []struct{ what, term string }{
		{"the ownerSelector does not match the pod's controller", c.unmetOwner(t)},
		{"the imageSelector does not match the images of the pod's app containers", c.unmetImage(t)},
		{"the annotationSelector does not match the pod's annotations", unmetAnnotations(c.annotations, t.Annotations)},
	} {
		if selector.term != "" {
			unmet = append(unmet, selector.what+": "+selector.term)
		}
	}

	return strings.Join(unmet, "; ")
}

func (c *chooser) unmetOwner(t Traits) string {
	if c.takesOwner(t) {
		return ""
	}

	by, found := controllersOf(t), "no controller"
	if len(by) > 0 {
		found = wordsOf(by, " of ")
	}

	if g := ownerIn(c.owners.exclude, by); g != nil {
		return fmt.Sprintf("it excludes %s and finds %s", g, found)
	}

	return fmt.Sprintf("it includes %s and finds %s", wordsOf(c.owners.include, ", "), found)
}

func (c *chooser) unmetImage(t Traits) string {
	if c.takesImages(t) {
		return ""
	}

	images := imagesOf(t)

	for _, g := range c.images.exclude {
		if at := slices.IndexFunc(images, g.matches); at >= 0 {
			return fmt.Sprintf("it excludes %q and finds %q", g, images[at])
		}
	}

	return fmt.Sprintf("it includes %s and finds %s", quoted(c.images.include), quoted(images))
}

func wordsOf[W fmt.Stringer](all []W, between string) string {
	words := make([]string, len(all))
	for i, w := range all {
		words[i] = w.String()
	}

	return strings.Join(words, between)
}
