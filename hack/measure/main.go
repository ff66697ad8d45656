// Command measure prints figures of the code: how long functions and files are,
// how much test there is, how deep packages import one another, over how many files
// the methods of a type are spread, and how plain the English of comments is.
//
//	go run ./hack/measure        # from the root of the tree
//
// Code is all that is built into the product: no tests, no hack and test, and
// no generated files. Lines include blank ones and comments. The lines of a
// function are those of its body.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/telltale-dev/telltale"

// figures are the sums so far.
type figures struct {
	functions, files []int // lines of each, of code
	code, tests      int   // all lines
	imports          map[string][]string
	types            map[string]map[string]bool // the files with methods of each type
	words, unclear   int                        // in comments of all Go files
}

func main() {
	f := figures{imports: map[string][]string{}, types: map[string]map[string]bool{}}
	if err := filepath.WalkDir(".", f.visit); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}

	if len(f.files) == 0 {
		fmt.Fprintln(os.Stderr, "measure: no Go files here: run it from the root of the tree")
		os.Exit(1)
	}

	chain := f.chain()
	fmt.Printf("functions     %d, lines: median %d, 90th percentile %d, most %d\n",
		len(f.functions), at(f.functions, 50), at(f.functions, 90), at(f.functions, 100))
	fmt.Printf("files         %d, lines: median %d, 90th percentile %d, most %d\n",
		len(f.files), at(f.files, 50), at(f.files, 90), at(f.files, 100))
	fmt.Printf("test : code   %.2f (%d : %d lines)\n", float64(f.tests)/float64(f.code), f.tests, f.code)
	fmt.Printf("import chain  %d: %s\n", len(chain), strings.Join(chain, " > "))
	fmt.Printf("types         %s\n", f.spread())
	fmt.Printf("comments      %d words, %.1f unclear ones in 1,000\n", f.words, 1000*float64(f.unclear)/float64(f.words))
}

func (f *figures) visit(path string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || isModule(path)):
		return filepath.SkipDir
	case filepath.Ext(path) != ".go" || strings.HasPrefix(d.Name(), "zz_generated"):
		return nil
	}

	set := token.NewFileSet()

	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		return err
	}

	f.addComments(file)

	lines := set.File(file.FileStart).LineCount()
	dir := filepath.ToSlash(filepath.Dir(path))

	switch {
	case strings.HasSuffix(path, "_test.go"), strings.HasPrefix(dir, "test"):
		f.tests += lines
	case strings.HasPrefix(dir, "hack"):
	default:
		f.code += lines
		f.files = append(f.files, lines)
		f.addCode(set, file, dir)
		f.addTypes(file, dir, path)
	}

	return nil
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))

	return err == nil
}

func (f *figures) addCode(set *token.FileSet, file *ast.File, dir string) {
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			f.functions = append(f.functions, max(1, set.Position(fn.Body.Rbrace).Line-set.Position(fn.Body.Lbrace).Line-1))
		}
	}

	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if ours, ok := strings.CutPrefix(path, module+"/"); ok && err == nil && !slices.Contains(f.imports[dir], ours) {
			f.imports[dir] = append(f.imports[dir], ours)
		}
	}
}

func (f *figures) addTypes(file *ast.File, dir, path string) {
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv == nil {
			continue
		}

		on := fn.Recv.List[0].Type
		if pointer, ok := on.(*ast.StarExpr); ok {
			on = pointer.X
		}

		if name, ok := on.(*ast.Ident); ok {
			key := dir + "." + name.Name
			if f.types[key] == nil {
				f.types[key] = map[string]bool{}
			}

			f.types[key][path] = true
		}
	}
}

// spread tells how many types have methods in more than three files, and which has
// them in the most.
func (f *figures) spread() string {
	wide, most := 0, ""

	for _, name := range slices.Sorted(maps.Keys(f.types)) {
		if len(f.types[name]) > 3 {
			wide++
		}

		if most == "" || len(f.types[name]) > len(f.types[most]) {
			most = name
		}
	}

	return fmt.Sprintf("%d, %d of them with methods in more than 3 files, most: %d of %s", len(f.types), wide, len(f.types[most]), most)
}

// unclear matches words that many readers do not understand, because they did
// not grow up with English. house.TestPlainEnglish has the same list.
var unclear = regexp.MustCompile(`(?i)\b(who|whoever|whose|nobody|of which|of whom|what is|that which|lest)\b`)

func (f *figures) addComments(file *ast.File) {
	for _, group := range file.Comments {
		f.words += len(strings.Fields(group.Text()))
		f.unclear += len(unclear.FindAllString(strings.Join(strings.Fields(group.Text()), " "), -1))
	}
}

// chain returns the longest chain of packages: each imports the next.
func (f *figures) chain() (longest []string) {
	known := map[string][]string{}

	var from func(dir string) []string

	from = func(dir string) []string {
		if chain, ok := known[dir]; ok {
			return chain
		}

		var below []string
		for _, next := range f.imports[dir] {
			if chain := from(next); len(chain) > len(below) {
				below = chain
			}
		}

		known[dir] = append([]string{dir}, below...)

		return known[dir]
	}

	for dir := range f.imports {
		if chain := from(dir); len(chain) > len(longest) || len(chain) == len(longest) && chain[0] < longest[0] {
			longest = chain
		}
	}

	return longest
}

// at returns a percentile of values.
func at(values []int, percent int) int {
	slices.Sort(values)

	return values[(len(values)-1)*percent/100]
}
