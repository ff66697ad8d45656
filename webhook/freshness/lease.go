package freshness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
)

// prefix is that of the annotations with heartbeats. The rest of the key is the
// replica's name.
const prefix = "replica.telltale.dev/"

// maxName is the longest name of a replica, in bytes.
//
// Source: labelKeyMaxLength, k8s.io/apimachinery v0.37.2
// pkg/api/validate/content/kube.go.
const maxName = 63

// lease is the object that has the heartbeats of all replicas. One patch writes
// the own heartbeat, and returns all: so a right to patch this one object is
// enough, and replicas never conflict. Few programs watch Leases.
type lease struct {
	client typedcoordinationv1.LeaseInterface
	name   string
	self   string

	version string // as last written
	own     string // the last heartbeat, as it was sent
}

func newLease(cfg *rest.Config, o Options) (*lease, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = callTimeout
	cfg.QPS = -1 // there are two calls a second at most

	client, err := typedcoordinationv1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the heartbeats: %w", err)
	}

	return &lease{client: client.Leases(o.Namespace), name: o.Name, self: short(o.Identity)}, nil
}

// short is a name that an annotation's key can have.
func short(name string) string {
	if len(name) <= maxName {
		return name
	}

	sum := sha256.Sum256([]byte(name))
	end := hex.EncodeToString(sum[:4])

	return name[:maxName-1-len(end)] + "-" + end
}

// write writes the own heartbeat, and returns those of all as they are then, by
// replica.
func (l *lease) write(ctx context.Context, own heartbeat) (map[string]string, error) {
	text, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}

	l.own = string(text)

	after, err := l.patch(ctx, map[string]any{"annotations": map[string]any{prefix + l.self: l.own}})
	if apierrors.IsNotFound(err) {
		after, err = l.client.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: l.name, Annotations: map[string]string{prefix + l.self: l.own},
		}}, metav1.CreateOptions{})
	}

	if err != nil {
		return nil, fmt.Errorf("cannot write a heartbeat into lease %s: %w", l.name, err)
	}

	l.version = after.ResourceVersion

	all := map[string]string{}
	for key, text := range after.Annotations {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			all[name] = text
		}
	}

	return all, nil
}

// last is the heartbeat of a process before that had this replica's name. It is empty if
// there is none, or no answer. A patch that changes nothing returns it: no other right
// is needed.
func (l *lease) last(ctx context.Context) (last heartbeat) {
	if now, err := l.patch(ctx, map[string]any{}); err == nil {
		_ = json.Unmarshal([]byte(now.Annotations[prefix+l.self]), &last) // of another version: none
	}

	return last
}

// remove removes the heartbeats of replicas that are gone, unless any heartbeat was
// written since write: one of them may be back. Then the next one tries again.
func (l *lease) remove(ctx context.Context, gone []string) {
	annotations := map[string]any{}
	for _, name := range gone {
		annotations[prefix+name] = nil
	}

	_, _ = l.patch(ctx, map[string]any{"resourceVersion": l.version, "annotations": annotations})
}

// replace writes the own heartbeat in the place of the last one. If another is there,
// a new process has this replica's name, and that one is to be waited for.
func (l *lease) replace(ctx context.Context, own heartbeat) error {
	if l.own == "" {
		return nil // others have not heard of it
	}

	text, err := json.Marshal(own)
	if err != nil {
		return err
	}

	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}

	path := string(jsontext.Pointer("/metadata/annotations").AppendToken(prefix + l.self))

	patch, err := json.Marshal([]operation{{"test", path, l.own}, {"replace", path, string(text)}})
	if err != nil {
		return err
	}

	_, err = l.client.Patch(ctx, l.name, types.JSONPatchType, patch, metav1.PatchOptions{})

	return err
}

func (l *lease) patch(ctx context.Context, metadata map[string]any) (*coordinationv1.Lease, error) {
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return nil, err
	}

	return l.client.Patch(ctx, l.name, types.MergePatchType, patch, metav1.PatchOptions{})
}

// isRefusal tells whether the API server has answered, and does not take
// heartbeats: it may be for ever so. If it is in trouble, has too much to do, or does
// not know us just now, that is none.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}

	switch code := status.Status().Code; code {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	case http.StatusInternalServerError:
		return strings.Contains(err.Error(), "failed calling webhook")
	default:
		return code >= http.StatusBadRequest && code < http.StatusInternalServerError
	}
}
