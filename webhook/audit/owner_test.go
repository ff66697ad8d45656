package audit

import (
	"context"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// hasJob is a reader that finds one Job of CronJob backup.
type hasJob struct{ client.Reader }

func (hasJob) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	o.SetNamespace(key.Namespace)
	o.SetName(key.Name)
	o.SetUID("job")
	o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "backup", UID: "cron", Controller: new(true)}})

	return nil
}

// TestWithdrawnFromJob has an Injection withdrawn from a Job of a CronJob: by the name of
// the Job, a webhook comes to the same owner.
func TestWithdrawnFromJob(t *testing.T) {
	in := patches.Compile(&v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"}})

	for name, kind := range map[string]string{
		"backup-29401234": "CronJob",
		"backup-12":       "Job", // kubectl create job backup-12 --from=cronjob/backup
		"backup-manual":   "Job",
		"other-29401234":  "Job",
	} {
		o, err := read(t.Context(), hasJob{}, ownerRef{batchv1.SchemeGroupVersion.String(), "Job", "shop", name, "job"})
		if err != nil || o == nil {
			t.Fatalf("%v, %v", o, err)
		}

		if o.key.Kind != kind {
			t.Errorf("Job %s: withdrawn from a %s, want a %s", name, o.key.Kind, kind)
		}

		withdrawal := o.key
		withdrawal.Revision, withdrawal.Phase = in.Revision(), v1alpha1.TrialPhase

		if in.Withdrawn([]v1alpha1.Withdrawal{withdrawal}).WithdrawnFor(o.reference(), "shop") == nil {
			t.Errorf("Job %s: a webhook does not find the withdrawal from %s %s", name, o.key.Kind, o.key.Name)
		}
	}
}
