package controlplane

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// The files of a control plane, in its folder.
const (
	servingCert = "apiserver.crt"
	servingKey  = "apiserver.key"
	accountKey  = "service-accounts.key"
	tokens      = "tokens.csv"
	kubeconfig  = "kubeconfig"
)

// writeCredentials decides the API server's address, and writes its
// certificate, the key that signs the service accounts' tokens, and the
// administrator's token and kubeconfig.
func (cp *ControlPlane) writeCredentials() error {
	hostPort, err := FreeAddress()
	if err != nil {
		return err
	}
	host, _ := splitHostPort(hostPort)
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.ParseIP(host)}, nil)
	if err != nil {
		return fmt.Errorf("cannot make the API server's certificate: %w", err)
	}
	signer, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return fmt.Errorf("cannot make the service accounts' key: %w", err)
	}

	token := rand.Text()
	cp.hostPort = hostPort
	cp.KubeconfigPath = cp.file(kubeconfig)
	cp.Config = &rest.Config{
		Host:            "https://" + hostPort,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: certificate},
		QPS:             -1,
	}

	for name, data := range map[string][]byte{
		servingCert: certificate,
		servingKey:  key,
		accountKey:  signer,
		tokens:      []byte(token + ",admin,admin,system:masters\n"),
	} {
		if err := os.WriteFile(cp.file(name), data, 0o600); err != nil {
			return fmt.Errorf("cannot write credentials: %w", err)
		}
	}

	return WriteKubeconfig(cp.KubeconfigPath, cp.Config)
}

// WriteKubeconfig writes a kubeconfig that connects as config does, for programs
// that take no *rest.Config. It works for a ControlPlane.User, too.
func WriteKubeconfig(path string, config *rest.Config) error {
	const name = "telltale"
	file := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server:                   config.Host,
			CertificateAuthorityData: config.CAData,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			Token:             config.BearerToken,
			Impersonate:       config.Impersonate.UserName,
			ImpersonateGroups: config.Impersonate.Groups,
		}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
	if err := clientcmd.WriteToFile(file, path); err != nil {
		return fmt.Errorf("cannot write kubeconfig %q: %w", path, err)
	}

	return nil
}
