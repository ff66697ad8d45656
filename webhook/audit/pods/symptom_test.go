package pods

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// starter adds an init container, a sidecar, and env, envFrom and a volume from
// objects.
func starter() *v1alpha1.Injection {
	return &v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "starter"},
		Spec: v1alpha1.InjectionSpec{
			Selector: &metav1.LabelSelector{},
			Env:      []v1alpha1.EnvVar{{Name: "TOKEN", ValueFrom: secretKey("token", "key", false)}, {Name: "MAYBE", ValueFrom: secretKey("maybe", "key", true)}},
			EnvFrom:  []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}},
			Volumes:  []corev1.Volume{{Name: "creds", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "creds"}}}},
			InitContainers: []corev1.Container{
				{Name: "wait", Image: "registry.example/wait:1"},
				{Name: "mesh", Image: "registry.example/mesh:1", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
			},
		},
	}
}

func secretKey(name, key string, optional bool) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: new(optional),
	}}
}

func waiting(name, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func ended(name string, code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}
}

// looping is in the backoff after a crash.
func looping(name string) corev1.ContainerStatus {
	s := waiting(name, "CrashLoopBackOff", "back-off 10s restarting failed container")
	s.LastTerminationState = ended(name, 3).State

	return s
}

// symptomCase is a pod of starter, and its status.
type symptomCase struct {
	reason string
	// made changes the Injection, before the pod before it is injected, after later.
	made          func(*v1alpha1.Injection)
	before, after func(*corev1.Pod)
	init, app     []corev1.ContainerStatus
	want          string // in the text; "": it does not hang because of the Injection
}

func symptomCases() map[string]symptomCase {
	const noToken = `secret "token" not found`

	return map[string]symptomCase{
		"Well":       {reason: "All run.", init: []corev1.ContainerStatus{ended("wait", 0)}, app: []corev1.ContainerStatus{{Name: "app"}}},
		"Turn":       {reason: "Its turn has not come.", init: []corev1.ContainerStatus{waiting("wait", "PodInitializing", "")}},
		"Image":      {reason: "Its image.", init: []corev1.ContainerStatus{waiting("wait", "ImagePullBackOff", `x "registry.example/wait:1"`)}, want: `init container "wait" can't start: ImagePullBackOff`},
		"Crash":      {reason: "It fails, again and again.", init: []corev1.ContainerStatus{looping("wait")}, want: `init container "wait" fails: CrashLoopBackOff, exit code 3`},
		"Failed":     {reason: "It has failed just now.", init: []corev1.ContainerStatus{ended("wait", 1)}, want: `init container "wait" fails: exit code 1`},
		"Sidecar":    {reason: "A sidecar.", init: []corev1.ContainerStatus{looping("mesh")}, want: `sidecar "mesh" fails: CrashLoopBackOff, exit code 3`},
		"CantCreate": {reason: "Another error of the runtime.", init: []corev1.ContainerStatus{waiting("mesh", "CreateContainerError", "no such file")}, want: `sidecar "mesh" can't start: CreateContainerError`},
		"AppImage":   {reason: "The app's own image.", app: []corev1.ContainerStatus{waiting("app", "ErrImagePull", "not found")}},
		"AppCrash":   {reason: "The app's own crash.", app: []corev1.ContainerStatus{looping("app")}},
		"OwnInit": {
			reason: "An init container of the pod itself.", before: ownInit, init: []corev1.ContainerStatus{waiting("wait", "PodInitializing", ""), looping("own")},
		},
		"KeptInit": {
			reason: "With KeepPod, a container of that name is the pod's own.", init: []corev1.ContainerStatus{looping("wait")},
			made: func(in *v1alpha1.Injection) { in.Spec.OnConflict = v1alpha1.KeepPod },
			before: func(p *corev1.Pod) {
				p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "wait", Image: "own"})
			},
		},
		"Secret":    {reason: "Only the Injection names it.", app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", noToken)}, want: `container "app" can't start: Secret "token" is missing`},
		"ConfigMap": {reason: "By envFrom.", app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", `configmap "settings" not found`)}, want: `ConfigMap "settings" is missing`},
		"Key": {
			reason: "A key of it.", app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", "couldn't find key key in Secret shop/token")},
			want: `Secret "token" lacks the key "key"`,
		},
		"OwnSecret": {reason: "The pod's own.", before: ownSecret("own", false), app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", `secret "own" not found`)}},
		"OwnToo":    {reason: "The pod would hang without it.", before: ownSecret("token", false), app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", noToken)}},
		"OwnOptional": {
			reason: "The pod itself can do without.", before: ownSecret("token", true), app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", noToken)},
			want: `Secret "token" is missing`,
		},
		"OwnKey": {
			reason: "The pod names another key of it.", before: ownSecret("token", false), want: `lacks the key "key"`,
			app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", "couldn't find key key in Secret shop/token")},
		},
		"Optional": {reason: "Kubelet does not wait for it.", app: []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", `secret "maybe" not found`)}},
		"InAdded": {
			reason: "The added container names it, and the pod as well.", before: ownSecret("inner", false), init: []corev1.ContainerStatus{waiting("wait", "CreateContainerConfigError", `secret "inner" not found`)},
			made: func(in *v1alpha1.Injection) {
				in.Spec.InitContainers[0].Env = []corev1.EnvVar{{Name: "INNER", ValueFrom: secretKey("inner", "key", false)}}
			},
		},
		"Deleted": {reason: "It ends.", after: func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, init: []corev1.ContainerStatus{looping("wait")}},
		"Evicted": {
			reason: "The node ended it.", init: []corev1.ContainerStatus{ended("mesh", 137)},
			after: func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" },
		},
		"EndedSidecar": {
			reason: "It was ended with the pod.", init: []corev1.ContainerStatus{ended("mesh", 143)},
			after: func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		},
		"FailedPod": {
			reason: "restartPolicy: Never.", init: []corev1.ContainerStatus{ended("wait", 1)}, want: "exit code 1",
			after: func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		},
	}
}

func ownInit(p *corev1.Pod) {
	p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "own", Image: "own"})
}

func ownSecret(name string, optional bool) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "OWN", ValueFrom: secretKey(name, "own-key", optional)}}
	}
}

// TestSymptoms tells apart pods that hang because of an Injection, and those that hang
// for reasons of their own. No text has a value.
func TestSymptoms(t *testing.T) {
	t.Parallel()

	for name, tc := range symptomCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			declared := starter()
			if tc.made != nil {
				tc.made(declared)
			}

			pod := newPod()
			if tc.before != nil {
				tc.before(pod)
			}

			pod = inject(t, pod, declared)
			pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses = tc.init, tc.app

			if tc.after != nil {
				tc.after(pod)
			}

			in := patches.Compile(declared)
			s, found := symptoms(pod, decode(t, pod), []*patches.Injection{in})[nameOf(in)]

			if found != (tc.want != "") || !strings.Contains(s.what, tc.want) || strings.Contains(s.what+s.cure, "registry") {
				t.Errorf("%s: got %+v, want %q", tc.reason, s, tc.want)
			}
		})
	}
}

func newPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "web-1", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
}

// TestShared blames both of two Injections that name the same object.
func TestShared(t *testing.T) {
	t.Parallel()

	one, other := starter(), starter()
	other.Name, other.Spec.Env[0].Name, other.Spec.Volumes, other.Spec.InitContainers = "other", "OTHER", nil, nil
	pod := inject(t, inject(t, newPod(), one), other)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{waiting("app", "CreateContainerConfigError", `secret "token" not found`)}

	if got := symptoms(pod, decode(t, pod), []*patches.Injection{patches.Compile(one), patches.Compile(other)}); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// TestUnmounted reads the events of volumes.
func TestUnmounted(t *testing.T) {
	t.Parallel()

	const failed = "MountVolume.SetUp failed for volume "

	cases := map[string]struct {
		reason, message, want string
	}{
		"Missing":   {"Its Secret.", failed + `"creds" : secret "creds" not found`, `volume "creds" can't be mounted: Secret "creds" is missing`},
		"Key":       {"A key of it.", failed + `"creds" : references non-existent secret key: tls.key`, `volume "creds" can't be mounted: its Secret lacks the key "tls.key"`},
		"Own":       {"A volume of the pod.", failed + `"data" : secret "data" not found`, ""},
		"Transient": {"It may be there.", failed + `"creds" : failed to sync secret cache: timed out waiting for the condition`, ""},
		"Other":     {"It does not say which.", "Unable to attach or mount volumes: unmounted volumes=[creds]", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			pod := inject(t, newPod(), starter())

			by, what := unmounted(tc.message, patches.NewBlame(decode(t, pod), pod, []*patches.Injection{patches.Compile(starter())}))
			if (len(by) == 1) != (tc.want != "") || tc.want != "" && what != tc.want {
				t.Errorf("%s: got %v %q", tc.reason, by, what)
			}
		})
	}
}

// TestRecovers tells when a container is taken as well again.
func TestRecovers(t *testing.T) {
	t.Parallel()

	now := edited
	sidecar := symptom{container: "mesh", isAdded: true}
	running := func(restarts int32, lasted time.Duration, started bool) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Name: "mesh", RestartCount: restarts, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, StartedAt: metav1.NewTime(now.Add(-lasted)), FinishedAt: metav1.NewTime(now),
			}},
		}
	}

	cases := map[string]struct {
		reason string
		of     symptom
		status corev1.ContainerStatus
		after  time.Duration // -1: not known
	}{
		"OneCrash":   {"It may have been a hiccup.", sidecar, running(1, time.Second, true), steady},
		"Loop":       {"It may fail again.", sidecar, running(4, time.Second, true), longRun},
		"RareCrash":  {"Days later.", sidecar, running(4, time.Hour, true), steady},
		"NotStarted": {"Its startup probe is to tell.", sidecar, running(1, time.Second, false), -1},
		"Between":    {"The next try.", sidecar, waiting("mesh", "PodInitializing", ""), -1},
		"Done":       {"It has ended well.", sidecar, ended("mesh", 0), 0},
		"App":        {"The object is there; the rest is the app's.", symptom{container: "mesh"}, running(3, time.Second, true), 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			pod := inject(t, newPod(), starter())
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{tc.status}

			want := now.Add(tc.after)
			if tc.after < 0 {
				want = time.Time{}
			}

			if got := tc.of.recovers(pod, now); !got.Equal(want) {
				t.Errorf("%s: got %v, want %v", tc.reason, got, want)
			}
		})
	}
}

// TestIsCause has a tenant write large events about a pod.
func TestIsCause(t *testing.T) {
	t.Parallel()

	const failed = `MountVolume.SetUp failed for volume "creds" : `

	for name, c := range map[string]struct {
		message string
		want    bool
	}{
		"Missing":   {failed + `secret "creds" not found`, true},
		"Key":       {failed + "references non-existent secret key: tls.key", true},
		"Transient": {failed + "timed out waiting for the condition", false},
		"Other":     {"Unable to attach or mount volumes", false},
		"Large":     {failed + `secret "creds" not found` + strings.Repeat("x", 1_000_000), true},
		"Late":      {failed + strings.Repeat("x", 1_000_000) + `secret "creds" not found`, false},
	} {
		if got := isCause(oneline.Cut(c.message, maxMessage)); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
