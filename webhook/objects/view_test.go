package objects

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/patches"
)

func metadataOf(namespace, fields string) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "corp-ca"}}
	if fields != "" {
		o.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(fields)}}
	}

	return o
}

// unasked are Objects whose API server is never asked.
func unasked(t *testing.T) *Objects {
	t.Helper()

	o, err := New(&rest.Config{Host: "localhost"}, Options{})
	if err != nil {
		t.Fatal(err)
	}

	return o
}

// TestLook asks for objects and keys, as the metadata of a watch tells them.
func TestLook(t *testing.T) {
	o := unasked(t)
	v := newView(name{configMap, "corp-ca"}, []string{"ca.crt", "more.crt"})
	o.spawn = func(*view) {}
	o.names[v.name] = &watched{by: map[types.NamespacedName][]string{{Namespace: "shop", Name: "proxy"}: {"ca.crt", "more.crt"}}, views: []*view{v}}
	required := patches.Required{Kind: configMap, Name: "corp-ca", Keys: []string{"more.crt", "ca.crt"}}

	look := func(namespace string, r patches.Required, want patches.Sight, wantKey string) {
		t.Helper()

		if s, key := o.Look(namespace, r); s != want || key != wantKey {
			t.Errorf("%s %v: got %v %q, want %v %q", namespace, r, s, key, want, wantKey)
		}
	}

	look("shop", required, patches.Unloaded, "") // the first list has not come

	s := &store{o, v}
	if err := s.Replace([]any{
		metadataOf("whole", `{"f:data":{"f:ca.crt":{},"f:more.crt":{}}}`), metadataOf("half", `{"f:data":{"f:ca.crt":{}}}`), metadataOf("silent", ""),
	}, "1"); err != nil {
		t.Fatal(err)
	}

	look("whole", required, patches.Seen, "")
	look("half", required, patches.Keyless, "more.crt")
	look("half", patches.Required{Kind: configMap, Name: "corp-ca", Keys: []string{"ca.crt"}}, patches.Seen, "")
	look("half", patches.Required{Kind: configMap, Name: "corp-ca"}, patches.Seen, "")
	look("silent", required, patches.Seen, "")
	look("shop", required, patches.Gone, "")
	look("shop", patches.Required{Kind: secret, Name: "corp-ca"}, patches.Unseen, "")
	// A key that nobody has looked for yet.
	look("whole", patches.Required{Kind: configMap, Name: "corp-ca", Keys: []string{"other"}}, patches.Unloaded, "")

	changed := o.Changed()

	if err := s.Update(metadataOf("half", `{"f:data":{"f:ca.crt":{},"f:more.crt":{}}}`)); err != nil {
		t.Fatal(err)
	}

	select {
	case <-changed:
	default:
		t.Error("a change wakes nobody")
	}

	look("half", required, patches.Seen, "")

	if err := s.Delete(metadataOf("half", "")); err != nil {
		t.Fatal(err)
	}

	look("half", required, patches.Gone, "")
}

// TestTakeOver looks for one key more: what is known is known until the new view is.
func TestTakeOver(t *testing.T) {
	told := map[string]int{}
	o := unasked(t)
	o.OnChange(func(namespace string) { told[namespace]++ })
	o.spawn = func(*view) {}

	ended := 0
	n := name{configMap, "corp-ca"}
	before, after := newView(n, nil), newView(n, []string{"ca.crt"})
	before.end, after.end = func() { ended++ }, func() { t.Error("the new view ends") }
	before.listed, o.views, o.o.MaxNames = true, 2, 2
	waiting := name{secret, "token"}
	o.names[waiting] = &watched{by: map[types.NamespacedName][]string{{Namespace: "shop", Name: "c"}: nil}}
	o.names[n] = &watched{by: map[types.NamespacedName][]string{{Namespace: "shop", Name: "a"}: nil, {Namespace: "shop", Name: "b"}: {"ca.crt"}}, views: []*view{before, after}}

	plain, keyed := patches.Required{Kind: configMap, Name: "corp-ca"}, patches.Required{Kind: configMap, Name: "corp-ca", Keys: []string{"ca.crt"}}

	if s, _ := o.Look("shop", plain); s != patches.Gone {
		t.Errorf("without the key: %v", s)
	}

	if s, _ := o.Look("shop", keyed); s != patches.Unloaded {
		t.Errorf("with the key: %v", s)
	}

	if text, isLoading := o.Doubt(keyed); !isLoading || text != `ConfigMap "corp-ca" is looked for.` {
		t.Errorf("%q, loading: %t", text, isLoading)
	}

	if err := (&store{o, after}).Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}

	if s, _ := o.Look("shop", keyed); s != patches.Gone || ended != 1 || len(o.names[n].views) != 1 || told["shop"] != 1 {
		t.Errorf("%v; %d views, %d ended, told %v", s, o.views, ended, told)
	}

	if text, _ := o.Doubt(keyed); text != "" {
		t.Error(text)
	}

	if o.views != 2 || len(o.names[waiting].views) != 1 {
		t.Error("there is room again, and a name that waits is not watched")
	}
}
