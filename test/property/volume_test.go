package property

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volumes makes a few volumes with different names.
func (d dice) volumes(most int) []corev1.Volume {
	all := names(d, "v", most+2)

	return some(d, most, func(i int) corev1.Volume {
		return corev1.Volume{Name: all[i], VolumeSource: d.source()}
	})
}

// source makes a source of any kind that pods may have.
func (d dice) source() corev1.VolumeSource {
	if d.chance(50) {
		return d.usualSource()
	}

	ref := &corev1.LocalObjectReference{Name: "secret"}

	return pick(d,
		corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: pick(d, "/var/log", "/"), Type: maybe(d, 50, corev1.HostPathUnset, corev1.HostPathDirectory)}},
		corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: "disk", Partition: 1, ReadOnly: d.chance(50)}},
		corev1.VolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "vol"}},
		corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs", Path: "/a"}},
		corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "1.2.3.4:3260", IQN: "iqn.2015-02.example.com:test", SecretRef: ref, Lun: 1}},
		corev1.VolumeSource{Glusterfs: &corev1.GlusterfsVolumeSource{EndpointsName: "e", Path: "p"}},
		corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{CephMonitors: []string{"a"}, RBDImage: "i"}},
		corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: "example.com/flex", Options: map[string]string{"a": "b"}}},
		corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{VolumeID: "c"}},
		corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{Monitors: []string{"m"}, SecretRef: ref}},
		corev1.VolumeSource{Flocker: &corev1.FlockerVolumeSource{DatasetName: "d"}},
		corev1.VolumeSource{FC: &corev1.FCVolumeSource{TargetWWNs: []string{"w"}, Lun: new(int32(1))}},
		corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "s", ShareName: "a"}},
		corev1.VolumeSource{VsphereVolume: &corev1.VsphereVirtualDiskVolumeSource{VolumePath: "/v"}},
		corev1.VolumeSource{Quobyte: &corev1.QuobyteVolumeSource{Registry: "r:1", Volume: "v"}},
		corev1.VolumeSource{AzureDisk: &corev1.AzureDiskVolumeSource{DiskName: "d", DataDiskURI: "https://blob/x"}},
		corev1.VolumeSource{PhotonPersistentDisk: &corev1.PhotonPersistentDiskVolumeSource{PdID: "p"}},
		corev1.VolumeSource{PortworxVolume: &corev1.PortworxVolumeSource{VolumeID: "p"}},
		corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{Gateway: "g", System: "s", SecretRef: ref, VolumeName: "v"}},
		corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{VolumeName: "so"}},
		corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{Repository: "https://example.com/a.git", Directory: pick(d, "", ".", "sub")}},
		corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: map[bool]string{true: "bad driver", false: "csi.example.com"}[d.odd(50)], NodePublishSecretRef: ref}},
		corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "registry.example/a:1", PullPolicy: pick(d, "", corev1.PullAlways)}},
		corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				VolumeMode:  maybe(d, 30, corev1.PersistentVolumeBlock),
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				},
			},
		}}},
	)
}

func (d dice) usualSource() corev1.VolumeSource {
	mode := maybe(d, 30, int32(0o400), 0o644)
	items := some(d, 3, func(i int) corev1.KeyToPath {
		return corev1.KeyToPath{Key: "k", Path: []string{"p/q", "r", "s.txt"}[i], Mode: mode}
	})
	inPod := corev1.DownwardAPIVolumeFile{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}

	return pick(d,
		corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: pick(d, corev1.StorageMediumMemory, "HugePages", "HugePages-2Mi"), SizeLimit: new(resource.MustParse("16Mi"))}},
		corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: pick(d, "corp", "other")}, Items: items, DefaultMode: mode, Optional: maybe(d, 30, true)}},
		corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: pick(d, "corp", "other"), Items: items, DefaultMode: mode}},
		corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{inPod}}},
		corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim", ReadOnly: d.chance(50)}},
		corev1.VolumeSource{Projected: d.projected()},
	)
}

func (d dice) projected() *corev1.ProjectedVolumeSource {
	name := corev1.LocalObjectReference{Name: "corp"}
	all := []corev1.VolumeProjection{
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: name, Items: []corev1.KeyToPath{{Key: "a", Path: "cm"}}}},
		{Secret: &corev1.SecretProjection{LocalObjectReference: name, Items: []corev1.KeyToPath{{Key: "a", Path: map[bool]string{true: "cm", false: "sec"}[d.odd(50)]}}}},
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: pick(d, "", "vault"), ExpirationSeconds: maybe(d, 50, int64(600))}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}},
	}

	if d.mayBeNewer() && (!d.inject || d.chance(40)) {
		all = append(all,
			corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{Name: new("bundle"), Path: "ctb", Optional: maybe(d, 50, true)}},
			corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{SignerName: "example.com/signer", KeyType: "ED25519", CredentialBundlePath: "pem"}},
		)
	}

	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	return &corev1.ProjectedVolumeSource{Sources: all[:d.IntN(len(all)+1)], DefaultMode: maybe(d, 30, int32(0o400))}
}

// mounts makes a few mounts, mostly of volumes that are there.
func (d dice) mounts(volumes []corev1.Volume, most int) []corev1.VolumeMount {
	paths := []string{"/data", "/data/", "/etc/ca", "/etc/../etc/ca", "/var/run", "relative", "/", "/v", "/var/run/secrets/kubernetes.io/serviceaccount", `C:\data`}
	d.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })

	if len(volumes) == 0 && !d.wild {
		return nil
	}

	return some(d, min(most, len(paths)), func(i int) corev1.VolumeMount {
		m := corev1.VolumeMount{Name: d.volumeName(volumes), MountPath: paths[i], ReadOnly: d.chance(50)}

		switch d.IntN(12) {
		case 0:
			m.SubPath = pick(d, "sub", "a/b", "..a")
		case 1:
			m.SubPathExpr = "$(POD)"
		case 2:
			m.MountPropagation = new(pick(d, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone))
			if d.odd(50) {
				m.MountPropagation = new(corev1.MountPropagationBidirectional)
			}
		case 3:
			m.ReadOnly = m.ReadOnly || !d.wild
			m.RecursiveReadOnly = new(pick(d, corev1.RecursiveReadOnlyIfPossible, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled))
		}

		return m
	})
}

func (d dice) volumeName(volumes []corev1.Volume) string {
	if len(volumes) == 0 || d.odd(10) {
		return names(d, "v", 8)[0]
	}

	return volumes[d.IntN(len(volumes))].Name
}

// owner is a pod's controller.
func (d dice) owner() []metav1.OwnerReference {
	kind := pick(d, "ReplicaSet", "StatefulSet", "DaemonSet", "Job")
	name := map[string]string{"ReplicaSet": "owner-a", "Job": "owner-29000000"}[kind] // a Deployment's, and a CronJob's

	return []metav1.OwnerReference{{
		APIVersion: map[bool]string{true: "batch/v1", false: "apps/v1"}[kind == "Job"], Kind: kind, Name: pick(d, "owner", cmp.Or(name, "owner")),
		UID: "6fea9cfb-0e54-499b-8f78-c6e2dbde2c3b", Controller: new(true), BlockOwnerDeletion: maybe(d, 50, true),
	}}
}
