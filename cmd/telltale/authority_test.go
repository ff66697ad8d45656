//go:build apiserver

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestForeignCA puts a good CA of another name into Telltale's Secret. It is
// replaced, pods are injected as before, and Telltale's own Deployment says so.
func TestForeignCA(t *testing.T) {
	c, port := startInstalled(t)
	c.kubectl(t, "apply", "-k", "../../config/manager")
	c.matches(t, "pod/telltale-", "get", "pods", "-n", "telltale-system", "-o", "name")
	t.Setenv("POD_NAME", c.kubectl(t, "get", "pods", "-n", "telltale-system", "-o", "jsonpath={.items[0].metadata.name}"))

	harness.WaitReady(t, c.launch(t, port))
	c.apply(t, envInjection("mesh", "checkout", "REGION", "eu"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")

	dir := t.TempDir()
	foreign := writeCertificate(t, dir)

	key, err := os.ReadFile(filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}

	c.kubectl(t, "patch", "secret", "telltale-ca", "-n", "telltale-system", "--type=merge", "--patch",
		`{"data": {"ca.crt": "`+foreign+`", "tls.crt": "`+foreign+`", "tls.key": "`+base64.StdEncoding.EncodeToString(key)+`"}}`)

	c.matches(t, `Warning +CertificateAuthorityReplaced .* telltale +Secret "telltale-ca" held a CA of the name "test", not "telltale-ca"`,
		"describe", "deployment", "telltale", "-n", "telltale-system")
	harness.Eventually(t, "another CA", func(ctx context.Context) error {
		now, err := c.Kubectl(ctx, "get", "secret", "telltale-ca", "-n", "telltale-system", "-o", `jsonpath={.data.ca\.crt}`)
		if err == nil && (now == "" || now == foreign) {
			err = errors.New("not yet")
		}

		return err
	})
	c.injectedAgain(t, "checkout", "REGION")
}
