package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var root = filepath.Join("..", "..")

// At least as many must be there: fewer would be a suite that was made easier.
const atLeast = 12

func TestACC82EveryDefectStillApplies(t *testing.T) {
	defects, err := load(root)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(defects), atLeast)
	c, err := newCopy(root)
	require.NoError(t, err)
	defer os.RemoveAll(c.dir)
	for _, d := range defects {
		if assert.NoErrorf(t, c.apply(d), d.name) {
			assert.NoErrorf(t, c.apply(d, "--reverse"), d.name)
		}
		for _, p := range d.packages {
			assert.DirExistsf(t, filepath.Join(root, strings.TrimSuffix(p, "/...")), "%s names %s", d.name, p)
		}
	}
}

// Defects of a small module of the test's own: one that its test finds, one that it misses, and one that does not compile.
func TestRunTellsWhatWasFound(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("go.mod", "module sum\n\ngo 1.26\n")
	write("sum.go", "package sum\n\nfunc Sum(a, b int) int {\n\treturn a + b\n}\n\nfunc Idle() int {\n\treturn 1\n}\n")
	write("sum_test.go", "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(1, 2) != 3 {\n\t\tt.Fail()\n\t}\n}\n")
	patch := func(name, from, to string) {
		write(filepath.Join(patchDir, name+".patch"), "Defect: "+to+"\nBreaks: SUM-1\nPackages: .\n\ndiff --git a/sum.go b/sum.go\n--- a/sum.go\n+++ b/sum.go\n"+
			"@@ -1,9 +1,9 @@\n"+replaced("package sum\n\nfunc Sum(a, b int) int {\n\treturn a + b\n}\n\nfunc Idle() int {\n\treturn 1\n}\n", from, to))
	}
	patch("found", "\treturn a + b", "\treturn a - b")
	patch("missed", "\treturn 1", "\treturn 2")
	patch("broken", "\treturn 1", "\treturn x")
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")

	var out strings.Builder
	require.NoError(t, run(dir, []string{"found"}, &out))
	assert.Contains(t, out.String(), "by TestSum\n")
	out.Reset()
	assert.ErrorContains(t, run(dir, []string{"found", "missed"}, &out), "1 of 2 defects were not noticed")
	assert.Contains(t, out.String(), "MISSED  missed")
	assert.ErrorContains(t, run(dir, []string{"broken"}, io.Discard), "does not compile")
	assert.ErrorContains(t, run(dir, []string{"none"}, io.Discard), `no patch "none"`)

	write("sum_test.go", "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tt.Fail()\n}\n")
	assert.ErrorContains(t, run(dir, []string{"found"}, io.Discard), "without any defect these fail: TestSum")
}

// replaced is the body of a hunk that changes one line of a text.
func replaced(text, from, to string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSuffix(line, "\n") == from {
			b.WriteString("-" + line + "+" + to + "\n")
		} else {
			b.WriteString(" " + line)
		}
	}
	return b.String()
}

func TestParseWantsItsLines(t *testing.T) {
	for text, want := range map[string]string{
		"Defect: x\n": "diff --git",
		"Defect: x\nBreaks: A-1\n\ndiff --git a/a b/a\n":                   "must all be there",
		"Defect: x\nBreaks: A-1\nColour: red\n\ndiff --git a/a b/a\n":      "want Defect, Breaks or Packages",
		"Defect: x\nPackages: ./a\n\nno patch\ndiff --git a/a b/a\n":       "must all be there",
		"Breaks: A-1\nPackages: ./a\n\ndiff --git a/a b/a\n--- a\n+++ b\n": "must all be there",
	} {
		_, err := parse("name", []byte(text))
		assert.ErrorContainsf(t, err, want, "%q", text)
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "%s", text)
}
