package failure

import (
	"crypto/sha256"
	"encoding/base64"

	"k8s.io/apimachinery/pkg/types"
)

// OncePrefix starts the keys of an event's annotations with the Once of the
// failures that it counts. Commas separate them.
const OncePrefix = "pods.telltale.dev/"

// onceBytes is how many bytes of a hash name a failure: of 100,000 pods, two have
// the same name once in 50,000 times.
const onceBytes = 6

// OnceLength is how long such a name is.
const OnceLength = onceBytes / 3 * 4

// OnceOf names the failure of one Injection on one pod, for Failure.Once. Without a
// namespace, the name is a ClusterInjection's.
func OnceOf(pod types.UID, injection types.NamespacedName, reason Reason) string {
	hash := sha256.Sum256([]byte(string(pod) + "\x00" + injection.String() + "\x00" + string(reason)))

	return base64.RawURLEncoding.EncodeToString(hash[:onceBytes])
}
