package frompython

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

const (
	root = "../.."
	page = "docs/from-python.md"
)

func text(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	require.NoError(t, err)
	return string(b)
}

// block is Go code of the page, and where it begins there.
type block struct {
	text string
	line int
}

var fenced = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

func blocks(t *testing.T) (out []block) {
	t.Helper()
	s := text(t)
	for _, m := range fenced.FindAllStringSubmatchIndex(s, -1) {
		out = append(out, block{s[m[2]:m[3]], 1 + strings.Count(s[:m[2]], "\n")})
	}
	require.NotEmpty(t, out)
	return out
}

// imported is what the code may use, by its path.
var imported = []string{
	"context", "errors", "fmt", "iter", "log/slog", "maps", "os", "os/exec", "os/signal", "slices", "time",
	"github.com/daffi-rpc/daffi/runtime", "github.com/daffi-rpc/daffi/runtime/codec", "github.com/daffi-rpc/daffi/runtime/controller",
}

// around is what stands before and after the statements of a block.
const around = `package frompython

import (
	"%s"
)

func _(ctx context.Context, node *daffi.Node, ctl *controller.Controller, calc *CalcClientProxy, log *slog.Logger) (err error) {{
//line %s:%d
%s}
return nil
}
`

// statements is a file with the statements of b in it.
func (b block) statements(page string) string {
	return fmt.Sprintf(around, strings.Join(imported, "\"\n\""), page, b.line, b.text)
}

// TestCodeCompiles checks the types of every block of Go. Declarations must be those of calc.go, word for word; statements are compiled in this package, with
// a context, a node, a controller and a proxy at hand. What they declare need not be used.
func TestCodeCompiles(t *testing.T) {
	declared, err := os.ReadFile("calc.go")
	require.NoError(t, err)
	var files []string
	for _, b := range blocks(t) {
		formatted, err := format.Source([]byte(b.text))
		require.NoErrorf(t, err, "%s:%d", page, b.line)
		require.Equalf(t, string(formatted), b.text, "%s:%d: gofmt writes it otherwise", page, b.line)
		if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+b.text, 0); err != nil {
			files = append(files, b.statements(page))
			continue
		}
		for _, part := range strings.Split(strings.TrimSpace(b.text), "\n\n") {
			require.Containsf(t, string(declared), part, "%s:%d: calc.go must have the same", page, b.line)
		}
	}
	for _, wrong := range check(t, files...) {
		t.Error(wrong)
	}
}

// check returns what is wrong with this package and further files of it.
func check(t *testing.T, files ...string) (wrong []string) {
	t.Helper()
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range []string{"calc.go", "daffi_gen.go"} {
		f, err := parser.ParseFile(fset, name, nil, 0)
		require.NoError(t, err)
		parsed = append(parsed, f)
	}
	for i, src := range files {
		f, err := parser.ParseFile(fset, fmt.Sprintf("block%d.go", i), src, 0)
		require.NoError(t, err)
		parsed = append(parsed, f)
	}
	config := types.Config{Importer: load(t, imported...), Error: func(err error) {
		if e, ok := err.(types.Error); !ok || !e.Soft { // soft is an unused variable or import
			wrong = append(wrong, err.Error())
		}
	}}
	config.Check("frompython", fset, parsed, nil)
	return wrong
}

// known are packages by their path.
type known map[string]*types.Package

func (k known) Import(path string) (*types.Package, error) {
	if p, ok := k[path]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("%s is not one of those that the code may import", path)
}

func load(t *testing.T, paths ...string) known {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedExportFile}, paths...)
	require.NoError(t, err)
	out := known{}
	for _, p := range loaded {
		require.Empty(t, p.Errors)
		out[p.PkgPath] = p.Types
	}
	return out
}

// TestWrongCodeIsNoticed has blocks that do not compile.
func TestWrongCodeIsNoticed(t *testing.T) {
	for code, want := range map[string]string{
		"unused := 1\n":                "",
		"n, err := calc.Add(ctx, 1)\n": "page.md:7:",
		"daffi.NoSuchThing()\n":        "NoSuchThing",
	} {
		wrong := check(t, block{code, 7}.statements("page.md"))
		require.Equalf(t, want != "", len(wrong) > 0, "%s: %q", code, wrong)
		require.Contains(t, strings.Join(wrong, "\n"), want)
	}
}

// TestNamesInTheText looks up what the page calls daffi.X and controller.X, in the text and in tables, too.
func TestNamesInTheText(t *testing.T) {
	scopes := map[string]*types.Scope{}
	for _, p := range load(t, "github.com/daffi-rpc/daffi/runtime", "github.com/daffi-rpc/daffi/runtime/controller") {
		scopes[p.Name()] = p.Scope()
	}
	for _, m := range regexp.MustCompile(`\b(daffi|controller)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`).FindAllStringSubmatch(text(t), -1) {
		obj := scopes[m[1]].Lookup(m[2])
		if obj == nil {
			t.Errorf("%s.%s does not exist", m[1], m[2])
		} else if m[3] != "" {
			if found, _, _ := types.LookupFieldOrMethod(types.NewPointer(obj.Type()), true, obj.Pkg(), m[3]); found == nil {
				t.Errorf("%s.%s has no %s", m[1], m[2], m[3])
			}
		}
	}
}
