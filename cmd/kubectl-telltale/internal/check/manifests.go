package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/telltale-dev/telltale/config"
)

// manifests returns the objects that install Telltale, of the plugin's own version.
// Folders limit them; none stands for all.
func manifests(folders ...string) (all []*unstructured.Unstructured, err error) {
	if len(folders) == 0 {
		folders = []string{"."}
	}

	for _, folder := range folders {
		err = errors.Join(err, fs.WalkDir(config.Manifests, folder, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path.Base(file) == "kustomization.yaml" {
				return err
			}

			text, err := config.Manifests.ReadFile(file)
			if err != nil {
				return err
			}

			objects, err := decode(text)
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", file, err)
			}

			all = append(all, objects...)

			return nil
		}))
	}

	return all, err
}

func decode(text []byte) (all []*unstructured.Unstructured, err error) {
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), len(text))

	for {
		u := &unstructured.Unstructured{}

		switch err := d.Decode(u); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(u.Object) > 0 && u.GetKind() != "":
			all = append(all, u)
		}
	}
}

// ourRegistration is the registration as the manifests have it.
func ourRegistration() (*admissionregistrationv1.MutatingWebhook, error) {
	all, err := manifests("webhook")
	if err != nil {
		return nil, err
	}

	for _, u := range all {
		if u.GetKind() != "MutatingWebhookConfiguration" {
			continue
		}

		var c admissionregistrationv1.MutatingWebhookConfiguration
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &c); err != nil {
			return nil, err
		}

		return &c.Webhooks[0], nil
	}

	return nil, errors.New("the manifests have no registration")
}

// rights are those that the manifests give to Telltale, by namespace; "" is the whole
// cluster.
func rights(folders ...string) (map[string][]rbacv1.PolicyRule, error) {
	all, err := manifests(folders...)
	if err != nil {
		return nil, err
	}

	rules := map[string][]rbacv1.PolicyRule{}

	for _, u := range all {
		if kind := u.GetKind(); kind != "Role" && kind != "ClusterRole" || u.GetName() == "telltale-metrics-reader" {
			continue
		}

		var role rbacv1.Role // a ClusterRole has the same rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &role); err != nil {
			return nil, err
		}

		rules[role.Namespace] = append(rules[role.Namespace], role.Rules...)
	}

	return rules, nil
}
