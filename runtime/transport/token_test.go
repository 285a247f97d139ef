package transport

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestLoadToken(t *testing.T) {
	want := bytes.Repeat([]byte{0xaB}, TokenSize)
	text := hex.EncodeToString(want)
	file := filepath.Join(t.TempDir(), "token")
	for _, good := range []string{text, text + "\n", strings.ToUpper(text)} {
		writeFile(t, file, good, 0o600)
		if got, err := LoadToken(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %x, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "\n", text[1:], text + "0", text + "\n\n", text + " ", " " + text, text + "\r\n", text[:63] + "g", "0x" + text, text + "\n" + text, text[:63] + "\n",
		strings.Repeat("0", 1<<20),
	} {
		writeFile(t, file, bad, 0o600)
		got, err := LoadToken(file)
		if err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") || !strings.Contains(err.Error(), file) {
			t.Errorf("%.80q: %x, %v", bad, got, err)
		} else if len(bad) > 10 && strings.Contains(err.Error(), bad[2:10]) {
			t.Errorf("%.80q: the error shows what is in the file: %v", bad, err)
		}
	}
	if _, err := LoadToken(file + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := LoadToken(filepath.Dir(file)); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("directory: %v", err)
	}
	if err := os.Symlink(file, file+"-link"); err == nil {
		writeFile(t, file, text, 0o600)
		if _, err := LoadToken(file + "-link"); err != nil {
			t.Errorf("link: %v", err)
		}
	}
}

func TestTokenMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode")
	}
	file := filepath.Join(t.TempDir(), "token")
	for mode, ok := range map[os.FileMode]bool{
		0o600: true, 0o400: true, 0o640: true, 0o440: true, 0o660: false, 0o604: false, 0o644: false, 0o602: false, 0o666: false, 0o601: false,
	} {
		writeFile(t, file, strings.Repeat("0", 64), mode)
		_, err := LoadToken(file)
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

func TestMakeToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	a, err := makeToken(file, false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(file); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got, err := LoadToken(file); err != nil || !bytes.Equal(got, a) {
		t.Errorf("%x, %v; want %x", got, err, a)
	}
	if _, err := makeToken(file, false); !errors.Is(err, os.ErrExist) {
		t.Errorf("second: %v", err)
	}
	if got, made, err := loadOrMakeToken(file); err != nil || made || !bytes.Equal(got, a) {
		t.Errorf("%x, %v, %v; want %x", got, made, err, a)
	}
	b, err := makeToken(file, true)
	if err != nil || bytes.Equal(a, b) {
		t.Errorf("replaced: %v", err)
	}
	if err := removeToken(file, a); err != nil {
		t.Error(err)
	}
	if got, err := LoadToken(file); err != nil || !bytes.Equal(got, b) {
		t.Errorf("after removing another: %x, %v; want %x", got, err, b)
	}
	if err := removeToken(file, b); err != nil {
		t.Error(err)
	}
	if left := names(t, filepath.Dir(file)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := makeToken(filepath.Join(file, "no", "directory"), true); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestTokenPath(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	for addr, want := range map[string]string{
		"127.0.0.1:7070":          "tcp-127.0.0.1-7070.token",
		"[::1]:7070":              "tcp-__1-7070.token",
		"[::ffff:127.0.0.1]:7070": "tcp-127.0.0.1-7070.token",
	} {
		if got, err := tokenPath(netip.MustParseAddrPort(addr)); err != nil || got != filepath.Join(dir, "daffi", want) {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
}

func writeFile(t testing.TB, file, text string, mode os.FileMode) {
	t.Helper()
	os.Remove(file)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

// names are those of the files in dir.
func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
