//go:build unix

package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// TestACC69Mode starts a controller again and again while another goroutine looks at the directory, the socket and the lock as fast as it can: nobody else may ever use them, whatever the umask is.
func TestACC69Mode(t *testing.T) {
	starts := 100
	if night {
		starts = 1000
	}
	for _, umask := range []int{0, 0o077} {
		t.Run(fmt.Sprintf("%03o", umask), func(t *testing.T) {
			defer syscall.Umask(syscall.Umask(umask))
			top := shortDir(t)
			if err := os.Chmod(top, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("XDG_RUNTIME_DIR", top)
			dir := filepath.Join(top, "daffi")
			socket := filepath.Join(dir, "default.sock")
			want := map[string]fs.FileMode{dir: fs.ModeDir | 0o700, socket: fs.ModeSocket | 0o600, socket + ".lock": 0o600}
			stop := make(chan struct{})
			var watcher sync.WaitGroup
			watcher.Go(func() {
				seen := map[string]int{}
				for {
					for path, mode := range want {
						info, err := os.Lstat(path)
						if err != nil {
							continue
						}
						if seen[filepath.Base(path)]++; info.Mode() != mode {
							t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
							return
						}
					}
					select {
					case <-stop:
						t.Logf("seen %v", seen)
						return
					default:
					}
				}
			})
			for range starts {
				a, err := ParseAddr("")
				if err != nil {
					t.Error(err)
					break
				}
				l, err := Listen(t.Context(), a, ListenOptions{})
				if err != nil {
					t.Error(err)
					break
				}
				for path, mode := range want {
					if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
						t.Errorf("%s: %v, %v", path, info, err)
					}
				}
				if err := errors.Join(l.Close(), os.Remove(dir)); err != nil {
					t.Error(err)
				}
			}
			close(stop)
			watcher.Wait()
		})
	}
}
