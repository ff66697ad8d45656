package patches

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// NamedIn returns the first part of an Injection that a text names, in words:
// `init container "wait"`. It is empty where the text names none. Env vars are not
// looked for: their names are too common.
func NamedIn(in *Injection, text string) string {
	for _, named := range [...]struct {
		kind edit.Kind
		what string
	}{
		{edit.InitContainer, "init container"},
		{edit.Volume, "volume"},
		{edit.Label, "label"},
		{edit.Annotation, "annotation"},
		{edit.PullSecret, "image pull secret"},
	} {
		for _, it := range in.items[named.kind] {
			if hasWord(text, it.Key) {
				return fmt.Sprintf("%s %q", named.what, it.Key)
			}
		}
	}

	for _, secret := range secrets(in) {
		if hasWord(text, secret) {
			return fmt.Sprintf("Secret %q", secret)
		}
	}

	return ""
}

// secrets are the names of Secrets that the Injection refers to.
func secrets(in *Injection) (names []string) {
	for _, it := range in.items[edit.Env] {
		if e, ok := it.Value.(corev1.EnvVar); ok && e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			names = append(names, e.ValueFrom.SecretKeyRef.Name)
		}
	}

	for _, it := range in.items[edit.EnvFrom] {
		if e, ok := it.Value.(corev1.EnvFromSource); ok && e.SecretRef != nil {
			names = append(names, e.SecretRef.Name)
		}
	}

	for _, it := range in.items[edit.Volume] {
		if v, ok := it.Value.(*corev1.Volume); ok && v.Secret != nil {
			names = append(names, v.Secret.SecretName)
		}
	}

	return names
}

// hasWord tells whether a name stands in a text by itself, not as a part of a
// longer one.
func hasWord(text, name string) bool {
	for from := 0; name != ""; {
		at := strings.Index(text[from:], name)
		if at < 0 {
			return false
		}

		from += at
		end := from + len(name)

		if (from == 0 || !isOfName(text[from-1])) && (end == len(text) || !isOfName(text[end]) || isEndOfSentence(text[end:])) {
			return true
		}

		from = end
	}

	return false
}

func isOfName(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("-._/", b) >= 0
}

func isEndOfSentence(rest string) bool { return rest == "." || strings.HasPrefix(rest, ". ") }
