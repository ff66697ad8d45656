// Package compare runs the manifests of docs/compare: for each need an Injection and,
// where there is one, a MutatingAdmissionPolicy. They do the same to the same pods.
package compare
