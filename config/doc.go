// Package config has the manifests that install Telltale, and no code. They are a
// kustomize tree in the style of kubebuilder. Its tests apply them to a real API
// server.
//
//	default               Telltale, its own certificate authority
//	overlays/cert-manager Telltale, with cert-manager's certificates
//	overlays/small        Telltale, one replica
//	overlays/local        for a Telltale on your own machine
//	prometheus            for the Prometheus operator, beside any of these
//	samples               Injections to try
//
// charts/telltale is the same for Helm: hack/chart makes it from here.
//
// The rest are parts of these, and components/one-replica, for a kustomization of
// your own. `make installer` writes default as one file, with its image. The file
// is made for a release and is not in the repository, where it would get out of
// date.
package config
