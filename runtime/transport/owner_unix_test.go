//go:build unix

package transport

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestRuntimeDir(t *testing.T) {
	top := shortDir(t)
	xdg := filepath.Join(top, "xdg")
	dir := filepath.Join(xdg, "daffi")
	for _, tt := range []struct {
		name  string
		setup func() error
		want  string // in the error; "" for none
	}{
		{"new", func() error { return nil }, ""},
		{"there", func() error { return os.Mkdir(dir, 0o700) }, ""},
		{"less than all", func() error { return os.Mkdir(dir, 0o500) }, ""},
		{"group reads", func() error { return mkdir(dir, 0o740) }, "mode 0740"},
		{"others enter", func() error { return mkdir(dir, 0o701) }, "mode 0701"},
		{"link", func() error { return os.Symlink(top, dir) }, "symbolic link"},
		{"dangling link", func() error { return os.Symlink("nowhere", dir) }, "symbolic link"},
		{"file", func() error { return os.WriteFile(dir, nil, 0o600) }, "not a directory"},
		{"no parent", func() error { return os.Remove(xdg) }, "no such file"},
		{"parent for all", func() error { return os.Chmod(xdg, 0o777) }, "every user"},
		{"sticky parent", func() error { return os.Chmod(xdg, 0o777|os.ModeSticky) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.Mkdir(xdg, 0o700); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(xdg)
			t.Setenv("XDG_RUNTIME_DIR", xdg)
			if err := tt.setup(); err != nil {
				t.Fatal(err)
			}
			got, err := RuntimeDir()
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
					t.Errorf("%v, want %q and the cure", err, tt.want)
				}
				return
			}
			if err != nil || got != dir {
				t.Fatalf("%q, %v", got, err)
			}
			if info, err := os.Lstat(dir); err != nil || info.Mode().Perm()&0o077 != 0 || !info.IsDir() {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

// mkdir is os.Mkdir whatever the umask is.
func mkdir(dir string, mode os.FileMode) error {
	if err := os.Mkdir(dir, mode); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

func TestRuntimeDirWithoutXDG(t *testing.T) {
	tmp := shortDir(t)
	t.Setenv("TMPDIR", tmp)
	for _, xdg := range []string{"", "relative"} { // a relative one is to be ignored, by the specification of XDG
		t.Setenv("XDG_RUNTIME_DIR", xdg)
		got, err := RuntimeDir()
		if want := filepath.Join(tmp, "daffi-"+strconv.Itoa(os.Geteuid())); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", xdg, got, err, want)
		}
	}
	t.Setenv("TMPDIR", filepath.Join(tmp, "none"))
	if _, err := RuntimeDir(); err == nil || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Errorf("no temporary directory: %v", err)
	}
}

func TestRuntimeDirOfOther(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	tmp := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", tmp)
	dir, err := RuntimeDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := RuntimeDir(); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("%v", err)
	}
}
