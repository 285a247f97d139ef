package main

import (
	"bufio"
	"context"
	"encoding/json"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/gen"
)

// TestWatch changes sources under a running daffigen -watch and reads what it says: every step waits for a line of it.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	service := func(methods string) string {
		return "package m\n\nimport \"context\"\n\n//daffi:callback\ntype Service interface {\n" + methods + "}\n"
	}
	write("go.mod", "module example.com/m\n\ngo 1.26\n")
	write("service.go", service("\tAdd(ctx context.Context, item string) error\n"))

	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"-watch", "./..."}, in, in)
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
			if strings.Contains(lines.Text(), "written") {
				t.Fatalf("%q instead of %q", lines.Text(), want)
			}
		}
		t.Fatalf("no %q", want)
	}
	expect("reading ./...")
	expect("daffi_gen.go: written")
	expect("watching " + dir)

	// A change that changes nothing is not said: the next line is of the one after.
	write("service.go", "// Package m is for tests.\n"+service("\tAdd(ctx context.Context, item string) error\n"))
	write("service.go", service("\tAdd(ctx context.Context, items ...string) error\n"))
	expect("daffi_gen.go: written")

	// What is wrong is said, and generating goes on.
	write("service.go", service("\tAdd(ctx context.Context, items ...string)\n"))
	expect("service.go:7:2: Service.Add does not return an error last")
	expect("nothing was written")
	write("service.go", service("\tAdd(ctx context.Context, items ...string) error\n\tClear(ctx context.Context) error\n"))
	expect("daffi_gen.go: written")

	// Packages may come, and generated files go.
	write("other/other.go", strings.NewReplacer("package m", "package other", "Service", "Other").Replace(service("\tDo(ctx context.Context) error\n")))
	expect("other/daffi_gen.go: written")
	if err := os.Remove("daffi_gen.go"); err != nil {
		t.Fatal(err)
	}
	expect("daffi_gen.go: written")
	expect("watching")

	cancel()
	for lines.Scan() {
		t.Errorf("after the end: %s", lines.Text())
	}
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestProblemMatcher holds that the task in the documentation is JSON and understands what daffigen prints.
func TestProblemMatcher(t *testing.T) {
	text, err := os.ReadFile("../../docs/annotations.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
	var tasks struct {
		Tasks []struct {
			ProblemMatcher struct {
				Pattern    struct{ Regexp string }
				Background struct{ BeginsPattern, EndsPattern string }
			}
		}
	}
	if block == nil || json.Unmarshal(block[1], &tasks) != nil || len(tasks.Tasks) != 1 {
		t.Fatalf("no task in %s", block)
	}
	matcher := tasks.Tasks[0].ProblemMatcher
	d := gen.Diagnostic{Pos: token.Position{Filename: "/m/sub/service.go", Line: 7, Column: 2}, Code: gen.CodeNoError, Message: "x [1]; y"}
	got := regexp.MustCompile(matcher.Pattern.Regexp).FindStringSubmatch(d.Format("/m"))
	if want := []string{"sub/service.go", "7", "2", "x [1]; y", "DF025"}; got == nil || !slices.Equal(got[1:], want) {
		t.Errorf("%q, want %q", got, want)
	}
	if matcher.Background.BeginsPattern != "^daffigen: reading " || matcher.Background.EndsPattern != "^daffigen: watching " {
		t.Errorf("%+v", matcher.Background) // TestWatch has the lines
	}
}

// TestLook tells what counts as a change.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	before := look(dir)
	for _, step := range []struct {
		name    string
		changes bool
	}{
		{"a.go", true}, {"go.mod", true}, {"sub/b.go", true}, {"testdata/c.go", true}, {"daffi_gen.go", true}, // that it is there
		{"daffi_gen.go", false}, {"a.txt", false}, {".git/d.go", false}, {"_old/e.go", false}, {"node_modules/x/f.go", false}, {"a.go", true},
	} {
		name := filepath.Join(dir, step.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		now := look(dir)
		if (now != before) != step.changes {
			t.Errorf("%s: a change is seen: %v", step.name, now != before)
		}
		before = now
	}
}

func TestWatchOutsideOfAModule(t *testing.T) {
	t.Chdir(t.TempDir())
	var out strings.Builder
	if code := run(t.Context(), []string{"-watch"}, &out, &out); code != exitTrouble || !strings.Contains(out.String(), "there is no go.mod in ") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"-watch", "lock"}, &out, &out); code != exitTrouble || !strings.Contains(out.String(), "only generate watches") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}
