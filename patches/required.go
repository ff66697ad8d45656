package patches

import "fmt"

// Required is a ConfigMap or a Secret that an Injection requires in the namespace of
// each pod, and the keys that it must have.
type Required struct {
	Kind, Name string
	Keys       []string

	isReference bool // the Injection itself names it
}

// String is `ConfigMap "corp-ca"`.
func (r Required) String() string { return fmt.Sprintf("%s %q", r.Kind, r.Name) }

// Sight is what is known of an object that is required.
type Sight int

const (
	// Unseen is an object that can't be looked at. It counts as there.
	Unseen Sight = iota
	// Seen is one that is there, with all keys, as far as these can be told.
	Seen
	// Gone is one that is not there.
	Gone
	// Keyless is one that is there, and lacks a key.
	Keyless
	// Unloaded is one that is not known yet.
	Unloaded
)

// Objects knows ConfigMaps and Secrets.
type Objects interface {
	// Look tells what is known of an object in a namespace, and, if it is Keyless, the
	// first key that it lacks. It must not wait.
	Look(namespace string, r Required) (s Sight, key string)
}
