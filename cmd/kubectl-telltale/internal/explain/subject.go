package explain

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
)

// revision is the annotation by which a Deployment numbers its ReplicaSets.
const revision = "deployment.kubernetes.io/revision"

// underNewest makes the pod of a Deployment one of its newest ReplicaSet: an
// Injection can be withdrawn from that one.
func underNewest(ctx context.Context, r *reader, s *verdict.Subject, deployment metav1.Object) {
	for _, one := range readReplicaSets(ctx, r, s) {
		if one.Annotations[revision] == deployment.GetAnnotations()[revision] {
			s.Under("ReplicaSet", &one.ObjectMeta)
		}
	}
}

func replicaSetsOf(ctx context.Context, r *reader, s *verdict.Subject) (uids []types.UID) {
	for _, one := range readReplicaSets(ctx, r, s) {
		uids = append(uids, one.UID)
	}

	return uids
}

// readReplicaSets are those of a Deployment.
func readReplicaSets(ctx context.Context, r *reader, s *verdict.Subject) (own []appsv1.ReplicaSet) {
	if s.Kind != "Deployment" || s.UID == "" || s.Selector == nil {
		return nil
	}

	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err != nil {
		return nil
	}

	var list appsv1.ReplicaSetList
	r.list(ctx, fmt.Sprintf("the ReplicaSets of %s", s), false, &list, client.InNamespace(s.Namespace), client.MatchingLabelsSelector{Selector: selector})

	for i := range list.Items {
		if c := metav1.GetControllerOf(&list.Items[i]); c != nil && c.UID == s.UID {
			own = append(own, list.Items[i])
		}
	}

	return own
}
