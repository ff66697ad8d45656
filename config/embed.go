package config

import "embed"

// Manifests are the objects that install Telltale, for programs that compare them with
// those of a cluster. kustomization.yaml files are among them, and no overlay or
// component.
//
//go:embed crd/bases/*.yaml namespace/*.yaml rbac/*.yaml rbac/users/*.yaml authority/*.yaml audit/*.yaml canary/*.yaml canary/namespace/*.yaml
//go:embed webhook/*.yaml manager/*.yaml network-policy/*.yaml
var Manifests embed.FS
