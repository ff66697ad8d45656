//go:build apiserver

package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestNamespace builds Telltale as it is, and as a kustomization with another
// `namespace` makes it. All of it is in that namespace, but for the canary's, and its
// own pods never wait for it.
func TestNamespace(t *testing.T) {
	cases := map[string]struct {
		reason, folder, namespace string
		more                      string // of the kustomization
	}{
		"Default":     {reason: "As most people install it.", folder: "default", namespace: "telltale-system"},
		"Small":       {reason: "Components are built before the namespace is set.", folder: "overlays/small", namespace: "injection"},
		"Other":       {reason: "Many companies name namespaces by a rule.", folder: "default", namespace: "injection"},
		"CertManager": {reason: "Names within texts take the lines that docs/install.md has.", folder: "overlays/cert-manager", namespace: "injection", more: installDoc(t, "names within texts need two targets more", "```yaml\n")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			built := build(t, tc.folder)
			if tc.namespace != "telltale-system" {
				built = build(t, inNamespace(t, tc.folder, tc.namespace, tc.more))
			}

			if tc.namespace != "telltale-system" && strings.Contains(built, "telltale-system") {
				t.Errorf("%s\nIt still has telltale-system:\n%s", tc.reason, strings.Join(regexp.MustCompile(`.*telltale-system.*`).FindAllString(built, -1), "\n"))
			}

			var (
				webhook    = only[admissionv1.MutatingWebhookConfiguration](t, built, "MutatingWebhookConfiguration").Webhooks[0]
				own        = named[corev1.Namespace](t, built, "Namespace", tc.namespace)
				canary     = named[corev1.Namespace](t, built, "Namespace", "telltale-canary")
				may        = in[rbacv1.RoleBinding](t, built, "RoleBinding", canary.Name)
				deployment = only[appsv1.Deployment](t, built, "Deployment")
			)

			if !selects(t, webhook.NamespaceSelector, canary.Labels, canary.Name) {
				t.Errorf("%s\nThe webhook does not select the canary's namespace", tc.reason)
			}

			if len(may.Subjects) != 1 || may.Subjects[0].Namespace != tc.namespace || may.Subjects[0].Name != deployment.Spec.Template.Spec.ServiceAccountName {
				t.Errorf("%s\nThe canary pods are made by %v", tc.reason, may.Subjects)
			}

			if deployment.Namespace != tc.namespace || webhook.ClientConfig.Service.Namespace != tc.namespace {
				t.Errorf("%s\nDeployment in %s, Service in %s", tc.reason, deployment.Namespace, webhook.ClientConfig.Service.Namespace)
			}

			if selects(t, webhook.NamespaceSelector, own.Labels, own.Name) {
				t.Errorf("%s\nThe webhook selects its own namespace", tc.reason)
			}

			if selects(t, webhook.ObjectSelector, deployment.Spec.Template.Labels, "") {
				t.Errorf("%s\nThe webhook selects its own pods", tc.reason)
			}

			if !selects(t, webhook.NamespaceSelector, nil, "shop") || !selects(t, webhook.ObjectSelector, map[string]string{"app": "checkout"}, "") {
				t.Errorf("%s\nThe webhook does not select other pods", tc.reason)
			}
		})
	}
}

// TestNamespaceAlone sets another `namespace`, and nothing else: it builds, and the
// canary's namespace stays, with what is in it.
func TestNamespaceAlone(t *testing.T) {
	dir := t.TempDir()
	lines := "namespace: injection\nresources: [" + relative(t, dir) + "/default]\n"

	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}

	built := build(t, dir)
	named[corev1.Namespace](t, built, "Namespace", "injection")
	named[corev1.Namespace](t, built, "Namespace", "telltale-canary")
	in[rbacv1.Role](t, built, "Role", "telltale-canary")

	if strings.Contains(built, "internal.config.kubernetes.io") {
		t.Error("It has annotations of kustomize's own")
	}
}

// inNamespace writes the kustomization of docs/install.md, for a folder and a
// namespace, and returns its folder. More lines end it.
func inNamespace(t *testing.T, folder, namespace, more string) string {
	t.Helper()

	dir := t.TempDir()
	lines := strings.NewReplacer(
		"yours", namespace,
		"github.com/telltale-dev/telltale/config/default?ref=v1", relative(t, dir)+"/"+folder,
	).Replace(installDoc(t, "```yaml\n# kustomization.yaml\n", "")) + more

	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}

	return dir
}

// relative is the way to this folder: kustomize takes no absolute one.
func relative(t *testing.T, from string) string {
	t.Helper()

	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}

	way, err := filepath.Rel(from, here)
	if err != nil {
		t.Fatal(err)
	}

	return way
}

// installDoc returns the lines of docs/install.md from a text, and one more after
// it, to the end of the code block.
func installDoc(t *testing.T, from, then string) string {
	t.Helper()

	install, err := os.ReadFile("../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}

	_, after, found := strings.Cut(string(install), from)
	_, after, follows := strings.Cut(after, then)
	lines, _, ends := strings.Cut(after, "```")

	if !found || !follows || !ends {
		t.Fatalf("docs/install.md has no %q", from)
	}

	return lines
}

// only is the one object of a kind in manifests.
func only[T any](t *testing.T, manifests, kind string) T {
	t.Helper()

	return object[T](t, manifests, "\nkind: "+kind+"\n")
}

// named is the object of a kind with a name, and in is that in a namespace.
func named[T any](t *testing.T, manifests, kind, name string) T {
	t.Helper()

	return object[T](t, manifests, "\nkind: "+kind+"\n", "\n  name: "+name+"\n")
}

func in[T any](t *testing.T, manifests, kind, namespace string) T {
	t.Helper()

	return object[T](t, manifests, "\nkind: "+kind+"\n", "\n  namespace: "+namespace+"\n")
}

// object is the first one that has all these lines.
func object[T any](t *testing.T, manifests string, lines ...string) (found T) {
	t.Helper()

	for object := range strings.SplitSeq(manifests, "\n---\n") {
		if slices.ContainsFunc(lines, func(line string) bool { return !strings.Contains("\n"+object+"\n", line) }) {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(object), &found); err != nil {
			t.Fatal(err)
		}

		return found
	}

	t.Fatalf("there is no object with %q", lines)

	return found
}

// selects is true if the API server would find that a selector selects the labels.
// Each namespace has its name as a label.
func selects(t *testing.T, s *metav1.LabelSelector, set map[string]string, namespace string) bool {
	t.Helper()

	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}

	return selector.Matches(labels.Merge(set, labels.Set{corev1.LabelMetadataName: namespace}))
}
