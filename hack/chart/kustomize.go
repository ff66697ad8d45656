package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// namespace is that of the manifests. In the chart it is the namespace of the release.
const namespace = "telltale-system"

// variant is how a kustomization differs from config/default. All folders are in config.
type variant struct {
	instead    string   // this folder, in place of config/default
	without    string   // a folder that config/default has
	resources  []string // more folders
	components []string
	patches    []patch
}

// patch is an entry under `patches` of a kustomization.
type patch map[string]any

// manifest is an object that kustomize built, and the file in config that it is from.
type manifest struct {
	object any
	file   string
}

// kustomization is config/default.
type kustomization struct {
	config  string   // the absolute path of config
	folders []string // of config, that config/default names
}

func readKustomization(config string) (kustomization, error) {
	var file struct{ Resources []string }

	path, err := filepath.Abs(config)
	if err != nil {
		return kustomization{}, err
	}

	if path, err = filepath.EvalSymlinks(path); err != nil {
		return kustomization{}, err
	}

	text, err := os.ReadFile(filepath.Join(path, "default", "kustomization.yaml"))
	if err != nil {
		return kustomization{}, err
	}

	if err := yaml.Unmarshal(text, &file); err != nil {
		return kustomization{}, err
	}

	k := kustomization{config: path}
	for _, r := range file.Resources {
		k.folders = append(k.folders, strings.TrimPrefix(r, "../"))
	}

	return k, nil
}

// build runs kustomize. It returns the objects by kind, namespace and name, without
// Telltale's own namespace: Helm makes that one.
func (k kustomization) build(v variant) (map[string]manifest, error) {
	dir, err := os.MkdirTemp("", "chart-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // It is in the folder for such files.

	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}

	text, err := k.text(v, dir)
	if err != nil {
		return nil, err
	}

	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		return nil, err
	}

	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}

	all := map[string]manifest{}

	for _, r := range built.Resources() {
		origin, err := r.GetOrigin()
		if err != nil || origin == nil {
			return nil, fmt.Errorf("kustomize does not say which file %s is from: %w", r.CurId(), err)
		}

		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}

		object, err := withoutOrigin(text)
		if err != nil {
			return nil, err
		}

		file, err := filepath.Rel(k.config, filepath.Join(dir, origin.Path+origin.ConfiguredIn))
		if err != nil {
			return nil, err
		}

		if r.GetKind() != "Namespace" || r.GetName() != namespace {
			all[r.GetKind()+"/"+r.GetNamespace()+"/"+r.GetName()] = manifest{object, filepath.ToSlash(file)}
		}
	}

	return all, nil
}

// text is a kustomization in a folder. Kustomize takes no absolute paths.
func (k kustomization) text(v variant, dir string) ([]byte, error) {
	way, err := filepath.Rel(dir, k.config)
	if err != nil {
		return nil, err
	}

	at := func(folders []string) (paths []string) {
		for _, f := range folders {
			paths = append(paths, filepath.ToSlash(filepath.Join(way, f)))
		}

		return paths
	}

	folders := slices.DeleteFunc(slices.Clone(k.folders), func(f string) bool { return f == v.without })
	if v.without != "" && len(folders) == len(k.folders) {
		return nil, fmt.Errorf("config/default has no %q", v.without)
	}

	if v.instead != "" {
		folders = []string{v.instead}
	}

	return yaml.Marshal(map[string]any{
		"resources": at(slices.Concat(folders, v.resources)), "components": at(v.components),
		"patches": v.patches, "buildMetadata": []string{"originAnnotations"},
	})
}

// withoutOrigin reads an object, and leaves out the annotation that says where it is
// from.
func withoutOrigin(text []byte) (any, error) {
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, err
	}

	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, "config.kubernetes.io/origin")

	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}

	return object, nil
}
