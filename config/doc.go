// Package config is no code, but the manifests that install Telltale, as a
// kustomize tree that kubebuilder would know. Its tests hold them to a real API
// server.
//
//	default               Telltale, its own certificate authority
//	overlays/cert-manager Telltale, with cert-manager's certificates
//	overlays/local        for a Telltale on your own machine
//	prometheus            what the Prometheus operator needs, beside any of these
//	samples               Injections to try
//
// The rest is what these are made of.
package config
