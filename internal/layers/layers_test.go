package layers

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/daffi-rpc/daffi"

// pkg is what go list says of a package.
type pkg struct {
	Dir, ImportPath  string
	Standard         bool
	Imports, GoFiles []string
	Module           *struct{ Path string }
}

// list runs go list as for linux, so that it says the same everywhere.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	return listFor(t, "linux", args...)
}

func listFor(t *testing.T, system string, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=Dir,ImportPath,Standard,Imports,GoFiles,Module"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoErrorf(t, err, "%v: %v", cmd, &stderr)
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

// short is an import path without our module's; foreign ones stay whole.
func short(path string) string { return strings.TrimPrefix(path, module+"/") }

// ours reports whether a short path is of our module.
func ours(path string) bool { return !strings.Contains(strings.Split(path, "/")[0], ".") }

func TestImports(t *testing.T) {
	text, err := os.ReadFile("imports.txt")
	require.NoError(t, err)
	want := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, imports, ok := strings.Cut(line, ":")
		require.Truef(t, ok, "imports.txt: %q is not of the form package: imports", line)
		for path := range strings.FieldsSeq(imports) {
			if _, above := want[path]; ours(path) && !above {
				t.Errorf("imports.txt: %s imports %s, which does not stand above it", name, path)
			}
		}
		want[name] = strings.TrimSpace(imports)
	}

	for _, p := range list(t, "./...") {
		var imports []string
		for _, path := range p.Imports {
			if strings.HasPrefix(path, module+"/") || strings.Contains(strings.Split(path, "/")[0], ".") {
				imports = append(imports, short(path))
			}
		}
		slices.Sort(imports)
		name, got := short(p.ImportPath), strings.Join(imports, " ")
		listed, ok := want[name]
		if !ok || listed != got {
			t.Errorf("imports.txt and the package differ; if the imports are meant, the line is\n%s: %s", name, got)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("imports.txt lists %s, which does not exist", name)
	}
}

// Generated code imports the runtime and the codec of ours, so that users' modules need nothing else of it.
func TestGeneratedImports(t *testing.T) {
	found := 0
	for _, p := range list(t, "./...") {
		if !slices.Contains(p.GoFiles, "daffi_gen.go") {
			continue
		}
		found++
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, "daffi_gen.go"), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if ours(path) || path == module+"/runtime" || strings.HasPrefix(path, module+"/runtime/codec") {
				continue // ours here: the standard library
			}
			t.Errorf("the generated code of %s imports %s", short(p.ImportPath), path)
		}
	}
	require.Greater(t, found, 1)
}

// What a program that uses daffi links: no more modules than these, nothing that drags half of the standard library in, and no codec
// that works by reflection. (encoding/json is there because log/slog and msgp import it; nothing of ours may.)
func TestD14RuntimeDependencies(t *testing.T) {
	modules := []string{module, "github.com/klauspost/compress", "github.com/tinylib/msgp", "github.com/philhofer/fwd"}
	banned := []string{"os/signal", "net/http", "net/rpc", "text/template", "html/template", "encoding/gob", "encoding/xml", "expvar", "testing", "go/ast", "database/sql"}
	node := map[string]bool{}
	for _, p := range list(t, "-deps", "./runtime") {
		node[p.ImportPath] = true
	}
	for _, p := range list(t, "-deps", "./runtime", "./runtime/controller") {
		reads := !node[p.ImportPath] && p.ImportPath == "github.com/robfig/cron/v3" // expressions, where they are judged
		if !p.Standard && !reads && (p.Module == nil || !slices.Contains(modules, p.Module.Path)) {
			t.Errorf("the runtime depends on %s, of another module", p.ImportPath)
		}
		if slices.Contains(banned, p.ImportPath) {
			t.Errorf("the runtime depends on %s", p.ImportPath)
		}
		if strings.HasPrefix(p.ImportPath, module) {
			for _, path := range []string{"encoding/json", "reflect"} {
				if slices.Contains(p.Imports, path) {
					t.Errorf("%s imports %s", short(p.ImportPath), path)
				}
			}
		}
	}
}

// Every package that users import or run is there on every system, without cgo, and is of the same parts; make lint compiles them.
func TestD77Systems(t *testing.T) {
	for _, system := range []string{"darwin", "windows"} {
		there := map[string]pkg{}
		for _, p := range listFor(t, system, "./runtime/...", "./cmd/...", "./examples/...") {
			there[p.ImportPath] = p
		}
		for _, p := range list(t, "./runtime/...", "./cmd/...", "./examples/...") {
			q := there[p.ImportPath]
			if len(p.GoFiles) > 0 && len(q.GoFiles) == 0 {
				t.Errorf("%s has no file for %s", short(p.ImportPath), system)
			}
		}
	}
}

// maxSize is the goal for a stripped program that joins a controller and does nothing.
const maxSize = 6_500_000

func TestSize(t *testing.T) {
	out := filepath.Join(t.TempDir(), "hello")
	b, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, "./hello").CombinedOutput() // flags that share the build cache
	require.NoErrorf(t, err, "%s", b)
	info, err := os.Stat(out)
	require.NoError(t, err)
	t.Logf("hello world with a node: %.2f MB stripped", float64(info.Size())/1e6)
	require.LessOrEqual(t, info.Size(), int64(maxSize))
}
