package gen

import (
	"fmt"
	"go/types"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// generations is where generations of code are kept: what the runtime had when each came to be, and a package with its generated code as it
// was.
var generations = filepath.Join(root, "testdata/generations")

// TestGenerationIsComplete compares what the golden files use of the runtime with what the first runtime of their generation had. Code
// that uses more would not compile against that one, though its constant says so: raise [Generation], add its constant to the runtime,
// and run with -update, which writes new lists and never changes one.
func TestGenerationIsComplete(t *testing.T) {
	used := usedSymbols(t)
	name := filepath.Join(generations, fmt.Sprintf("g%d.txt", Generation))
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) && *update {
		list := strings.Join(slices.Sorted(maps.Keys(runtimeSymbols(t))), "\n") + "\n"
		if err := os.WriteFile(name, []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields(string(text))
	for _, symbol := range slices.Sorted(maps.Keys(used)) {
		if !slices.Contains(known, symbol) {
			t.Errorf("generated code uses %s, which not every runtime has that takes generation %d: raise Generation", symbol, Generation)
		}
	}
}

// usedSymbols are the names in packages of the runtime that golden files use: functions, types, methods and fields.
func usedSymbols(t *testing.T) map[string]bool {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
		Dir:  root,
	}, "./testdata/golden/...", "./examples/...")
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for _, p := range loaded {
		for _, err := range p.Errors {
			t.Error(err)
		}
		for id, obj := range p.TypesInfo.Uses {
			if filepath.Base(p.Fset.Position(id.Pos()).Filename) != FileName || obj.Pkg() == nil || !strings.HasPrefix(obj.Pkg().Path(), pathDaffi) || !obj.Exported() {
				continue
			}
			used[symbol(obj)] = true
		}
	}
	if len(used) < 20 {
		t.Fatalf("only %d symbols", len(used))
	}
	return used
}

// runtimeSymbols are all that generated code could use.
func runtimeSymbols(t *testing.T) map[string]bool {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports | packages.NeedTypes, Dir: root}, "./runtime", "./runtime/codec/...")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	add := func(obj types.Object) {
		if obj.Exported() {
			all[symbol(obj)] = true
		}
	}
	for _, p := range loaded {
		for _, name := range p.Types.Scope().Names() {
			obj := p.Types.Scope().Lookup(name)
			add(obj)
			named, ok := obj.Type().(*types.Named)
			if _, isType := obj.(*types.TypeName); !ok || !isType {
				continue
			}
			for fn := range named.Methods() {
				add(fn)
			}
			if s, ok := named.Underlying().(*types.Struct); ok {
				for f := range s.Fields() {
					add(f)
				}
			}
		}
	}
	return all
}

// symbol is codec.WriteSlice, codec.Encoder.String, or daffi..Sig for a field, of which the type is not told.
func symbol(obj types.Object) string {
	owner := ""
	switch obj := obj.(type) {
	case *types.Func:
		if recv := obj.Signature().Recv(); recv != nil {
			owner = receiverType(recv.Type()) + "."
		}
	case *types.Var:
		if obj.IsField() {
			owner = "."
		}
	}
	return obj.Pkg().Name() + "." + owner + obj.Name()
}

func receiverType(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	return typeObject(t).Name()
}

// TestGenerationsAreServed has one list and one package for each constant of the runtime.
func TestGenerationsAreServed(t *testing.T) {
	constants := regexp.MustCompile(`\bGeneration(\d+)_\w+`).FindAllStringSubmatch(read(t, filepath.Join(root, "runtime/generated.go")), -1)
	if len(constants) == 0 {
		t.Fatal("the runtime takes no generation")
	}
	latest := 0
	for _, c := range constants {
		for _, name := range []string{"g" + c[1] + ".txt", "g" + c[1] + "/" + FileName} {
			if _, err := os.Stat(filepath.Join(generations, name)); err != nil {
				t.Error(err)
			}
		}
		n, err := strconv.Atoi(c[1])
		if err != nil || c[0] != generationConst(n) {
			t.Errorf("%s is misspelt", c[0])
		}
		latest = max(latest, n)
	}
	if latest != Generation {
		t.Errorf("the runtime takes generations up to %d, and daffigen writes %d", latest, Generation)
	}
}

// TestGenerations builds and runs the code of every generation that the runtime takes, with its peers of today.
func TestGenerations(t *testing.T) {
	dirs := directories(t, generations)
	if len(dirs) == 0 {
		t.Fatal("no generation is kept")
	}
	cmd := exec.Command("go", "test", "-vet=all", "./testdata/generations/...") // which the go command passes by
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, dir := range dirs {
		if filepath.Base(dir) == "shape" {
			continue // what they share
		}
		if text := read(t, filepath.Join(dir, FileName)); !strings.Contains(text, "daffi."+generationConst(number(t, dir))) {
			t.Errorf("%s is of another generation", dir)
		}
	}
}

// number is that of the generation in dir, g1.
func number(t *testing.T, dir string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(filepath.Base(dir), "g%d", &n); err != nil {
		t.Fatal(dir, err)
	}
	return n
}
