package certificate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNewFilesErrors(t *testing.T) {
	dir := t.TempDir()

	_, err := NewFiles(dir)
	if err == nil || !strings.Contains(err.Error(), `--cert-dir "`+dir+`" (it must hold tls.crt and tls.key)`) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestClientCAs(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	ca, cert, _ := newCA(t, time.Now(), "callers", 1)

	for file, content := range map[string][]byte{good: ca, bad: []byte("no PEM")} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	pool, err := ClientCAs(good)
	if err != nil {
		t.Fatal(err)
	}

	want, _ := ClientCAs(good)
	if !pool.Equal(want) || cert.Subject.CommonName != "callers" {
		t.Error("not the CA of the file")
	}

	for _, file := range []string{bad, filepath.Join(dir, "missing")} {
		if _, err := ClientCAs(file); err == nil || !strings.Contains(err.Error(), "--client-ca-file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
