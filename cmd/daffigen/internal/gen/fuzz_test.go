package gen

import (
	"context"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// FuzzGenerate generates for arbitrary source. Either there are diagnostics, or the output compiles beside the source and holds
// nothing but what daffigen means to write: no directives, no init, no imports of its own choosing.
func FuzzGenerate(f *testing.F) {
	for _, pattern := range []string{"golden", "errors"} {
		names, err := filepath.Glob(filepath.Join(root, "testdata", pattern, "*", "*.go"))
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if base := filepath.Base(name); base != FileName && !strings.HasSuffix(base, "_test.go") {
				f.Add(string(text))
			}
		}
	}
	f.Add("package p\n\nfunc () f() {}\n")
	std := standard(f)
	f.Fuzz(func(t *testing.T, text string) {
		before := std.compile(text)
		files, diagnostics := std.generate(t, text)
		if len(files) == 0 {
			return
		}
		if len(diagnostics) > 0 {
			t.Error("files and diagnostics")
		}
		output := string(files[0].Content)
		inspect(t, output)
		if before != nil {
			return
		}
		if err := std.compile(text, output); err != nil {
			t.Errorf("%v\n%s\n%s", err, text, output)
		}
	})
}

// inspect reports what daffigen never writes.
func inspect(t *testing.T, output string) {
	file, err := parser.ParseFile(token.NewFileSet(), FileName, output, parser.ParseComments)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if _, err := constraint.Parse(c.Text); err == nil && c.Pos() < file.Package {
				continue
			}
			if !strings.HasPrefix(c.Text, "// ") && !strings.HasPrefix(c.Text, "//\t") && c.Text != "//" {
				t.Errorf("comment %q", c.Text)
			}
		}
	}
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && (fn.Name.Name == "init" || fn.Body == nil) {
			t.Errorf("func %s", fn.Name)
		}
	}
}

// library is what fuzzed sources may import, listed and compiled once.
type library struct {
	dir      string
	imports  map[string]*packages.Package
	compiled map[string]*types.Package
}

func standard(f testing.TB) *library {
	lib := &library{dir: f.TempDir(), imports: make(map[string]*packages.Package), compiled: make(map[string]*types.Package)}
	paths := []string{"context", "errors", "fmt", "io", "io/fs", "iter", "math/big", "net/netip", "net/url", "strings", "sync", "time", pathDaffi, pathCodec, pathJSON}
	listed, err := packages.Load(&packages.Config{Mode: listing, Dir: root}, paths...)
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range listed {
		lib.imports[p.PkgPath] = p
	}
	compiled, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports | packages.NeedTypes, Dir: root}, paths...)
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range compiled {
		lib.compiled[p.PkgPath] = p.Types
	}
	return lib
}

// generate is [Generate] for a package of one file, without the go command.
func (lib *library) generate(t *testing.T, text string) ([]File, []Diagnostic) {
	name := filepath.Join(lib.dir, "p.go")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLoader(Config{Dir: lib.dir, Env: append(os.Environ(), "GOPROXY=off")})
	src := l.source(&packages.Package{ID: "p", PkgPath: "p", Name: "p", GoFiles: []string{name}, Imports: lib.imports})
	src.target = true
	files, diagnostics, err := l.generate(context.Background(), []*source{src})
	if err != nil && !strings.Contains(err.Error(), "list packages") {
		t.Fatalf("%v\n%s", err, text)
	}
	return files, diagnostics
}

// Import makes a library a types.Importer.
func (lib *library) Import(path string) (*types.Package, error) {
	if p := lib.compiled[path]; p != nil {
		return p, nil
	}
	return nil, errNoPackage
}

// compile type-checks texts as one package.
func (lib *library) compile(texts ...string) error {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, text := range texts {
		file, err := parser.ParseFile(fset, "", text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	_, err := (&types.Config{Importer: lib}).Check("p", fset, files, nil)
	return err
}
