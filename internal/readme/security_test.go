package readme

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

func securityPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	require.NoError(t, err)
	return string(b)
}

// TestSecurityPage types the commands of docs/security.md.
func TestSecurityPage(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the page is for systems with sh and signals")
	}
	bin := t.TempDir()
	module := version.Path
	out, err := exec.Command("go", "build", "-o", bin, module+"/cmd/daffi", module+"/examples/shopping/service", module+"/examples/shopping/shopper").CombinedOutput()
	require.NoErrorf(t, err, "%s", out)

	page := securityPage(t)
	requireFlags(t, filepath.Join(bin, "daffi"), page)
	ports := []string{"8888", "8889", "8890"}
	free := freePorts(t, len(ports))
	for i, port := range ports {
		require.Contains(t, page, port)
		page = strings.ReplaceAll(page, port, free[i])
	}
	var blocks []block
	var order []string
	for _, m := range fenced.FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, block{m[1], m[2]})
		order = append(order, m[1])
	}
	require.Equal(t, "sh sh sh sh text text sh sh sh sh sh sh sh sh sh sh sh sh sh", strings.Join(order, " "), "testdata/security.txtar counts on these blocks")
	testscript.Run(t, testscript.Params{
		Files: []string{filepath.Join("testdata", "security.txtar")},
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"eventually": eventually},
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("XDG_RUNTIME_DIR", e.WorkDir)
			if err := os.Chmod(e.WorkDir, 0o700); err != nil {
				return err
			}
			for i, b := range blocks {
				name := filepath.Join(e.WorkDir, fmt.Sprintf("security-%d.%s", i+1, b.language))
				if err := os.WriteFile(name, []byte(direct(b.text)), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// requireFlags looks up every flag of the page in what the program says of its commands.
func requireFlags(t *testing.T, daffi, page string) {
	t.Helper()
	var known strings.Builder
	for _, command := range []string{"controller", "cert init", "cert issue", "cert show", "token new", "acl check", "acl test"} {
		out, err := exec.Command(daffi, append(strings.Fields(command), "--help")...).CombinedOutput()
		require.NoErrorf(t, err, "%s: %s", command, out)
		known.Write(out)
	}
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(strings.ReplaceAll(page, "docker run --memory", ""), -1) {
		if !regexp.MustCompile(flag + `[\s=,]`).MatchString(known.String()) {
			t.Errorf("daffi has no flag %s", flag)
		}
	}
}

var (
	continued  = regexp.MustCompile(`\\\n *`)
	foreground = regexp.MustCompile(`^((?:[A-Z_]+=\S+ )*)((?:daffi controller|service|shopper) .*\n)$`)
)

// TestReadmeSecurity compares what README.md has of the page with the page.
func TestReadmeSecurity(t *testing.T) {
	_, section, ok := strings.Cut(readme(t), "\n## Security\n")
	require.True(t, ok, "README.md has no section Security")
	got := regexp.MustCompile(` +# .*`).ReplaceAllString(fenced.FindStringSubmatch(section)[2], "")
	page := fenced.FindAllStringSubmatch(securityPage(t), 2)
	require.Equal(t, page[0][2]+continued.ReplaceAllString(page[1][2], ""), got)
}

// direct has a block that is one program replace the shell that reads it, so that signals reach it.
func direct(text string) string {
	return foreground.ReplaceAllString(continued.ReplaceAllString(text, ""), "${1}exec ${2}")
}

// eventually repeats a program until it succeeds or, negated, fails, as long as one would wait. It does so rarely, since a controller shuts out who fails often (LIM-21).
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: eventually program [args...]")
	}
	for end := time.Now().Add(30 * time.Second); ; {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%q: still %v", args, err)
		}
		time.Sleep(time.Second)
	}
}

// freePorts returns ports that are free. Systems give out higher ones, to whoever asks for any and to every connection that is made, and internal/e2e takes others, so they still are when
// the programs of the page listen there. None has a port of the page in it.
func freePorts(t *testing.T, n int) (list []string) {
	t.Helper()
	for port := 12_000 + rand.IntN(5_000); len(list) < n; port++ {
		require.Less(t, port, 18_000, "no port is free")
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			require.NoError(t, l.Close())
			list = append(list, strconv.Itoa(port))
		}
	}
	return list
}

// TestSecurityNames looks up what the page tells to look for: lines of the log, and variables.
func TestSecurityNames(t *testing.T) {
	page := securityPage(t)
	var source bytes.Buffer
	for _, dir := range []string{"runtime", filepath.Join("cmd", "daffi")} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			source.Write(b)
			return err
		})
		require.NoError(t, err)
	}
	all := source.String()

	_, table, ok := strings.Cut(page, "\n## What the log says\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n## ")
	lines := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1)
	require.Greater(t, len(lines), 5)
	for _, m := range lines {
		if !strings.Contains(all, `"`+m[1]) {
			t.Errorf("nothing logs %q", m[1])
		}
	}
	for _, name := range regexp.MustCompile(`\bDAFFI_[A-Z_]+`).FindAllString(page, -1) {
		if !strings.Contains(all, `"`+name+`"`) {
			t.Errorf("nothing reads %s", name)
		}
	}
}
