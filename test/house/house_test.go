package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	root   = "../.."
	module = "github.com/telltale-dev/telltale/"
)

// rule says which packages a package may import: ours, and others by the start
// of their paths. All may import the standard library, but noIO packages not
// its packages for I/O.
type rule struct {
	ours, others []string
	noIO         bool
}

// table says which package may import which. It has every package that is built
// into the product.
func table() map[string]rule {
	controllerRuntime := []string{"sigs.k8s.io/controller-runtime", "k8s.io/api/", "k8s.io/apimachinery/", "k8s.io/client-go/", "github.com/go-logr/logr"}
	api := []string{"k8s.io/api/", "k8s.io/apimachinery/"}
	// The API server's own checks of Pod Security: functions of a pod, no I/O.
	// Its other packages are an admission plugin.
	podSecurity := []string{"k8s.io/pod-security-admission/api", "k8s.io/pod-security-admission/policy"}

	// The libraries that kubectl and its plugins are built with.
	plugin := append([]string{"github.com/spf13/cobra", "github.com/spf13/pflag", "k8s.io/cli-runtime/"}, controllerRuntime...)

	return map[string]rule{
		"internal/oneline": {noIO: true},
		"patches/v1alpha1": {others: api, noIO: true},
		"patches": {
			ours: []string{
				"internal/oneline", "patches/v1alpha1", "patches/internal/raw", "patches/internal/edit", "patches/internal/apiserver", "patches/internal/podsecurity",
			},
			others: slices.Concat(api, []string{"github.com/go-json-experiment/json"}), noIO: true,
		},
		"patches/internal/raw":         {others: slices.Concat(api, []string{"github.com/go-json-experiment/json"}), noIO: true},
		"patches/internal/edit":        {ours: []string{"patches/internal/raw", "patches/internal/apiserver"}, others: slices.Concat(api, []string{"github.com/go-json-experiment/json"}), noIO: true},
		"patches/internal/apiserver":   {others: slices.Concat(api, []string{"k8s.io/kubernetes/", "k8s.io/apiserver/pkg/quota/v1", "k8s.io/apiserver/pkg/util/feature", "k8s.io/component-base/featuregate", "k8s.io/utils/clock", "github.com/go-json-experiment/json"}), noIO: true},
		"patches/internal/podsecurity": {ours: []string{"internal/oneline"}, others: slices.Concat(api, podSecurity), noIO: true},
		"webhook/failure":              {others: []string{"k8s.io/apimachinery/pkg/types"}, noIO: true},
		"webhook": {
			ours: []string{"internal/oneline", "patches", "webhook/failure"},
			others: append([]string{
				"github.com/go-json-experiment/json", "github.com/prometheus/client_golang/", "golang.org/x/sync/semaphore", "golang.org/x/time/rate",
			}, controllerRuntime...),
		},
		"webhook/injections": {
			ours: []string{"internal/oneline", "patches", "patches/v1alpha1", "webhook/objects"}, others: append([]string{"golang.org/x/time/rate", "github.com/prometheus/client_golang/"}, controllerRuntime...),
		},
		"webhook/objects": {ours: []string{"patches"}, others: append([]string{"golang.org/x/time/rate", "k8s.io/utils/clock"}, controllerRuntime...)},
		"webhook/audit":   {ours: []string{"internal/oneline", "patches", "patches/v1alpha1", "webhook/failure"}, others: controllerRuntime},
		"webhook/audit/pods": {
			ours:   []string{"internal/oneline", "patches", "patches/v1alpha1", "webhook/failure", "webhook/audit/note"},
			others: append([]string{"github.com/prometheus/client_golang/", "golang.org/x/time/rate"}, controllerRuntime...),
		},
		"webhook/audit/heal": {
			ours:   []string{"patches", "patches/v1alpha1", "webhook/failure", "webhook/audit/note"},
			others: append([]string{"golang.org/x/time/rate"}, controllerRuntime...),
		},
		"webhook/audit/note": {ours: []string{"webhook/failure"}, others: controllerRuntime},
		"webhook/audit/canary": {
			ours:   []string{"internal/oneline", "patches", "patches/v1alpha1", "webhook/own"},
			others: append([]string{"github.com/prometheus/client_golang/", "golang.org/x/time/rate"}, controllerRuntime...),
		},
		"webhook/leader":    {others: append([]string{"github.com/prometheus/client_golang/"}, controllerRuntime...)},
		"webhook/freshness": {others: append([]string{"github.com/go-json-experiment/json/jsontext", "golang.org/x/time/rate", "github.com/prometheus/client_golang/"}, controllerRuntime...)},
		"webhook/server": {others: append([]string{
			"github.com/prometheus/client_golang/", "golang.org/x/sys/unix", "golang.org/x/time/rate",
		}, controllerRuntime...)},
		"webhook/guard": {others: controllerRuntime},
		"webhook/own":   {others: controllerRuntime},
		"webhook/certificate": {ours: []string{"webhook/own"}, others: append([]string{
			"github.com/cert-manager/cert-manager/pkg/", "github.com/prometheus/client_golang/",
		}, controllerRuntime...)},
		"webhook/report/internal/ledger": {ours: []string{"internal/oneline", "webhook/failure"}, noIO: true},
		"webhook/report/internal/owner": {
			ours: []string{"patches/v1alpha1", "webhook/failure", "webhook/report/internal/ledger"}, others: append([]string{"k8s.io/client-go/"}, api...),
		},
		"webhook/report/internal/event": {
			ours: []string{"internal/oneline", "webhook/failure", "webhook/report/internal/ledger"}, others: append([]string{"k8s.io/client-go/"}, api...),
		},
		"webhook/report/internal/otlp": {
			ours: []string{"internal/oneline", "webhook/failure", "webhook/report/internal/ledger"},
			others: []string{
				"go.opentelemetry.io/", "google.golang.org/grpc", "google.golang.org/genproto/googleapis/rpc/errdetails", "google.golang.org/protobuf/proto",
				"golang.org/x/net/http/httpguts", "golang.org/x/time/rate", "github.com/go-logr/logr",
			},
		},
		"webhook/report": {
			ours: []string{
				"internal/oneline", "webhook/failure", "webhook/report/internal/ledger", "webhook/report/internal/owner", "webhook/report/internal/event",
				"webhook/report/internal/otlp",
			},
			others: append([]string{
				"k8s.io/client-go/", "github.com/prometheus/client_golang/", "github.com/go-logr/logr", "golang.org/x/time/rate",
			}, api...),
		},
		"cmd/kubectl-telltale": {
			ours: []string{
				"cmd/kubectl-telltale/internal/check", "cmd/kubectl-telltale/internal/cli", "cmd/kubectl-telltale/internal/explain", "cmd/kubectl-telltale/internal/failures",
				"cmd/kubectl-telltale/internal/restart", "cmd/kubectl-telltale/internal/trial", "cmd/kubectl-telltale/internal/withdrawn",
			},
			others: append([]string{"k8s.io/klog/v2"}, plugin...),
		},
		"cmd/kubectl-telltale/internal/failures": {
			ours:   []string{"cmd/kubectl-telltale/internal/cli", "cmd/kubectl-telltale/internal/scan", "patches/v1alpha1", "webhook/failure"},
			others: append([]string{"golang.org/x/sync/errgroup"}, plugin...),
		},
		"cmd/kubectl-telltale/internal/check": {
			ours: []string{"cmd/kubectl-telltale/internal/cli", "config", "patches/v1alpha1"}, others: plugin,
		},
		"cmd/kubectl-telltale/internal/restart": {
			ours: []string{
				"cmd/kubectl-telltale/internal/cli", "cmd/kubectl-telltale/internal/scan", "cmd/kubectl-telltale/internal/verdict", "patches", "patches/v1alpha1",
				"webhook/failure",
			},
			others: append([]string{"golang.org/x/sync/errgroup"}, plugin...),
		},
		"cmd/kubectl-telltale/internal/scan": {
			ours: []string{"cmd/kubectl-telltale/internal/cli", "patches/v1alpha1"}, others: plugin,
		},
		"cmd/kubectl-telltale/internal/withdrawn": {
			ours: []string{"cmd/kubectl-telltale/internal/cli", "cmd/kubectl-telltale/internal/scan", "patches/v1alpha1"}, others: plugin,
		},
		"cmd/kubectl-telltale/internal/cli": {
			ours: []string{"patches/v1alpha1"}, others: append([]string{"sigs.k8s.io/yaml", "golang.org/x/term", "github.com/pmezard/go-difflib/difflib"}, plugin...),
		},
		"cmd/kubectl-telltale/internal/verdict": {ours: []string{"patches", "patches/v1alpha1", "webhook", "webhook/failure"}, others: controllerRuntime},
		"cmd/kubectl-telltale/internal/explain": {
			ours: []string{
				"cmd/kubectl-telltale/internal/cli", "cmd/kubectl-telltale/internal/verdict", "patches", "patches/v1alpha1", "webhook/audit/pods", "webhook/failure",
			},
			others: append([]string{"sigs.k8s.io/yaml"}, plugin...),
		},
		"cmd/kubectl-telltale/internal/trial": {
			ours: []string{
				"cmd/kubectl-telltale/internal/cli", "cmd/kubectl-telltale/internal/verdict", "patches/v1alpha1", "webhook/failure",
			},
			others: append([]string{"sigs.k8s.io/yaml"}, plugin...),
		},
		"cmd/telltale": {
			ours: []string{
				"patches/v1alpha1", "webhook", "webhook/audit", "webhook/audit/canary", "webhook/audit/heal", "webhook/audit/pods", "webhook/failure", "webhook/certificate", "webhook/freshness", "webhook/guard", "webhook/injections", "webhook/leader", "webhook/objects",
				"webhook/report", "webhook/server",
			},
			others: append([]string{"k8s.io/klog/v2", "go.uber.org/zap/zapcore"}, controllerRuntime...),
		},
	}
}

// impure lists the packages that a package without I/O must not import.
func impure() []string {
	return []string{"os", "net", "net/http", "io/ioutil", "os/exec", "syscall", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}
}

// TestImports checks the table: the two pipes do not know one another, the
// middle is pure, and no part of the product imports hack or test.
func TestImports(t *testing.T) {
	rules := table()
	seen := map[string]bool{}

	for _, file := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if strings.HasPrefix(dir, "hack/") || strings.HasPrefix(dir, "test/") || dir == "config" || strings.HasSuffix(file, "_test.go") {
			continue
		}

		r, ok := rules[dir]
		if !ok {
			t.Errorf("package %s is not in the table", dir)

			continue
		}

		seen[dir] = true

		for _, imported := range imports(t, file) {
			if why := r.forbids(imported); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	}

	for dir := range rules {
		if !seen[dir] {
			t.Errorf("the table has package %s, and there is none", dir)
		}
	}
}

func (r rule) forbids(imported string) string {
	ours, isOurs := strings.CutPrefix(imported, module)
	host, _, _ := strings.Cut(imported, "/")

	switch {
	case isOurs && !slices.Contains(r.ours, ours):
		return "the table does not let it"
	case !isOurs && strings.Contains(host, ".") && !slices.ContainsFunc(r.others, func(p string) bool { return strings.HasPrefix(imported, p) }):
		return "the table does not let it"
	case r.noIO && slices.Contains(impure(), imported):
		return "the package does no I/O"
	default:
		return ""
	}
}

// TestNoClock checks that packages without I/O do not read the clock: they are
// told the time.
func TestNoClock(t *testing.T) {
	for _, file := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if !table()[dir].noIO || strings.HasSuffix(file, "_test.go") {
			continue
		}

		for _, clock := range []string{"time.Now(", "time.Since(", "time.Until(", "time.Sleep(", "time.After(", "time.NewTimer(", "time.Tick("} {
			if bytes.Contains(read(t, file), []byte(clock)) {
				t.Errorf("%s reads the clock: %s)", file, clock)
			}
		}
	}
}

// TestReleasesAreForTools checks that only the plugin makes a patches.Release. Its
// methods set a global that judges all pods of the process, so the webhook must not.
func TestReleasesAreForTools(t *testing.T) {
	makers := []string{
		"patches/internal/apiserver/release.go", "patches/release.go", "patches/release_test.go", "cmd/kubectl-telltale/internal/explain/release.go",
	}

	var found []string

	for _, file := range goFiles(t) {
		if !strings.HasPrefix(file, "test/house/") && bytes.Contains(read(t, file), []byte("NewRelease(")) {
			found = append(found, filepath.ToSlash(file))
		}
	}

	slices.Sort(makers)

	slices.Sort(found)
	if !slices.Equal(found, makers) {
		t.Errorf("%s make a release, and only %s may", found, makers)
	}
}

// TestPromisesHaveTests finds every test that a comment names. The test is in
// the comment's own folder, or the comment names the folder, as in
// house.TestImports.
func TestPromisesHaveTests(t *testing.T) {
	named := regexp.MustCompile(`\b(\w+\.)?((?:Test|Fuzz|Benchmark)[A-Z]\w+)`)
	there := tests(t)
	promised := map[string][]string{} // names as in tests → the files

	for _, file := range goFiles(t) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}

		dir := filepath.ToSlash(filepath.Dir(file))

		for _, c := range parsed.Comments {
			for _, name := range named.FindAllStringSubmatch(c.Text(), -1) {
				test := dir + "/" + name[2]
				if name[1] != "" {
					test = name[0]
				}

				promised[test] = append(promised[test], file)
			}
		}
	}

	if len(promised) < 5 {
		t.Errorf("found %d promises: is the expression right?", len(promised))
	}

	for test, files := range promised {
		if !there[test] {
			t.Errorf("%s: there is no test %s", strings.Join(files, ", "), test)
		}
	}
}

// tests returns the names of all tests: "test/house/TestImports" and
// "house.TestImports".
func tests(t *testing.T) map[string]bool {
	t.Helper()

	names := map[string]bool{}

	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}

		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}

		dir := filepath.ToSlash(filepath.Dir(file))

		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[dir+"/"+f.Name.Name] = true
				names[filepath.Base(dir)+"."+f.Name.Name] = true
			}
		}
	}

	return names
}

// TestThreatsHaveTests checks that each test that the threat model names exists.
func TestThreatsHaveTests(t *testing.T) {
	there := tests(t)

	named := regexp.MustCompile(`\w+\.Test\w+`).FindAllString(string(read(t, "docs/security.md")), -1)
	if len(named) < 20 {
		t.Errorf("found %d tests: is the expression right?", len(named))
	}

	for _, name := range named {
		if !there[name] {
			t.Errorf("docs/security.md: there is no test %s", name)
		}
	}
}

// TestReasonsAreInTheReadme checks that the README has a row for each reason,
// with its cause and cure.
func TestReasonsAreInTheReadme(t *testing.T) {
	readme := string(read(t, "README.md"))
	for _, r := range failure.Reasons() {
		if !strings.Contains(readme, "| `"+string(r)+"` |") {
			t.Errorf("README.md has no row for %s", r)
		}
	}
}

// goFiles returns the Go files of the main module, from its root.
func goFiles(t *testing.T) []string {
	t.Helper()

	var files []string

	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}

		if d.IsDir() && relative != "." && (strings.HasPrefix(d.Name(), ".") || otherModule(path)) {
			return filepath.SkipDir
		}

		if filepath.Ext(path) == ".go" {
			files = append(files, relative)
		}

		return nil
	})
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d Go files: %v", len(files), err)
	}

	return files
}

func otherModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))

	return err == nil
}

func imports(t *testing.T, file string) []string {
	t.Helper()

	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}

	var paths []string

	for _, i := range parsed.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}

		paths = append(paths, path)
	}

	return paths
}

func read(t *testing.T, file string) []byte {
	t.Helper()

	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}

	return b
}
