package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"time"
)

// pack writes files into a tar.gz, the first as a program. Only their names and contents
// are in it.
func pack(w io.Writer, files ...string) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)

	for i, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}

		header := &tar.Header{Name: filepath.Base(file), Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if i == 0 {
			header.Mode = 0o755
		}

		if err := archive.WriteHeader(header); err != nil {
			return err
		}

		if _, err := archive.Write(content); err != nil {
			return err
		}
	}

	if err := archive.Close(); err != nil {
		return err
	}

	return zipped.Close()
}
