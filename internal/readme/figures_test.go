package readme

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// figures is what the README shows of a run of make bench.
type figures struct {
	Began    time.Time
	Machine  string
	Versions map[string]string
	Systems  []struct {
		Name string
		Rate struct{ Median float64 } `json:"calls_per_s"`
		CPU  struct{ Median float64 } `json:"cpu_us"`
		P50  struct{ Median float64 } `json:"p50_us"`
	}
}

var row = regexp.MustCompile(`(?m)^\| (?:\*\*)?([^*|,]+)(?:\*\*)?(?:, through a third process)? \| ([0-9.]+(?: [kM])?) \| ([0-9.]+(?: [kM])?) \| ([0-9.]+(?: [kM])?) \|$`)

// TestFigures looks whether the table is of the run that is kept, and both it and the drawing say when and where that was.
func TestFigures(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "bench", "results", "bench.json"))
	require.NoError(t, err)
	var f figures
	require.NoError(t, json.Unmarshal(text, &f))
	_, section, ok := strings.Cut(readme(t), "\n## How fast\n")
	require.True(t, ok, "README.md has no section How fast")
	section, _, _ = strings.Cut(section, "\n## ")

	rows := row.FindAllStringSubmatch(section, -1)
	require.Len(t, rows, len(f.Systems))
	for i, s := range f.Systems {
		assert.Equal(t, s.Name, rows[i][1])
		for j, want := range []float64{s.Rate.Median, s.CPU.Median, s.P50.Median} {
			assert.InEpsilonf(t, want, value(t, rows[i][2+j]), 0.05, "%s, column %d", s.Name, j+2)
		}
	}
	svg, err := os.ReadFile(filepath.Join(root, "docs", "bench.svg"))
	require.NoError(t, err)
	for _, want := range []string{f.Began.Format("2 January 2006"), f.Machine, f.Versions["go"], f.Versions["github.com/daffi-rpc/daffi"], f.Versions["google.golang.org/grpc"]} {
		assert.Contains(t, section, want)
		assert.Contains(t, string(svg), want)
	}
}

// value reads a number with a unit of thousands or millions.
func value(t *testing.T, text string) float64 {
	t.Helper()
	text, unit, _ := strings.Cut(text, " ")
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v * map[string]float64{"": 1, "k": 1e3, "M": 1e6}[unit]
}
