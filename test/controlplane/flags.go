package controlplane

import "path/filepath"

// file is the path of a file of ours.
func (cp *ControlPlane) file(name string) string {
	return filepath.Join(cp.dir, name)
}

func (cp *ControlPlane) etcdFlags() []string {
	return []string{
		"--data-dir=" + cp.file("etcd"),
		"--listen-client-urls=" + cp.etcdURL,
		"--advertise-client-urls=" + cp.etcdURL,
		"--listen-peer-urls=http://127.0.0.1:0",
		"--unsafe-no-fsync",                // the data need not outlive a power cut
		"--quota-backend-bytes=8589934592", // the default of 2 GiB is too little for 100,000 pods
	}
}

func (cp *ControlPlane) apiServerFlags() []string {
	host, port := splitHostPort(cp.hostPort)
	flags := []string{
		"--etcd-servers=" + cp.etcdURL,
		"--bind-address=" + host,
		"--secure-port=" + port,
		"--tls-cert-file=" + cp.file(servingCert),
		"--tls-private-key-file=" + cp.file(servingKey),
		"--token-auth-file=" + cp.file(tokens),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + cp.file(accountKey),
		"--service-account-signing-key-file=" + cp.file(accountKey),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--allow-privileged",
		// A loopback address can't be an endpoint of the Service "kubernetes".
		"--endpoint-reconciler-type=none",
	}
	if cp.options.NoControllerManager {
		flags = append(flags, "--disable-admission-plugins=ServiceAccount")
	}

	return append(flags, cp.options.APIServerFlags...)
}

func (cp *ControlPlane) controllerManagerFlags() []string {
	flags := []string{
		"--kubeconfig=" + cp.KubeconfigPath,
		"--leader-elect=false",
		"--secure-port=0", // no server: two control planes don't meet
		"--service-account-private-key-file=" + cp.file(accountKey),
		"--root-ca-file=" + cp.file(servingCert),
	}

	return append(flags, cp.options.ControllerManagerFlags...)
}
