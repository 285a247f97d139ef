package frompython

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// without is the section of what has no test, since it is not there.
const without = "\n## Not carried over"

// features is how many rows there are.
const features = 78

var (
	id     = regexp.MustCompile(`\bD-([0-9]+)\b`)
	ranges = regexp.MustCompile(`\bD-([0-9]+)…`)
)

// ids are the numbers that s names.
func ids(s string) map[string]bool {
	out := map[string]bool{}
	for _, m := range id.FindAllStringSubmatch(s, -1) {
		out[m[1]] = true
	}
	return out
}

// TestEveryFeatureIsThere looks for each number, and that none stands for two things.
func TestEveryFeatureIsThere(t *testing.T) {
	s := text(t)
	require.Empty(t, ranges.FindAllString(s, -1), "each one for itself")
	there := ids(s)
	for i := range features {
		if n := fmt.Sprint(i + 1); !there[n] {
			t.Errorf("%s does not have D-%s", page, n)
		}
	}
	require.Len(t, there, features)
	rows := map[string]int{}
	for line := range strings.Lines(s) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for n := range ids(cells[1]) {
				rows[n]++
			}
		}
	}
	for n, rows := range rows {
		if rows > 1 {
			t.Errorf("D-%s begins %d rows", n, rows)
		}
	}
}

// TestFeaturesHaveTests finds for each feature a test whose name has its number: TestD43BroadcastX, TestD18D19Waiting.
func TestFeaturesHaveTests(t *testing.T) {
	features, _, ok := strings.Cut(text(t), without)
	require.True(t, ok, "%s has no section about what is not carried over", page)
	tested := testedIDs(t)
	for n := range ids(features) {
		if !tested[n] {
			t.Errorf("no test has D%s in its name", n)
		}
	}
}

var inName = regexp.MustCompile(`D([0-9]+)`)

// testedIDs are those in the names of tests.
func testedIDs(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				for _, m := range inName.FindAllStringSubmatch(fn.Name.Name, -1) {
					out[m[1]] = true
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	return out
}
