package gen

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestStaleCodeDoesNotCompile changes annotated sources beside their generated code. The first thing that the compiler says of the
// generated file must be about a line that tells what to run.
func TestStaleCodeDoesNotCompile(t *testing.T) {
	shopping := filepath.Join(root, "examples/shopping/shopping.go")
	recursive := filepath.Join(root, "testdata/golden/recursive/recursive.go")
	for _, test := range []struct{ name, file, old, new string }{
		{"method added to a callback", shopping, "	ClearItems(ctx context.Context) error\n}\n\n// Shopper", "	ClearItems(ctx context.Context) error\n	Count(ctx context.Context) (int, error)\n}\n\n// Shopper"},
		{"method removed from a callback", shopping, "	AddItem(ctx context.Context, item string) error\n	ClearItems(ctx context.Context) error\n}\n\n// Shopper", "	ClearItems(ctx context.Context) error\n}\n\n// Shopper"},
		{"argument of a callback's method changed", shopping, "AddItem(ctx context.Context, item string) error\n	ClearItems(ctx context.Context) error\n}\n\n// Shopper", "AddItem(ctx context.Context, item []byte) error\n	ClearItems(ctx context.Context) error\n}\n\n// Shopper"},
		{"result of a callback's method changed", shopping, "GetItems(ctx context.Context) ([]string, error)\n	AddItem(ctx context.Context, item string) error\n	ClearItems(ctx context.Context) error\n}\n\n// Shopper", "GetItems(ctx context.Context) ([]any, error)\n	AddItem(ctx context.Context, item string) error\n	ClearItems(ctx context.Context) error\n}\n\n// Shopper"},
		{"method added to a fetcher", shopping, "	//daffi:alias AddItem\n", "	AddItems(ctx context.Context, items []string) error\n	//daffi:alias AddItem\n"},
		{"method removed from a fetcher", shopping, "	AddManyItems(ctx context.Context, items iter.Seq[string]) error\n", ""},
		{"sequence of a fetcher's method changed", shopping, "items iter.Seq[string]", "items iter.Seq2[string, error]"},
		{"field added", recursive, "struct {\n", "struct {\n	Added int\n"},
		{"field renamed", recursive, "	Name     string", "	Label    string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := read(t, test.file)
			changed := strings.Replace(text, test.old, test.new, 1)
			if changed == text {
				t.Fatalf("%s has no %q", test.file, test.old)
			}
			out := build(t, test.file, changed)
			file := filepath.Join(filepath.Dir(test.file), FileName)
			if line := lineOf(t, out, file); !strings.Contains(line, "has changed since this was generated: run go generate again") {
				t.Errorf("the first error is at\n%s\nof\n%s", line, out)
			}
		})
	}
}

// TestGenerationOutsideTheWindow builds code of a generation that the runtime does not know.
func TestGenerationOutsideTheWindow(t *testing.T) {
	file := filepath.Join(root, "examples/shopping", FileName)
	for _, generation := range []int{Generation + 1, 0} {
		text := strings.Replace(read(t, file), generationConst(Generation), generationConst(generation), 1)
		out := build(t, file, text)
		if want := "undefined: daffi." + generationConst(generation); !strings.Contains(out, want) || strings.Count(out, ".go:") != 1 {
			t.Errorf("want only %s, got\n%s", want, out)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// build compiles the package of file as if it had another text, which must fail, and returns what the compiler says.
func build(t *testing.T, file, text string) string {
	t.Helper()
	dir := t.TempDir()
	other, overlay := filepath.Join(dir, "other.go"), filepath.Join(dir, "overlay.json")
	absolute, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{absolute: other}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{other: text, overlay: string(list)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, ".")
	cmd.Dir = filepath.Dir(file)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("it compiles")
	}
	return string(out)
}

var compilerPosition = regexp.MustCompile(`(?m)^\S*` + FileName + `:(\d+):`)

// lineOf is the line of the first error in a file.
func lineOf(t *testing.T, out, file string) string {
	t.Helper()
	at := compilerPosition.FindStringSubmatch(out)
	if at == nil {
		t.Fatalf("no error in %s:\n%s", file, out)
	}
	n, err := strconv.Atoi(at[1])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(read(t, file), "\n")[n-1]
}
