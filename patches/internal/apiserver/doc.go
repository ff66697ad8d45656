// Package apiserver judges a pod with the API server's own code: its defaults,
// its validation, and the way it applies a JSON patch. It alone imports
// k8s.io/kubernetes, of the version in go.mod; where the cluster's API server
// has another one, or other feature gates, its judgement may differ.
//
// It is pure, but for one setting of the whole process: it allows privileged
// containers, as clusters do.
package apiserver
