package pods

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// edited is when the Injection of the tests came to be; the pods are made before or
// after.
var edited = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func proxy() *v1alpha1.Injection {
	return &v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"},
		Spec: v1alpha1.InjectionSpec{
			Selector:       &metav1.LabelSelector{},
			Env:            []v1alpha1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
			Labels:         map[string]string{"team": "net"},
			InitContainers: []corev1.Container{{Name: "setup", Image: "registry.example/setup:1"}},
		},
	}
}

// stateCase is a pod and its Injection.
type stateCase struct {
	reason string
	// injected pods were changed by Telltale, then by change.
	injected bool
	change   func(*corev1.Pod)
	pod      func(*corev1.Pod) // makes the pod another one, before
	// made changes the Injection before the pod, after later.
	made, after func(*v1alpha1.Injection)
	withdrawn   bool
	age         time.Duration // after the edit; default: a minute
	window      time.Duration // the edit was in this time before edited
	took        time.Duration // from the request to the creation
	want        State
	text        string
}

func drop(list *[]corev1.EnvVar, name string) {
	var kept []corev1.EnvVar

	for _, e := range *list {
		if e.Name != name {
			kept = append(kept, e)
		}
	}

	*list = kept
}

func stripped(p *corev1.Pod) {
	delete(p.Annotations, v1alpha1.InjectedAnnotation)
	delete(p.Annotations, v1alpha1.FailedAnnotation)
}

func stateCases() map[string]stateCase {
	return map[string]stateCase{
		"Injected":       {reason: "All is there, and the record says so.", injected: true, want: Injected},
		"Missed":         {reason: "No record, and nothing of it is there.", want: Missed},
		"RecordStripped": {reason: "The effect is there: a missing record alone proves nothing.", injected: true, change: stripped, want: Injected},
		"Earlier":        {reason: "The pod is older than the edit.", age: -time.Minute, want: Earlier},
		"AtTheEdit":      {reason: "Which of the two came first can't be told.", age: time.Second, want: Unsure},
		"ClockBehind":    {reason: "The leader's clock may be 2 s ahead of the API server's.", age: -2 * time.Second, want: Unsure},
		"ClockAhead":     {reason: "The API server's clock may be 2 s ahead.", age: 3 * time.Second, want: Unsure},
		"JustAfter":      {reason: "No clocks are so far apart.", age: 4 * time.Second, want: Missed},
		"Window":         {reason: "The edit was some time while nobody looked.", age: -time.Minute, window: time.Hour, want: Unsure},
		"BeforeWindow":   {reason: "The pod is older than the time when nobody looked.", age: -2 * time.Hour, window: time.Hour, want: Earlier},
		"SlowWebhooks":   {reason: "Telltale was asked before the edit, and webhooks after it took long.", age: 10 * time.Second, took: 12 * time.Second, want: Unsure},
		"AfterWindow":    {reason: "The edit is over for sure.", window: time.Hour, want: Missed},
		"Failed": {
			reason: "Its owner has the event already.",
			change: func(p *corev1.Pod) {
				p.Annotations = map[string]string{v1alpha1.FailedAnnotation: "proxy@12345678=InjectionConflict"}
			},
			want: Failed,
		},
		"NotLoaded": {
			reason: "A failure of all Injections is this one's, too.",
			change: func(p *corev1.Pod) {
				p.Annotations = map[string]string{v1alpha1.FailedAnnotation: "*=InjectionsNotLoaded"}
			},
			want: Failed,
		},
		"CutRecord": {
			reason: "The record had no room for all.",
			change: func(p *corev1.Pod) {
				p.Annotations = map[string]string{v1alpha1.InjectedAnnotation: "other@12345678,..."}
			},
			want: Unsure,
		},
		"Asked": {
			reason: "Telltale was asked: a label that selects the pod came later, from another Injection perhaps.",
			change: func(p *corev1.Pod) {
				p.Annotations = map[string]string{v1alpha1.InjectedAnnotation: "other@12345678"}
			},
			want: Relabelled,
		},
		"AskedPreview": {
			reason: "What only looked was asked, too.",
			change: func(p *corev1.Pod) {
				p.Annotations = map[string]string{v1alpha1.PreviewedAnnotation: "other@12345678"}
			},
			want: Relabelled,
		},
		"Large": {
			reason: "Its annotations have no room for a record.",
			change: func(p *corev1.Pod) { p.Annotations = map[string]string{"x": strings.Repeat("x", 250_000)} },
			want:   Unsure,
		},
		"Mirror": {
			reason: "No webhook can change a static pod.",
			change: func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} },
		},
		"Edited":       {reason: "The pod has an older revision.", injected: true, after: func(in *v1alpha1.Injection) { in.Spec.Env[0].Value = "9" }, want: Outdated},
		"OlderVersion": {reason: "A record without a revision.", injected: true, change: func(p *corev1.Pod) { p.Annotations[v1alpha1.InjectedAnnotation] = "proxy" }, want: Outdated},
		"SelectorEdited": {
			reason:   "An edit of the selector changes nothing on the pod.",
			injected: true,
			after: func(in *v1alpha1.Injection) {
				in.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
			},
			want: Injected,
		},
		"LostEnv": {
			reason: "Another webhook removed an env var after us.", injected: true,
			change: func(p *corev1.Pod) { drop(&p.Spec.Containers[0].Env, "A") },
			want:   Lost, text: `container "app" no longer sets env A`,
		},
		"LostAllEnv": {
			reason: "All of them.", injected: true,
			change: func(p *corev1.Pod) { p.Spec.Containers[0].Env = nil },
			want:   Lost, text: `container "app" no longer sets env A`,
		},
		"LostLabel": {
			reason: "A label was removed later.", injected: true,
			change: func(p *corev1.Pod) { delete(p.Labels, "team") },
			want:   Lost, text: `the pod no longer has label team`,
		},
		"LostInit": {
			reason: "An init container was removed.", injected: true,
			change: func(p *corev1.Pod) { p.Spec.InitContainers = nil },
			want:   Lost, text: `the pod no longer has init container setup`,
		},
		"Registry": {
			reason: "Another webhook rewrote the image: that is no loss.", injected: true,
			change: func(p *corev1.Pod) { p.Spec.InitContainers[0].Image = "mirror.example/setup:1" },
			want:   Outdated,
		},
		"RegistryStripped": {
			reason: "The same, without a record.", injected: true,
			change: func(p *corev1.Pod) {
				stripped(p)
				p.Spec.InitContainers[0].Image = "mirror.example/setup:1"
			},
			want: Outdated,
		},
		"LaterContainer": {
			reason: "Another webhook added a sidecar after us: it was not there to be injected.", injected: true,
			change: func(p *corev1.Pod) {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "istio-proxy", Image: "x"})
			},
			want: Injected,
		},
		"LaterInitContainer": {
			reason: "The same, where the pod's init containers get env, too.", injected: true,
			made: func(in *v1alpha1.Injection) { in.Spec.Containers.Init = true },
			change: func(p *corev1.Pod) {
				p.Spec.InitContainers[0].Image = "mirror.example/setup:1"
				p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "istio-init", Image: "x"})
			},
			want: Outdated,
		},
		"LaterContainerWithPart": {
			reason: "The same, and the sidecar has an env var of that name of its own.", injected: true,
			change: func(p *corev1.Pod) {
				p.Spec.Containers = slices.Insert(p.Spec.Containers, 0,
					corev1.Container{Name: "istio-proxy", Image: "x", Env: []corev1.EnvVar{{Name: "B", Value: "own"}}})
			},
			want: Injected,
		},
		"LostOfTwo": {
			reason: "One of two containers lost all of it.", injected: true,
			pod: func(p *corev1.Pod) {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "x"})
			},
			change: func(p *corev1.Pod) { p.Spec.Containers[1].Env = nil },
			want:   Lost, text: `container "second" no longer sets env A`,
		},
		"LostRestartPolicy": {
			reason: "An API server dropped a field: the sidecar is a plain init container, and the pod never starts.", injected: true,
			made: func(in *v1alpha1.Injection) {
				in.Spec.InitContainers[0].RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			},
			change: func(p *corev1.Pod) { p.Spec.InitContainers[0].RestartPolicy = nil },
			want:   Lost, text: "the pod no longer has init container setup with its restartPolicy",
		},
		"LostRestartPolicyStripped": {
			reason: "Without a record nothing says that it was there.", injected: true,
			made: func(in *v1alpha1.Injection) {
				in.Spec.InitContainers[0].RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			},
			change: func(p *corev1.Pod) {
				stripped(p)
				p.Spec.InitContainers[0].RestartPolicy = nil
			},
			want: Outdated,
		},
		"LostInitEnv": {
			reason: "An env var of our own init container was removed.", injected: true,
			made: func(in *v1alpha1.Injection) {
				in.Spec.InitContainers[0].Env = []corev1.EnvVar{{Name: "X", Value: "1"}, {Name: "Y", Value: "1"}}
			},
			change: func(p *corev1.Pod) { drop(&p.Spec.InitContainers[0].Env, "Y") },
			want:   Lost, text: "with its env[1]",
		},
		"KeepPod": {
			reason: "The pod's own value stays, as the user asked.", injected: true,
			made: func(in *v1alpha1.Injection) { in.Spec.OnConflict = v1alpha1.KeepPod },
			want: Injected,
			change: func(p *corev1.Pod) {
				drop(&p.Spec.Containers[0].Env, "B")
				p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "B", Value: "own"})
			},
		},
		"Withdrawn": {reason: "The owner's pods start without it.", withdrawn: true, want: Unsure},
		"Invalid": {
			reason: "It would have failed.", want: Unsure,
			made: func(in *v1alpha1.Injection) { in.Spec.Env[0].Name = "=" },
		},
	}
}

// TestStates tells the state of an Injection on pods of all kinds.
func TestStates(t *testing.T) {
	t.Parallel()

	for name, tc := range stateCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			declared := proxy()
			if tc.made != nil {
				tc.made(declared)
			}

			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{"app": "web"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
			}
			if tc.pod != nil {
				tc.pod(pod)
			}

			if tc.injected {
				pod = inject(t, pod, declared)
			}

			if tc.change != nil {
				tc.change(pod)
			}

			if tc.after != nil {
				tc.after(declared)
			}

			in := patches.Compile(declared)
			if tc.withdrawn {
				in = in.Withdrawn([]v1alpha1.Withdrawal{{Namespace: "shop", Revision: in.Revision(), Phase: v1alpha1.WithdrawnPhase}})
			}

			if tc.age == 0 {
				tc.age = time.Minute
			}

			since := Since{After: edited.Add(-tc.window), Until: edited}

			pod.CreationTimestamp = metav1.NewTime(edited.Add(tc.age))
			asked := metav1.NewTime(edited.Add(tc.age - tc.took))
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", Time: &asked}}

			all := judge(decode(t, pod), birthOf(pod), "shop", matches(in, pod), func(*patches.Injection) Since { return since })
			if tc.want == Earlier && tc.age > 0 { // a mirror pod
				if len(all) != 0 {
					t.Errorf("%s: got %+v", tc.reason, all)
				}

				return
			}

			if len(all) != 1 || all[0].state != tc.want || !strings.Contains(all[0].text, tc.text) {
				t.Errorf("%s: got %+v, want state %d %q", tc.reason, all, tc.want, tc.text)
			}
		})
	}
}

// TestLatest takes the newest of several edits.
func TestLatest(t *testing.T) {
	t.Parallel()

	at := func(s int) time.Time { return edited.Add(time.Duration(s) * time.Second) }

	got := latest(Since{at(1), at(9)}, Since{at(3), at(4)}, Since{})
	if want := (Since{at(3), at(9)}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func matches(in *patches.Injection, pod *corev1.Pod) []patches.Match {
	return (&patches.Set{}).With(in).Match(pod.Labels, patches.Namespace{Name: "shop", Known: true})
}

func decode(t *testing.T, pod *corev1.Pod) *patches.Pod {
	t.Helper()

	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}

	p, err := patches.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}

	return p
}

// inject is the pod as the webhook makes it.
func inject(t *testing.T, pod *corev1.Pod, declared *v1alpha1.Injection) *corev1.Pod {
	t.Helper()

	p := decode(t, pod)

	r := patches.New(context.Background(), p, matches(patches.Compile(declared), pod))
	if len(r.Failed) > 0 {
		t.Fatal(r.Failed)
	}

	patch, err := jsonpatch.DecodePatch(r.Patch)
	if err != nil {
		t.Fatal(err)
	}

	raw, err := patch.Apply(p.JSON)
	if err != nil {
		t.Fatal(err)
	}

	injected := &corev1.Pod{}
	if err := json.Unmarshal(raw, injected); err != nil {
		t.Fatal(err)
	}

	return injected
}
