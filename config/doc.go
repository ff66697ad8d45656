// Package config is no code, but the manifests that install Telltale, as a
// kustomize tree that kubebuilder would know. Its tests hold them to a real API
// server.
//
//	default               Telltale, its own certificate authority
//	overlays/cert-manager Telltale, with cert-manager's certificates
//	overlays/small        Telltale, one replica
//	overlays/local        for a Telltale on your own machine
//	prometheus            what the Prometheus operator needs, beside any of these
//	samples               Injections to try
//
// The rest is what these are made of, and components/one-replica, for a
// kustomization of your own. `make installer` writes default as one file, with
// its image: it is made for a release and is not in the repository, where it
// would only grow old.
package config
