package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestPack packs the same content twice, with other times and rights: the bytes are the
// same, and what comes out is what went in.
func TestPack(t *testing.T) {
	var packed [2]bytes.Buffer

	for i := range packed {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte("program"), os.FileMode(0o600+i*0o44)); err != nil {
			t.Fatal(err)
		}

		at := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}

		if err := pack(&packed[i], file, "../../LICENSE"); err != nil {
			t.Fatal(err)
		}
	}

	if !bytes.Equal(packed[0].Bytes(), packed[1].Bytes()) {
		t.Error("two archives of the same content differ")
	}

	zipped, err := gzip.NewReader(&packed[0])
	if err != nil {
		t.Fatal(err)
	}

	archive := tar.NewReader(zipped)

	first, err := archive.Next()
	if err != nil || first.Name != name || first.Mode != 0o755 {
		t.Fatalf("the first file is %+v (%v)", first, err)
	}

	if content, err := io.ReadAll(archive); err != nil || string(content) != "program" {
		t.Errorf("it holds %q (%v)", content, err)
	}

	if second, err := archive.Next(); err != nil || second.Name != "LICENSE" || second.Mode != 0o644 {
		t.Errorf("the second file is %+v (%v)", second, err)
	}
}

// TestManifest reads the manifest for krew as krew does.
func TestManifest(t *testing.T) {
	text, err := manifestOf("v1.2.3", []build{
		{OS: "linux", Arch: "amd64", Binary: name, Archive: "a.tar.gz", Sum: "00ff"}, {OS: "windows", Arch: "arm64", Binary: name + ".exe", Archive: "b.tar.gz", Sum: "11ee"},
	})
	if err != nil {
		t.Fatal(err)
	}

	var m struct {
		Spec struct {
			Version   string
			Platforms []struct {
				Selector         struct{ MatchLabels map[string]string }
				URI, Sha256, Bin string
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &map[string]any{}); err != nil {
		t.Fatal(err)
	}

	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}

	p := m.Spec.Platforms
	if m.Spec.Version != "v1.2.3" || len(p) != 2 || p[1].Selector.MatchLabels["arch"] != "arm64" || p[1].Bin != name+".exe" ||
		p[0].URI != releases+"/v1.2.3/a.tar.gz" || p[0].Sha256 != "00ff" {
		t.Errorf("%+v in\n%s", m, text)
	}
}
