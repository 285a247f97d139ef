package readme

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	limitRow  = regexp.MustCompile(`(?m)^\| (LIM-\d+) \|`)
	limitTest = regexp.MustCompile(`(?m)^func Test\w*?LIM\d+\w*|"LIM\d+ `)
	limitID   = regexp.MustCompile(`LIM(\d+)`)
)

// TestLimitsHaveTests finds a test, or a part of one, that is named by the id, as TestLIM5Content, for each limit of docs/semantics.md, and no id that is not there.
func TestLimitsHaveTests(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "semantics.md"))
	require.NoError(t, err)
	var rows []string
	for _, m := range limitRow.FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, m[1])
	}
	require.Greater(t, len(rows), 40)
	tested := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range limitTest.FindAllString(string(text), -1) {
			for _, m := range limitID.FindAllStringSubmatch(name, -1) {
				tested["LIM-"+m[1]] = path
			}
		}
		return err
	}))
	var lacking []string
	for _, id := range rows {
		if tested[id] == "" {
			lacking = append(lacking, id)
		}
	}
	require.Empty(t, lacking, "no test has the id of these limits of docs/semantics.md in its name")
	for id, path := range tested {
		require.True(t, slices.Contains(rows, id), "%s has a test of %s, which docs/semantics.md does not have", path, id)
	}
}
