//go:build apiserver

package objects

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

func ofMap(keys ...string) patches.Required {
	return patches.Required{Kind: configMap, Name: "corp-ca", Keys: keys}
}

// until waits until an object is seen so.
func (o *Objects) until(t *testing.T, namespace string, r patches.Required, want patches.Sight) {
	t.Helper()

	for {
		changed := o.Changed()

		s, key := o.Look(namespace, r)
		if s == want {
			return
		}

		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("%s in %s: %v %q, want %v", r.Name, namespace, s, key, want)
		}
	}
}

func namespaces(t *testing.T, client kubernetes.Interface, names ...string) {
	t.Helper()

	for _, n := range names {
		if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatches requires objects of a real API server, before and after they are there,
// with keys that come later, and not any more.
func TestWatches(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	client := kubernetes.NewForConfigOrDie(cp.Config)
	namespaces(t, client, "shop", "bank")

	create := func(namespace, name string, data map[string]string) {
		t.Helper()

		_, err := client.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	create("bank", "corp-ca", map[string]string{"ca.crt": "x"})
	create("bank", "other", nil)

	o, err := New(cp.Config, Options{})
	if err != nil {
		t.Fatal(err)
	}

	ctx, end := context.WithCancel(t.Context())
	defer end()

	a, b := types.NamespacedName{Namespace: "shop", Name: "a"}, types.NamespacedName{Name: "b"}
	o.Require(a, []patches.Required{ofMap()})
	o.Start(ctx)
	o.WaitKnown(ctx)

	for namespace, want := range map[string]patches.Sight{"bank": patches.Seen, "shop": patches.Gone} {
		if s, _ := o.Look(namespace, ofMap()); s != want {
			t.Errorf("once all is known, %s has %v, want %v", namespace, s, want)
		}
	}

	create("shop", "corp-ca", map[string]string{"wrong.crt": "x"})
	o.until(t, "shop", ofMap(), patches.Seen)

	o.Require(b, []patches.Required{ofMap("ca.crt")})

	if s, _ := o.Look("shop", ofMap()); s != patches.Seen {
		t.Errorf("while another key is looked for, what was known is %v", s)
	}

	o.until(t, "shop", ofMap("ca.crt"), patches.Keyless)
	o.until(t, "bank", ofMap("ca.crt"), patches.Seen)

	if !o.IsNew(ofMap("ca.crt")) || !o.HasNew() {
		t.Error("a watch that begins later is not new")
	}

	if _, err := client.CoreV1().ConfigMaps("shop").Patch(ctx, "corp-ca", types.MergePatchType, []byte(`{"data":{"ca.crt":"y"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}

	o.until(t, "shop", ofMap("ca.crt"), patches.Seen)

	if err := client.CoreV1().ConfigMaps("shop").Delete(ctx, "corp-ca", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	o.until(t, "shop", ofMap(), patches.Gone)

	o.Require(a, nil)
	o.Require(b, nil)

	if !o.IsEmpty() || o.views != 0 || len(o.needs) != 0 {
		t.Errorf("after all, %d names and %d watches are left", len(o.names), o.views)
	}
}

// TestBounds has more names required than are watched.
func TestBounds(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	o, err := New(cp.Config, Options{MaxNames: 2})
	if err != nil {
		t.Fatal(err)
	}

	o.Start(t.Context())

	one := func(i int) []patches.Required { return []patches.Required{{Kind: configMap, Name: fmt.Sprint("m", i)}} }
	for i := range 3 {
		o.Require(types.NamespacedName{Name: fmt.Sprint(i)}, one(i))
	}

	over := -1
	for i := range 3 {
		if text, _ := o.Doubt(one(i)[0]); strings.Contains(text, "2 names are required already") {
			over = i
		}
	}

	if over < 0 || o.views != 2 {
		t.Fatalf("%d of 3 names are watched, %d is over", o.views, over)
	}

	o.Require(types.NamespacedName{Name: fmt.Sprint((over + 1) % 3)}, nil)
	o.until(t, "default", one(over)[0], patches.Gone)
}

// TestThousandNames has as many names watched as there may be.
func TestThousandNames(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	o, err := New(cp.Config, Options{})
	if err != nil {
		t.Fatal(err)
	}

	before := inUse()

	for i := range o.o.MaxNames {
		o.Require(types.NamespacedName{Name: fmt.Sprint(i)}, []patches.Required{{Kind: configMap, Name: fmt.Sprint("m", i)}})
	}

	began := time.Now()

	o.Start(t.Context())
	o.WaitKnown(t.Context())

	each := (inUse() - before) / o.o.MaxNames >> 10
	t.Logf("%d names were known after %v; each takes %d KiB", o.views, time.Since(began), each)

	if each > 100 {
		t.Errorf("a name takes %d KiB", each)
	}
}

// inUse is the memory of this process that is in use, in bytes.
func inUse() int {
	var m runtime.MemStats

	runtime.GC()
	runtime.ReadMemStats(&m)

	return int(m.HeapAlloc + m.StackInuse)
}

// TestRights is without the right to list, until it is granted.
func TestRights(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	client := kubernetes.NewForConfigOrDie(cp.Config)

	o, err := New(cp.User("blind"), Options{Secrets: true})
	if err != nil {
		t.Fatal(err)
	}

	r := patches.Required{Kind: secret, Name: "token"}
	o.Require(types.NamespacedName{Name: "a"}, []patches.Required{r})
	o.Start(t.Context())
	o.until(t, "default", r, patches.Unseen)

	if text, isLoading := o.Doubt(r); isLoading || !strings.Contains(text, `Secret "token" counts as there: Telltale may not list secrets.`) {
		t.Errorf("%q, loading: %t", text, isLoading)
	}

	meta := metav1.ObjectMeta{Name: "look"}
	_, failed := client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "watch"}},
	}}, metav1.CreateOptions{})
	_, again := client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "look"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "blind"}},
	}, metav1.CreateOptions{})

	if err := errors.Join(failed, again); err != nil {
		t.Fatal(err)
	}

	o.until(t, "default", r, patches.Gone)

	if text, _ := o.Doubt(r); text != "" {
		t.Error(text)
	}
}
