package house

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPatchesReadTopDown: in package patches, no file uses another that uses it, also
// by way of others. So it can be read from compile.go and patches.go down.
func TestPatchesReadTopDown(t *testing.T) {
	uses := usesOf(t, "../../patches")

	for _, file := range slices.Sorted(maps.Keys(uses)) {
		if way := wayTo(uses, file, file, map[string]bool{}); way != nil {
			t.Errorf("%s uses itself by way of %s", file, strings.Join(way, ", "))
		}
	}

	if len(uses["patches.go"]) == 0 {
		t.Error("no use was found: this test sees nothing")
	}
}

// TestPatchesMethods: no type there has its methods in more than three files.
func TestPatchesMethods(t *testing.T) {
	on, spread := regexp.MustCompile(`(?m)^func \((?:\w+ )?\*?(\w+)`), map[string]map[string]bool{}

	for _, file := range goFiles(t) {
		if !strings.HasPrefix(file, "patches/") || strings.HasSuffix(file, "_test.go") {
			continue
		}

		for _, found := range on.FindAllSubmatch(read(t, file), -1) {
			name := filepath.Dir(file) + "." + string(found[1])
			if spread[name] == nil {
				spread[name] = map[string]bool{}
			}

			spread[name][file] = true
		}
	}

	for name, files := range spread {
		if len(files) > 3 {
			t.Errorf("%s has methods in %v", name, slices.Sorted(maps.Keys(files)))
		}
	}

	if len(spread) < 20 {
		t.Errorf("only %d types were found", len(spread))
	}
}

// wayTo returns the files by which one uses another, or nil.
func wayTo(uses map[string]map[string]bool, from, to string, seen map[string]bool) []string {
	for _, next := range slices.Sorted(maps.Keys(uses[from])) {
		if next == to {
			return []string{from}
		}

		if !seen[next] {
			seen[next] = true

			if way := wayTo(uses, next, to, seen); way != nil {
				return append([]string{from}, way...)
			}
		}
	}

	return nil
}

// usesOf returns for each file of a package the other files whose declarations it uses.
// Declarations of other packages do not count.
func usesOf(t *testing.T, folder string) map[string]map[string]bool {
	t.Helper()

	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}

	var files []*ast.File

	set := token.NewFileSet()

	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}

		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}

		files = append(files, f)
	}

	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: nothing{}, Error: func(error) {}}
	pkg, _ := config.Check(folder, set, files, &info) // errors: of what is imported

	uses := map[string]map[string]bool{}

	for id, o := range info.Uses {
		_, isMethod := o.(*types.Func)
		if o.Pkg() != pkg || o.Parent() != pkg.Scope() && !isMethod {
			continue // a field, or a local variable
		}

		from, to := filepath.Base(set.Position(id.Pos()).Filename), filepath.Base(set.Position(o.Pos()).Filename)
		if from == to {
			continue
		}

		if uses[from] == nil {
			uses[from] = map[string]bool{}
		}

		uses[from][to] = true
	}

	return uses
}

// nothing imports no package.
type nothing struct{}

// Import is an error.
func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not looked at") }
