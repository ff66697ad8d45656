package patches

// Namespace is what is known of the namespace a pod is created in.
type Namespace struct {
	Name string
	// Labels are those of the namespace, where it is Known.
	Labels map[string]string
	Known  bool
}

// Match is an Injection that selects a pod of a namespace. Undecided is true
// where that hangs on the labels of a namespace that is not known yet.
type Match struct {
	*Injection
	Undecided bool
	namespace Namespace
}
