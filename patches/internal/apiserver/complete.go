package apiserver

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	v1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
)

// Complete sets in a pod all that the API server sets before it asks webhooks, and
// once more after one has changed the pod: defaults, those of LimitRanges, and
// what the pod gets from its ServiceAccount. A nil account is one without settings.
// The errors are for pods that the API server refuses.
func Complete(pod *corev1.Pod, limits []*corev1.LimitRange, account *corev1.ServiceAccount) error {
	SetDefaults(pod)

	if err := setLimits(pod, limits); err != nil {
		return err
	}

	if _, isMirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !isMirror {
		useAccount(pod, account)
	}

	return nil
}

func setLimits(pod *corev1.Pod, limits []*corev1.LimitRange) error {
	var internal core.Pod
	if err := v1.Convert_v1_Pod_To_core_Pod(pod, &internal, nil); err != nil {
		return err
	}

	podutil.DefaultPodLevelResources(&internal)

	for _, l := range limits {
		if err := limitranger.PodMutateLimitFunc(l, &internal); err != nil {
			return err
		}
	}

	return v1.Convert_core_Pod_To_v1_Pod(&internal, pod, nil)
}

const (
	// tokenPath is where containers find the token of their ServiceAccount.
	tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenVolume starts the name of the volume; the API server draws the rest.
	tokenVolume = "kube-api-access-"
	// tokenSeconds is how long a token is valid.
	tokenSeconds = 60*60 + 7
)

// useAccount does as the admission plugin ServiceAccount does.
//
// Source: Admit, k8s.io/kubernetes v1.37.2
// plugin/pkg/admission/serviceaccount/admission.go: the same steps.
func useAccount(pod *corev1.Pod, account *corev1.ServiceAccount) {
	if account == nil {
		account = &corev1.ServiceAccount{}
	}

	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "default", "default"
	}

	automount := true
	for _, says := range []*bool{account.AutomountServiceAccountToken, pod.Spec.AutomountServiceAccountToken} {
		if says != nil {
			automount = *says
		}
	}

	if automount {
		mountToken(pod)
	}

	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
}

func mountToken(pod *corev1.Pod) {
	mount := corev1.VolumeMount{Name: tokenVolume + "xxxxx", ReadOnly: true, MountPath: tokenPath}

	at := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, tokenVolume) })
	if at >= 0 {
		mount.Name = pod.Spec.Volumes[at].Name
	}

	mounted := false

	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if c := &containers[i]; !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenPath }) {
				c.VolumeMounts = append(c.VolumeMounts, mount)
				mounted = true
			}
		}
	}

	if mounted && at < 0 {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: mount.Name, VolumeSource: corev1.VolumeSource{Projected: tokenSource()}})
	}
}

func tokenSource() *corev1.ProjectedVolumeSource {
	return &corev1.ProjectedVolumeSource{
		DefaultMode: new(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(tokenSeconds))}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
			}}},
		},
	}
}
