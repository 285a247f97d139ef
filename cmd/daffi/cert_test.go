package main

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/authority"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// succeeds runs the program and returns what it has written.
func succeeds(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := daffi(args...)
	require.Zero(t, code, stderr)
	return stdout, stderr
}

// fails demands exit code 1 and one line that says so.
func fails(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := daffi(args...)
	require.Equal(t, 1, code, "%q: %s", args, stderr)
	require.Empty(t, stdout, "%q", args)
	require.True(t, strings.HasPrefix(stderr, "daffi: "), stderr)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	return stderr
}

func requireSecret(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, fs.FileMode(0o600), info.Mode(), file)
	}
}

func TestCert(t *testing.T) {
	t.Chdir(t.TempDir())
	stdout, stderr := succeeds(t, "cert", "init")
	require.Empty(t, stderr)
	require.Contains(t, stdout, "cluster daffi")
	require.Contains(t, stdout, "next: daffi cert issue controller --controller,")
	requireSecret(t, filepath.Join("daffi-certs", "ca-key.pem"))
	ignored, err := os.ReadFile(filepath.Join("daffi-certs", ".gitignore"))
	require.NoError(t, err)
	require.Equal(t, "*\n", string(ignored))
	require.Contains(t, fails(t, "cert", "init"), "stays")

	stdout, _ = succeeds(t, "cert", "issue", "controller", "--controller")
	require.Contains(t, stdout, "localhost, 127.0.0.1, ::1")
	require.Contains(t, stdout, "next: daffi controller --addr tcp://localhost:8888 --tls-cert "+filepath.Join("daffi-certs", "controller.pem"))
	until := func() string { // on this day
		return "node daffi://daffi/shop, until " + time.Now().Add(30*24*time.Hour).UTC().Format(time.DateOnly)
	}
	was := until()
	stdout, _ = succeeds(t, "cert", "issue", "shop", "--days", "30")
	require.True(t, strings.Contains(stdout, was) || strings.Contains(stdout, until()), "neither %q nor the day after in %s", was, stdout)
	require.Contains(t, stdout, "DAFFI_TLS_CERT=")
	for _, name := range []string{"controller", "shop"} {
		cert, key := authority.Files("daffi-certs", name)
		requireSecret(t, key)
		_, err := tls.LoadX509KeyPair(cert, key)
		require.NoError(t, err)
	}

	stdout, _ = succeeds(t, "cert", "issue", "a", "b")
	require.Contains(t, stdout, "daffi://daffi/a")
	require.Contains(t, stdout, "daffi://daffi/b")

	before, err := os.ReadFile(filepath.Join("daffi-certs", "shop.pem"))
	require.NoError(t, err)
	require.Contains(t, fails(t, "cert", "issue", "shop"), "--force")
	after, err := os.ReadFile(filepath.Join("daffi-certs", "shop.pem"))
	require.NoError(t, err)
	require.Equal(t, before, after)
	succeeds(t, "cert", "issue", "shop", "--force")
	after, err = os.ReadFile(filepath.Join("daffi-certs", "shop.pem"))
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	_, err = tls.LoadX509KeyPair(authority.Files("daffi-certs", "shop"))
	require.NoError(t, err)
}

// A node gets a directory with the three files that it needs, and not the authority's key.
func TestCertOut(t *testing.T) {
	dir := t.TempDir()
	certs, out := filepath.Join(dir, "ca"), filepath.Join(dir, "nodes", "shop")
	stdout, _ := succeeds(t, "cert", "init", "--dir", certs, "--cluster", "prod")
	require.Contains(t, stdout, "issue --dir "+certs+" NAME")
	stdout, _ = succeeds(t, "cert", "issue", "shop", "--dir", certs, "--out", out)
	require.Contains(t, stdout, "daffi://prod/shop")
	entries, err := os.ReadDir(out)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{".gitignore", "ca.pem", "shop-key.pem", "shop.pem"}, names)
	succeeds(t, "cert", "issue", "other", "--dir", certs, "--out", out)

	other := filepath.Join(dir, "other")
	succeeds(t, "cert", "init", "--dir", other)
	require.Contains(t, fails(t, "cert", "issue", "shop", "--dir", other, "--out", out, "--force"), "of another authority")
	// Both are trusted while one replaces the other.
	old, err := os.ReadFile(filepath.Join(out, "ca.pem"))
	require.NoError(t, err)
	next, err := os.ReadFile(filepath.Join(other, "ca.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(out, "ca.pem"), append(old, next...), 0o644))
	succeeds(t, "cert", "issue", "shop", "--dir", other, "--out", out, "--force")
	both, err := os.ReadFile(filepath.Join(out, "ca.pem"))
	require.NoError(t, err)
	require.Equal(t, append(old, next...), both)
}

func TestCertErrors(t *testing.T) {
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	succeeds(t, "cert", "init", "--dir", certs, "--days", "100")
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("nothing"), 0o600))
	for _, c := range []struct{ args, want string }{
		{"init --dir DIR/x --cluster Prod", `--cluster "Prod"`},
		{"init --dir DIR/x --days 0", "--days 0: want 1 to 36500"},
		{"init --dir DIR/x --days 36501", "--days 36501: want 1 to 36500"},
		{"init --dir DIR/file", "no directory"},
		{"issue Shop", `name "Shop"`},
		{"issue ../shop", `name "../shop"`},
		{"issue shop Shop", `name "Shop"`},
		{"issue ca --force", "choose a name"},
		{"issue shop-key --force", "choose a name"},
		{"issue shop --dir DIR/x", `make an authority with "daffi cert init --dir DIR/x"`},
		{"issue shop --days 101", "the authority itself ends on"},
		{"issue shop --days=-1", "--days -1: want 1 to 36500"},
		{"issue shop --host localhost", "add --controller"},
		{"issue c --controller --host localhost:8888", `--host "localhost:8888"`},
		{"issue c --controller --host *.example.com", `--host "*.example.com"`},
		{"issue c --controller --host fe80::1%eth0", "without a zone"},
		{"issue c --controller --host example..com", `--host "example..com"`},
		{"issue c --controller --host " + strings.Repeat("a.", 126) + "aa", "1 to 253"},
		{"issue shop --out DIR/file", "no directory"},
		{"show DIR/file", "DIR/file holds no certificate"},
		{"show DIR/certs/ca-key.pem", "holds no certificate"},
		{"show DIR/nothing", "DIR/nothing: "},
	} {
		args := append([]string{"cert"}, strings.Fields(strings.ReplaceAll(c.args, "DIR", dir))...)
		if args[1] == "issue" && !strings.Contains(c.args, "--dir") {
			args = append(args, "--dir", certs)
		}
		require.Contains(t, fails(t, args...), strings.ReplaceAll(c.want, "DIR", dir), c.args)
	}
	entries, err := os.ReadDir(certs)
	require.NoError(t, err)
	require.Len(t, entries, 3, "nothing was made")
	if runtime.GOOS != "windows" {
		open := filepath.Join(dir, "open")
		require.NoError(t, os.Mkdir(open, 0o700))
		require.NoError(t, os.Chmod(open, 0o777))
		require.Contains(t, fails(t, "cert", "init", "--dir", open), "chmod o-w")
	}
}

func TestCertShow(t *testing.T) {
	certs := filepath.Join(t.TempDir(), "certs")
	succeeds(t, "cert", "init", "--dir", certs)
	succeeds(t, "cert", "issue", "c", "--controller", "--host", "example.com", "--host", "192.0.2.1", "--dir", certs)
	succeeds(t, "cert", "issue", "shop", "--days", "10", "--dir", certs)
	for name, want := range map[string][]string{
		"c.pem":    {`"daffi://daffi/c"`, `a controller at ["example.com" "192.0.2.1"]`, "364 days left"},
		"shop.pem": {`"daffi://daffi/shop"`, "a node\n", `"CN=daffi authority of daffi"`, "9 days left"},
		"ca.pem":   {"authority", `signing certificates of ["daffi"]`, "3649 days left"},
	} {
		stdout, _ := succeeds(t, "cert", "show", filepath.Join(certs, name))
		for _, text := range want {
			require.Contains(t, stdout, text)
		}
	}

	// What a certificate says of itself is not believed to be harmless.
	a, err := authority.New("daffi", time.Hour)
	require.NoError(t, err)
	pair, err := a.Issue(authority.Request{Name: "\x1b[2J\n" + strings.Repeat("x", 5000), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	file := filepath.Join(certs, "odd.pem")
	require.NoError(t, os.WriteFile(file, append(pair.Certificate, pair.Certificate...), 0o600))
	stdout, _ := succeeds(t, "cert", "show", file)
	require.Equal(t, 2, strings.Count(stdout, "EXPIRED"))
	require.NotContains(t, stdout, "\x1b")
	require.Less(t, len(stdout), 2000)
}

func TestTokenNew(t *testing.T) {
	t.Chdir(t.TempDir())
	stdout, stderr := succeeds(t, "token", "new", "--out", "token")
	require.Empty(t, stdout)
	require.Contains(t, stderr, "DAFFI_TOKEN_FILE")
	requireSecret(t, "token")
	token, err := transport.LoadToken("token")
	require.NoError(t, err)
	require.NotContains(t, stderr, fmt.Sprintf("%x", token))
	require.Contains(t, fails(t, "token", "new", "--out", "token"), "token is there already, and stays")

	stdout, stderr = succeeds(t, "token", "new", "shop-*", "--out", "shop")
	shop, err := transport.LoadToken("shop")
	require.NoError(t, err)
	require.NotEqual(t, token, shop)
	require.Equal(t, fmt.Sprintf("%x shop-*\n", sha256.Sum256(shop)), stdout)
	require.NotContains(t, stdout+stderr, fmt.Sprintf("%x", shop))

	require.NoError(t, os.WriteFile("tokens", []byte(strings.TrimSuffix(stdout, "\n")), 0o600)) // an editor may leave the end out
	second, _ := succeeds(t, "token", "new", "cart", "--out", "cart", "--tokens", "tokens")
	require.Empty(t, second)
	cart, err := transport.LoadToken("cart")
	require.NoError(t, err)
	tokens, err := os.ReadFile("tokens")
	require.NoError(t, err)
	require.Equal(t, stdout+fmt.Sprintf("%x cart\n", sha256.Sum256(cart)), string(tokens))
	succeeds(t, "token", "new", "x", "--out", "x", "--tokens", "new-tokens")
	requireSecret(t, "new-tokens")

	require.Contains(t, fails(t, "token", "new", "--out", "y", "--tokens", "tokens"), "which node")
	require.Contains(t, fails(t, "token", "new", "a.*", "--out", "y"), `"a.*"`)
	require.Contains(t, fails(t, "token", "new", "A", "--out", "y"), `"A"`)
	require.Contains(t, fails(t, "token", "new", "a", "--out", filepath.Join("no", "y")), filepath.Join("no", "y"))
	require.Contains(t, fails(t, "token", "new", "a", "--out", "y", "--tokens", filepath.Join("no", "y")), filepath.Join("no", "y"))
	require.NoFileExists(t, "y", "no token without its entry")
	code, _, stderr := daffi("token", "new", "a")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--out")
}
