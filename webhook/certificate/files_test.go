package certificate

import (
	"strings"
	"testing"
)

func TestNewFilesErrors(t *testing.T) {
	dir := t.TempDir()

	_, err := NewFiles(dir)
	if err == nil || !strings.Contains(err.Error(), `--cert-dir "`+dir+`" (it must hold tls.crt and tls.key)`) {
		t.Errorf("an empty folder: %v", err)
	}
}
