package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Files serves the certificate tls.crt with the key tls.key of a folder. A
// mounted Secret of type kubernetes.io/tls has files of these names.
type Files struct{ watcher *certwatcher.CertWatcher }

// NewFiles reads the certificate for the first time.
func NewFiles(dir string) (*Files, error) {
	watcher, err := certwatcher.New(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read a certificate from --cert-dir %q (it must hold %s and %s): %w",
			dir, certFile, keyFile, err)
	}

	return &Files{watcher}, nil
}

// The names of the files.
const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
)

// SetupWithManager makes a manager read the files again when they change.
func (f *Files) SetupWithManager(m manager.Manager) error {
	return m.Add(manager.RunnableFunc(func(ctx context.Context) error { return f.watcher.Start(ctx) }))
}

// GetCertificate is for tls.Config.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Check is a readiness check. It is always nil: NewFiles has read a
// certificate.
func (f *Files) Check(*http.Request) error { return nil }
