package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	for i, c := range []struct {
		mode    fs.FileMode
		replace bool
		taken   bool
	}{{0o600, false, false}, {0o644, false, true}, {0o644, true, false}, {0o600, true, false}} {
		want := fmt.Sprint("content ", i)
		before, _ := os.ReadFile(file)
		err := Write(file, []byte(want), c.mode, c.replace)
		if c.taken {
			require.ErrorIs(t, err, fs.ErrExist)
			require.ErrorContains(t, err, "writing "+file)
			want = string(before)
		} else {
			require.NoError(t, err)
			info, err := os.Lstat(file)
			require.NoError(t, err)
			if runtime.GOOS != "windows" {
				require.Equal(t, c.mode, info.Mode())
			}
		}
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		onlyFile(t, dir)
	}
	require.ErrorIs(t, Write(filepath.Join(file, "below"), nil, 0o600, true), notThere(t, filepath.Join(file, "below")))
	require.ErrorIs(t, Write(filepath.Join(dir, "no", "directory"), nil, 0o600, false), fs.ErrNotExist)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "taken"), 0o700))
	require.Error(t, Write(filepath.Join(dir, "taken"), nil, 0o600, true))
	require.NoError(t, os.Remove(filepath.Join(dir, "taken")))
	onlyFile(t, dir)
}

// notThere is the system's error for a file that cannot be.
func notThere(t *testing.T, file string) error {
	_, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	require.Error(t, err)
	return err.(*fs.PathError).Err
}

func onlyFile(t *testing.T, dir string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left behind")
}

// TestWriteOnce lets many write the same file, of whom one does.
func TestWriteOnce(t *testing.T) {
	dir := t.TempDir()
	for round := range 50 {
		file := filepath.Join(dir, fmt.Sprint(round))
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := Write(file, []byte(fmt.Sprint("writer ", i)), 0o600, false); err == nil {
					won.Add(1)
				} else if !errors.Is(err, fs.ErrExist) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
	}
}
