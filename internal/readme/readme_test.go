package readme

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

const root = "../.."

var version = module.Version{Path: "github.com/daffi-rpc/daffi", Version: "v0.1.0-pre"}

// TestQuickstart does what README.md tells a new user to do, with the working tree as the published module.
func TestQuickstart(t *testing.T) {
	proxy := t.TempDir()
	publish(t, proxy)
	env := goEnv(t, "GOMODCACHE", "GOPROXY", "GOCACHE", "GOTOOLCHAIN")
	blocks := quickstart(t)
	testscript.Run(t, testscript.Params{
		Files: []string{"testdata/quickstart.txtar"},
		Setup: func(e *testscript.Env) error {
			cache := filepath.Join(env["GOMODCACHE"], "cache", "download")
			// Ours, then what was downloaded for the tests anyway, then the world.
			e.Setenv("GOPROXY", strings.Join([]string{fileURL(proxy), fileURL(cache), env["GOPROXY"]}, ","))
			e.Setenv("GOMODCACHE", filepath.Join(e.WorkDir, ".mod")) // or the working tree would stay there as a release
			e.Setenv("GOFLAGS", "-modcacherw")                       // so that it can be removed; no others, to find the standard library in the build cache
			e.Setenv("GOCACHE", env["GOCACHE"])
			e.Setenv("GOTOOLCHAIN", env["GOTOOLCHAIN"])
			e.Setenv("GOSUMDB", "off") // go.sum has checked the cache; ours is not published
			e.Setenv("XDG_RUNTIME_DIR", e.WorkDir)
			if err := os.Chmod(e.WorkDir, 0o700); err != nil {
				return err
			}
			for i, b := range blocks {
				if err := os.WriteFile(filepath.Join(e.WorkDir, fmt.Sprintf("quickstart-%d.%s", i+1, b.language)), []byte(b.text), 0o666); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// block is what stands between a pair of fences.
type block struct{ language, text string }

var fenced = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// quickstart returns the blocks of that section.
func quickstart(t *testing.T) []block {
	t.Helper()
	_, section, ok := strings.Cut(readme(t), "\n## Quickstart\n")
	require.True(t, ok, "README.md has no section Quickstart")
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []block
	var order []string
	for _, m := range fenced.FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, block{m[1], m[2]})
		order = append(order, m[1])
	}
	require.Equal(t, []string{"sh", "go", "sh", "text"}, order, "testdata/quickstart.txtar counts on these blocks")
	return blocks
}

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	return string(b)
}

// publish puts the working tree into dir as a module proxy would offer it.
func publish(t *testing.T, dir string) {
	t.Helper()
	dir = filepath.Join(dir, filepath.FromSlash(version.Path), "@v")
	require.NoError(t, os.MkdirAll(dir, 0o777))
	write := func(name string, b []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o666))
	}
	info, err := json.Marshal(map[string]any{"Version": version.Version, "Time": time.Now().UTC()})
	require.NoError(t, err)
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	write("list", []byte(version.Version+"\n"))
	write(version.Version+".info", info)
	write(version.Version+".mod", gomod)
	f, err := os.Create(filepath.Join(dir, version.Version+".zip"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, modzip.CreateFromDir(f, version, root))
	logSize(t, f)
}

// logSize says how much a user downloads.
func logSize(t *testing.T, f *os.File) {
	t.Helper()
	size, err := f.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	r, err := zip.NewReader(f, size)
	require.NoError(t, err)
	t.Logf("the module has %d files, %d kB zipped", len(r.File), size/1000)
}

// goEnv asks the go command.
func goEnv(t *testing.T, names ...string) map[string]string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"env", "-json"}, names...)...).Output()
	require.NoError(t, err)
	var env map[string]string
	require.NoError(t, json.Unmarshal(out, &env))
	return env
}

func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	return "file://" + path
}

var (
	link = regexp.MustCompile(`(?m)(?:^|[^\w\]])\[[^\]]+\]\(([^)#][^)]*)\)`) // and no F[T](x)
	code = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
)

// TestLinks follows the links of the documents to other files.
func TestLinks(t *testing.T) {
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, docs)
	for _, path := range append(docs, filepath.Join(root, "README.md"), filepath.Join(root, "ARCHITECTURE.md"), filepath.Join(root, "CHANGELOG.md"), filepath.Join(root, "SECURITY.md")) {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(b), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target, _, _ := strings.Cut(m[1], "#")
			_, err := os.Stat(filepath.Join(filepath.Dir(path), target))
			require.NoErrorf(t, err, "%s links to %s", path, m[1])
		}
	}
}

var id = regexp.MustCompile(`\b(SEM|LIM)-[0-9]+\b`)

// TestIDs looks up the promises and limits that comments cite.
func TestIDs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs", "semantics.md"))
	require.NoError(t, err)
	explained := map[string]bool{}
	for _, s := range id.FindAllString(string(b), -1) {
		explained[s] = true
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		b, err := os.ReadFile(path)
		for _, s := range id.FindAllString(string(b), -1) {
			if !explained[s] {
				t.Errorf("%s cites %s, which docs/semantics.md does not have", path, s)
			}
		}
		return err
	})
	require.NoError(t, err)
}
