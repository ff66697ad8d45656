package patches

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/telltale-dev/telltale/patches/internal/raw"
)

// Pod is the part of a pod that Injections can meet, decoded from the JSON that
// the API server sent.
type Pod = raw.Pod

// Decode reads a pod. Names of fields are case-sensitive, as they are for the
// API server, and none may be there twice. The Pod refers to b, which must not
// change after. An error holds no value of an env var.
func Decode(b []byte) (*Pod, error) { return raw.Decode(b) }

// DecodeNext reads the pod that is next for a decoder of a larger text, such as
// a review, so that the whole of it is read once. Else it is Decode.
func DecodeNext(d *jsontext.Decoder, text []byte) (*Pod, error) { return raw.DecodeNext(d, text) }
