package patches_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestWithdrawn makes pods of several owners while an Injection is withdrawn from
// some.
func TestWithdrawn(t *testing.T) {
	until := metav1.NewTime(time.Date(2026, 11, 25, 12, 10, 0, 0, time.UTC))
	w := func(change func(*v1alpha1.Withdrawal)) v1alpha1.Withdrawal {
		w := v1alpha1.Withdrawal{
			Namespace: "shop", Kind: "ReplicaSet", Name: "checkout-1", UID: "1", Phase: v1alpha1.WithdrawnPhase, Until: &until, Text: "no.",
		}
		if change != nil {
			change(&w)
		}

		return w
	}
	cases := map[string]struct {
		reason    string
		withdrawn v1alpha1.Withdrawal
		deny      bool
		owner     string // a controller reference, as JSON
		labels    string
		want      bool // the pod has it
		trial     bool
	}{
		"Owner":       {reason: "It is the owner.", withdrawn: w(nil), owner: `"kind":"ReplicaSet","name":"checkout-1","uid":"1"`},
		"OtherOwner":  {reason: "Another rollout.", withdrawn: w(nil), owner: `"kind":"ReplicaSet","name":"checkout-2","uid":"2"`, want: true},
		"BarePod":     {reason: "No owner.", withdrawn: w(nil), want: true},
		"Trial":       {reason: "Left out, and not yet a failure.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Phase, w.Until = v1alpha1.TrialPhase, nil }), owner: `"kind":"ReplicaSet","name":"checkout-1","uid":"1"`, trial: true},
		"Retry":       {reason: "Its time has come.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Phase = v1alpha1.RetryPhase }), owner: `"kind":"ReplicaSet","name":"checkout-1","uid":"1"`, want: true},
		"OtherEdit":   {reason: "The Injection was edited since.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Revision = "00000000" }), owner: `"kind":"ReplicaSet","name":"checkout-1","uid":"1"`, want: true},
		"Deny":        {reason: "It says that no pod starts without.", withdrawn: w(nil), deny: true, owner: `"kind":"ReplicaSet","name":"checkout-1","uid":"1"`, want: true},
		"Template":    {reason: "A StatefulSet's template.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Template = "StatefulSet", "web-a" }), owner: `"kind":"StatefulSet","name":"checkout-1","uid":"1"`, labels: `"controller-revision-hash":"web-a"`},
		"NewTemplate": {reason: "A new rollout of a StatefulSet.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Template = "StatefulSet", "web-a" }), owner: `"kind":"StatefulSet","name":"checkout-1","uid":"1"`, labels: `"controller-revision-hash":"web-b"`, want: true},
		"Generation":  {reason: "A DaemonSet's template.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Template = "DaemonSet", "3" }), owner: `"kind":"DaemonSet","name":"checkout-1","uid":"1"`, labels: `"pod-template-generation":"3"`},
		"CronJob":     {reason: "Every Job of the CronJob.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Name = "CronJob", "night" }), owner: `"kind":"Job","name":"night-29384756","uid":"7"`},
		"OtherJob":    {reason: "A Job of another CronJob.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Name = "CronJob", "night" }), owner: `"kind":"Job","name":"night-shift-29384756","uid":"7"`, want: true},
		"ManualJob":   {reason: "A Job made by hand.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Name = "CronJob", "night" }), owner: `"kind":"Job","name":"night-manual","uid":"7"`, want: true},
		"NumberedJob": {reason: "A Job made by hand may end in a number.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Name = "CronJob", "night" }), owner: `"kind":"Job","name":"night-12","uid":"7"`, want: true},
		"Namespace":   {reason: "All owners of the namespace.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Kind, w.Name, w.UID = "", "", "" }), owner: `"kind":"ReplicaSet","name":"other","uid":"9"`},
		"OtherSpace":  {reason: "All owners of another namespace.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Namespace, w.Kind, w.Name, w.UID = "bank", "", "", "" }), owner: `"kind":"ReplicaSet","name":"other","uid":"9"`, want: true},
		"AllPods":     {reason: "Bare pods, too.", withdrawn: w(func(w *v1alpha1.Withdrawal) { w.Namespace, w.Kind, w.Name, w.UID = "", "", "", "" })},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			declared := &v1alpha1.Injection{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"},
				Spec:       v1alpha1.InjectionSpec{Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{{Name: "A", Value: "b"}}},
			}
			if tc.deny {
				declared.Spec.OnFailure = v1alpha1.Deny
			}

			in := patches.Compile(declared)
			if tc.withdrawn.Revision == "" {
				tc.withdrawn.Revision = in.Revision()
			}

			set := (&patches.Set{}).With(in.Withdrawn([]v1alpha1.Withdrawal{tc.withdrawn}))

			owners := ""
			if tc.owner != "" {
				owners = `,"ownerReferences":[{"controller":true,` + tc.owner + `}]`
			}

			pod, err := patches.Decode([]byte(`{"metadata":{"generateName":"p-","labels":{` + tc.labels + `}` + owners + `},"spec":{"containers":[{"name":"app"}]}}`))
			if err != nil {
				t.Fatal(err)
			}

			r := patches.New(t.Context(), pod, set.Match(pod.Traits(), patches.Namespace{Name: "shop", Known: true}))
			if (len(r.Injected) == 1) != tc.want {
				t.Fatalf("%s: injected %d, failed %v", tc.reason, len(r.Injected), r.Failed)
			}

			if tc.want {
				return
			}

			f := r.Failed[0]
			if f.Reason != patches.Refused || f.Trial != tc.trial || !strings.HasPrefix(f.Text, "pods with it were refused: no. ") {
				t.Errorf("%s: %+v", tc.reason, f)
			}

			if !tc.trial && !strings.HasSuffix(f.Text, "it is tried again after 2026-11-25 12:10 UTC.") {
				t.Errorf("the text does not say until when: %s", f.Text)
			}
		})
	}
}

func TestNamedIn(t *testing.T) {
	in := patches.Compile(&v1alpha1.Injection{Spec: v1alpha1.InjectionSpec{
		Selector: &metav1.LabelSelector{},
		Env: []v1alpha1.EnvVar{
			{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "env-secret"}, Key: "k"}}},
		},
		EnvFrom:          []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "all-of-it"}}}},
		Volumes:          []corev1.Volume{{Name: "certs", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "volume-secret"}}}},
		InitContainers:   []corev1.Container{{Name: "wait", Image: "x"}},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
		Labels:           map[string]string{"mesh.example/on": "yes"},
		Annotations:      map[string]string{"note": "x"},
	}})
	cases := map[string]string{
		`container "wait" must set memory`:       `init container "wait"`,
		`for containers: app, wait`:              `init container "wait"`,
		`container wait.`:                        `init container "wait"`,
		`containers wait. Set limits`:            `init container "wait"`,
		`container "await", "wait-for", wait.io`: "",
		`label mesh.example/on is not allowed`:   `label "mesh.example/on"`,
		`no secret "volume-secret" for this one`: `Secret "volume-secret"`,
		`secret env-secret`:                      `Secret "env-secret"`,
		`secret all-of-it`:                       `Secret "all-of-it"`,
		`volume 'certs'`:                         `volume "certs"`,
		`image pull secret (registry)`:           `image pull secret "registry"`,
		`annotation note`:                        `annotation "note"`,
		`the env var TOKEN`:                      "",
		`nothing`:                                "",
		``:                                       "",
	}
	for text, want := range cases {
		if got := patches.NamedIn(in, text); got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}
