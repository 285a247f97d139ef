package gen

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compares the generated code of the packages in testdata/golden with what is there.
func TestGolden(t *testing.T) {
	for _, dir := range directories(t, filepath.Join(root, "testdata/golden")) {
		t.Run(filepath.Base(dir), func(t *testing.T) { compare(t, dir) })
	}
}

// TestFresh does the same for the example.
func TestFresh(t *testing.T) { compare(t, filepath.Join(root, "examples")) }

// compare generates below dir and compares, or writes if asked to.
func compare(t *testing.T, dir string) {
	for _, f := range generate(t, Config{Dir: dir}, "./...") {
		if *update {
			if err := f.Write(); err != nil {
				t.Error(err)
			}
			continue
		}
		old, stale, err := f.Stale()
		if err != nil {
			t.Error(err)
		}
		if stale {
			t.Errorf("run go test with -update, and look at the changes\n%s", diff.Diff("golden", old, "generated", f.Content))
		}
	}
}

func generate(t *testing.T, cfg Config, patterns ...string) []File {
	t.Helper()
	files, diagnostics, err := Generate(context.Background(), cfg, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range diagnostics {
		t.Error(d.Format(cfg.Dir))
	}
	return files
}

// TestGoldenPackages vets the golden packages and runs their tests, which take values of every golden type through their encoders
// and decoders. The go command's own patterns pass by testdata, so this is where that happens.
func TestGoldenPackages(t *testing.T) {
	args := []string{"test", "-vet=all"}
	if testing.Short() {
		args = append(args, "-short")
	}
	cmd := exec.Command("go", append(args, "./testdata/golden/...")...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s\n%s", err, out)
	}
	for _, dir := range directories(t, filepath.Join(root, "testdata/golden")) {
		if name := "/testdata/golden/" + filepath.Base(dir); !bytes.Contains(out, []byte(name)) {
			t.Errorf("%s was not built", name)
		}
	}
}

var readFunc = regexp.MustCompile(`(?m)^func (read\w+)\(d \*codec.Decoder\)`)

// TestGoldenTypesAreTested wants every decoder in the golden files to be named by a test of its package, or to be used by another.
func TestGoldenTypesAreTested(t *testing.T) {
	err := filepath.WalkDir(filepath.Join(root, "testdata/golden"), func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != FileName {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		tests, err := packageTests(filepath.Dir(path))
		for _, found := range readFunc.FindAllStringSubmatch(string(text), -1) {
			name := found[1]
			if whole := strings.TrimSuffix(name, "Result"); whole != name && !strings.Contains(string(text), "func "+name+"(d *codec.Decoder) (r ") {
				continue // of one result, which codec.ReadResult reads
			}
			used := regexp.MustCompile(`\b` + name + `\b`)
			if !used.MatchString(tests) && len(used.FindAllString(readers(string(text)), 2)) < 2 {
				t.Errorf("%s: no test uses %s", path, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// readers is the text from the first decoder on.
func readers(text string) string {
	if at := readFunc.FindStringIndex(text); at != nil {
		return text[at[0]:]
	}
	return ""
}

func packageTests(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	var all []byte
	for _, name := range names {
		text, readErr := os.ReadFile(name)
		if readErr != nil {
			return "", readErr
		}
		all = append(all, text...)
	}
	return string(all), err
}

// TestOrderDoesNotMatter generates from the same files in another order.
func TestOrderDoesNotMatter(t *testing.T) {
	dir := module(t, map[string]string{
		"b.go": "package p\n\nimport \"context\"\n\n//daffi:callback\ntype B interface{ Do(ctx context.Context, b []string) (map[string][]T, error) }\n",
		"a.go": "package p\n\nimport \"context\"\n\n//daffi:fetcher B\ntype A interface{ Do(ctx context.Context, b []string) (map[string][]T, error) }\n",
		"t.go": "package p\n\ntype T struct{ X []T }\n",
	})
	straight := generate(t, Config{Dir: dir}, ".")
	l := newLoader(Config{Dir: dir})
	targets, err := l.load(context.Background(), ".")
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(targets[0].pkg.GoFiles)
	reversed, diagnostics, err := l.generate(context.Background(), targets)
	if err != nil || len(diagnostics) > 0 {
		t.Fatal(diagnostics, err)
	}
	if !bytes.Equal(straight[0].Content, reversed[0].Content) {
		t.Errorf("%s", diff.Diff("straight", straight[0].Content, "reversed", reversed[0].Content))
	}
}

// TestOutputIsOfThePackageAlone generates for a package alone and among others: what else is in the run must not change it.
func TestOutputIsOfThePackageAlone(t *testing.T) {
	for _, test := range []struct{ dir, pattern string }{{"foreign", "./away"}, {"spelled", "."}, {"spelled", "./base"}} {
		dir := filepath.Join(root, "testdata/golden", test.dir)
		alone := generate(t, Config{Dir: dir}, test.pattern)
		for _, f := range generate(t, Config{Dir: dir}, "./...") {
			if f.Path == alone[0].Path && !bytes.Equal(f.Content, alone[0].Content) {
				t.Errorf("%s", diff.Diff("alone", alone[0].Content, "among others", f.Content))
			}
		}
	}
}

// TestBrokenOutputIsIgnored generates next to output that does not parse, that has errors, and that is of another package, with a
// signature that names a generated type.
func TestBrokenOutputIsIgnored(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "testdata/golden/generated/generated.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"generated.go": string(source), "late.go": "package generated\n\nfunc f() { undefined(MeterProxy{}.nothing) }\n"}
	want := generate(t, Config{Dir: module(t, files)}, ".")[0].Content
	for name, broken := range map[string]string{
		"empty":         "",
		"no Go":         header + "\n<<<<<<< HEAD\n",
		"syntax":        header + "\n\npackage generated\n\nfunc {",
		"types":         header + "\n\npackage generated\n\nvar x int = \"\"\n\ntype MeterStatsResult chan int\n",
		"other package": header + "\n\npackage another\n",
		"import":        header + "\n\npackage generated\n\nimport _ \"example.com/gone\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			files[FileName] = broken
			got := generate(t, Config{Dir: module(t, files)}, ".")
			if len(got) != 1 || !bytes.Equal(got[0].Content, want) {
				t.Errorf("%d files, or other ones", len(got))
			}
		})
	}
}

// TestStaleImportsCloseNoCircle generates for packages of which one imported the other when its output was written, and now it is the other
// way round.
func TestStaleImportsCloseNoCircle(t *testing.T) {
	files := map[string]string{
		"above/above.go": "package above\n\nimport (\n\t\"context\"\n\n\t\"example.com/p/below\"\n)\n\n//daffi:fetcher below.Service\ntype Client interface{ Do(ctx context.Context, t below.T) error }\n",
		"below/below.go": "package below\n\nimport \"context\"\n\n//daffi:callback\ntype Service interface{ Do(ctx context.Context, t T) error }\n\ntype T struct{ X int }\n",
	}
	want := generate(t, Config{Dir: module(t, files)}, "./...")
	files["below/"+FileName] = header + "\n\npackage below\n\nimport \"example.com/p/above\"\n\nvar _ above.T\n"
	for _, pattern := range []string{"./...", "./above", "./below"} {
		for _, f := range generate(t, Config{Dir: module(t, files)}, pattern) {
			if !slices.ContainsFunc(want, func(w File) bool { return bytes.Equal(w.Content, f.Content) }) {
				t.Errorf("%s: %s is another", pattern, f.Path)
			}
		}
	}
}

// module writes a module.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/p\n\ngo 1.26\n")
	for name, text := range files {
		write(name, text)
	}
	return dir
}

// TestImportsDoNotSlowDown generates for a package that imports much, with an empty build cache: nothing may be compiled.
func TestImportsDoNotSlowDown(t *testing.T) {
	dir := module(t, map[string]string{
		"p.go": "package p\n\nimport (\n\t\"context\"\n\t\"net/http\"\n)\n\n//daffi:callback\ntype P interface {\n\tDo(ctx context.Context, h http.Header) error\n}\n\nvar _ http.Client\n",
	})
	cache := t.TempDir()
	files := generate(t, Config{Dir: dir, Env: append(os.Environ(), "GOCACHE="+cache)}, ".")
	if len(files) != 1 {
		t.Fatal("nothing generated")
	}
	err := filepath.WalkDir(cache, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.HasPrefix(text, []byte("!<arch>")) {
			t.Errorf("%s: something was compiled", path)
			return filepath.SkipAll
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
