// Command dist builds the plugin for a release: an archive for each platform, their
// checksums, and the manifest for krew.
//
//	go run ./hack/dist -version v1.2.3 -out dist
//
// The same source and version give the same bytes, wherever and whenever: no path of the
// machine, no time and no user is in them (TestPack).
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"text/template"
)

const (
	name = "kubectl-telltale"
	// releases is where archives are downloaded from.
	releases = "https://github.com/telltale-dev/telltale/releases/download"
	// maxBinary is the most that a binary may have, in bytes.
	maxBinary = 60_000_000
)

//go:embed krew.yaml
var krew string

// build is one platform's.
type build struct {
	OS, Arch, Binary, Archive, Sum string
}

func main() {
	version := flag.String("version", "dev", "the version that the plugin prints, and the release is named after")
	out := flag.String("out", "dist", "the folder of the archives")
	targets := flag.String("targets", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64", "the platforms")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	if err := run(ctx, *version, *out, strings.Split(*targets, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, version, out string, targets []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}

	var (
		builds []build
		sums   strings.Builder
	)

	for _, target := range targets {
		b, err := pluginFor(ctx, version, out, target)
		if err != nil {
			return fmt.Errorf("cannot build for %s: %w", target, err)
		}

		builds = append(builds, b)
		fmt.Fprintf(&sums, "%s  %s\n", b.Sum, b.Archive)
	}

	manifest, err := manifestOf(version, builds)
	if err != nil {
		return err
	}

	if err := os.WriteFile(filepath.Join(out, "telltale.yaml"), manifest, 0o644); err != nil {
		return err
	}

	return os.WriteFile(filepath.Join(out, "checksums.txt"), []byte(sums.String()), 0o644)
}

// pluginFor builds and packs the plugin for a platform.
func pluginFor(ctx context.Context, version, out, target string) (b build, err error) {
	system, arch, _ := strings.Cut(target, "/")
	b = build{OS: system, Arch: arch, Binary: name, Archive: fmt.Sprintf("%s_%s_%s.tar.gz", name, system, arch)}

	if system == "windows" {
		b.Binary += ".exe"
	}

	dir, err := os.MkdirTemp("", "telltale-dist-")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of a temporary folder

	file := filepath.Join(dir, b.Binary)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version="+version, "-o", file, "./cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)

	if text, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("%w: %s", err, text)
	}

	info, err := os.Stat(file)
	if err != nil {
		return b, err
	}

	if info.Size() > maxBinary {
		return b, fmt.Errorf("the binary has %d bytes, and may have %d", info.Size(), maxBinary)
	}

	var packed bytes.Buffer
	if err := pack(&packed, file, "LICENSE"); err != nil {
		return b, err
	}

	sum := sha256.Sum256(packed.Bytes())
	b.Sum = hex.EncodeToString(sum[:])
	fmt.Printf("%s  %s (binary: %d MB)\n", b.Sum, b.Archive, info.Size()/1_000_000)

	return b, os.WriteFile(filepath.Join(out, b.Archive), packed.Bytes(), 0o644)
}

// manifestOf is the manifest for krew.
func manifestOf(version string, builds []build) ([]byte, error) {
	t, err := template.New("krew.yaml").Parse(krew)
	if err != nil {
		return nil, err
	}

	var text bytes.Buffer

	err = t.Execute(&text, map[string]any{"Version": version, "URL": releases, "Builds": builds})

	return text.Bytes(), err
}
