//go:build apiserver

package event

import (
	"os"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// cp is the API server that the tests share. Each test has its own namespace.
var cp *controlplane.ControlPlane

func TestMain(m *testing.M) {
	os.Exit(harness.WithControlPlane(controlplane.Options{NoControllerManager: true}, func(c *controlplane.ControlPlane) int {
		cp = c

		return m.Run()
	}))
}

func client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	c, err := kubernetes.NewForConfig(cp.Config)
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// namespace makes a namespace for one test.
func namespace(t *testing.T) string {
	t.Helper()
	ns, err := client(t).CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "event-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	return ns.Name
}

func writer(t *testing.T, cfg *rest.Config) *Writer {
	t.Helper()
	w, err := NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}

	return w
}

// entry returns an entry with a number of failures; none of them is stored.
func entry(namespace string, total int64) ledger.Entry {
	now := time.Now()

	return ledger.Entry{
		Failure: failure.Failure{
			Reason: failure.Conflict, Injection: failure.Injection{Name: "proxy"}, Text: "no.",
			Owner: failure.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "web", UID: "uid"},
		},
		ID: 1, Resolved: true, Total: total, Since: now, Last: now,
	}
}

// events returns the namespace's events. All must be ours.
func events(t *testing.T, namespace string) []corev1.Event {
	t.Helper()
	list, err := client(t).CoreV1().Events(namespace).List(t.Context(),
		metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=telltale"})
	if err != nil {
		t.Fatal(err)
	}

	return list.Items
}

// wantCount fails the test unless the namespace has exactly one event with that
// count, and the count is the sum of its annotations.
func wantCount(t *testing.T, namespace string, want int64) corev1.Event {
	t.Helper()
	all := events(t, namespace)
	if len(all) != 1 {
		t.Fatalf("%d events, want one", len(all))
	}
	sum := read(&all[0], "", time.Now()).others
	if int64(all[0].Count) != want || sum != want {
		t.Errorf("count %d, sum of annotations %d, want %d: %v", all[0].Count, sum, want, all[0].Annotations)
	}

	return all[0]
}

func grant(t *testing.T, namespace, user string) {
	t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "events"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "events"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "events"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}
	c := client(t).RbacV1()
	if _, err := c.Roles(namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// refuse has a policy refuse all events of a namespace.
func refuse(t *testing.T, namespace string, reason metav1.StatusReason) {
	t.Helper()
	c := client(t).AdmissionregistrationV1()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "no-events.of-" + namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.OperationAll},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"events"}},
				}}},
			},
			Validations: []admissionv1.Validation{{Expression: "false", Reason: &reason}},
		},
	}
	if _, err := c.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: policy.ObjectMeta,
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	if _, err := c.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
