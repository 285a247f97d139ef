package transport

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestD4ParseAddr(t *testing.T) {
	for s, want := range map[string]Addr{
		"tcp://127.0.0.1:7070":    {"tcp", "127.0.0.1:7070"},
		"tcp://localhost:0":       {"tcp", "localhost:0"},
		"tcp://[::1]:65535":       {"tcp", "[::1]:65535"},
		"tcp://:7070":             {"tcp", ":7070"}, // well formed, though it cannot be listened at
		"unix:///run/daffi/x":     {"unix", "/run/daffi/x"},
		"unix://x.sock":           {"unix", "x.sock"},
		"unix://unix/unix":        {"unix", "unix/unix"}, // no letter of the path is lost
		"unix:///a b/ü":           {"unix", "/a b/ü"},
		"unix://../up/daffi.sock": {"unix", "../up/daffi.sock"},
	} {
		got, err := ParseAddr(s)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
		if got.String() != s {
			t.Errorf("%q is written as %q", s, got)
		}
	}
	for s, want := range map[string]string{
		"localhost:7070":                       "names no network",
		"/run/daffi.sock":                      "names no network",
		"unix:/run/daffi.sock":                 "names no network",
		" ":                                    "names no network",
		"://":                                  `network ""`,
		"http://127.0.0.1:80":                  `network "http"`,
		"TCP://127.0.0.1:80":                   `network "TCP"`,
		"tcp://127.0.0.1":                      "no host and port",
		"tcp://":                               "no host and port",
		"tcp://::1:80":                         "no host and port",
		"tcp://127.0.0.1:80/x":                 `port "80/x"`,
		"tcp://127.0.0.1:http":                 `port "http"`,
		"tcp://127.0.0.1:":                     `port ""`,
		"tcp://127.0.0.1:+80":                  `port "+80"`,
		"tcp://127.0.0.1:-1":                   `port "-1"`,
		"tcp://127.0.0.1:65536":                "from 0 to 65535",
		"tcp://127.0.0.1:18446744073709551696": "from 0 to 65535",
		"tcp://user@127.0.0.1:80":              "bad host",
		"tcp://a b:80":                         "bad host",
		"unix://":                              "no file name",
		"unix:///run/":                         "no file name",
		"unix://@daffi":                        "abstract",
		"unix:///run/\x00":                     "zero byte",
		"unix:///" + strings.Repeat("x", 200):  "socket path of 201 bytes",
	} {
		got, err := ParseAddr(s)
		if err == nil {
			t.Errorf("%q: %+v, want an error with %q", s, got, want)
			continue
		}
		for _, part := range []string{want, accepted, strconv.Quote(s)} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v, want %q in it", s, err, part)
			}
		}
	}
}

func TestSocketPathLimit(t *testing.T) {
	limit := 103
	if runtime.GOOS == "linux" || runtime.GOOS == "windows" {
		limit = 107
	}
	if _, err := ParseAddr("unix://" + strings.Repeat("x", limit)); err != nil {
		t.Error(err)
	}
	if _, err := ParseAddr("unix://" + strings.Repeat("x", limit+1)); err == nil {
		t.Error("a byte too many is accepted")
	}
}

func TestDefaultAddr(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	got, err := ParseAddr("")
	if want := (Addr{"unix", filepath.Join(dir, "daffi", "default.sock")}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if again, err := DefaultAddr(); err != nil || again != got {
		t.Errorf("second time: %+v, %v", again, err)
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, strings.Repeat("x", 100)))
	if err := os.Mkdir(os.Getenv("XDG_RUNTIME_DIR"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := DefaultAddr(); err == nil || !strings.Contains(err.Error(), "shorter directory") {
		t.Errorf("long path: %v", err)
	}
}

// shortDir is like t.TempDir, with a name that leaves room for a socket's.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
