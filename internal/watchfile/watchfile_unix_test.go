//go:build unix

package watchfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Opening a pipe that nobody writes to would wait for ever.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := Read(path)
	require.ErrorIs(t, err, errPipe)
	require.ErrorContains(t, err, path)
}

func TestCheckWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	require.ErrorIs(t, CheckWriters("policy", path), fs.ErrNotExist)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for mode, ok := range map[fs.FileMode]bool{0o400: true, 0o600: true, 0o640: true, 0o644: true, 0o755: true, 0o602: false, 0o646: false, 0o666: false, 0o777: false} {
		require.NoError(t, os.Chmod(path, mode))
		err := CheckWriters("policy", path)
		if ok {
			require.NoError(t, err, "%v", mode)
			continue
		}
		require.ErrorContains(t, err, "policy "+path+" has mode ")
		require.ErrorContains(t, err, "chmod go-w it")
	}
	// A group may write if it is the user's own.
	require.NoError(t, os.Chmod(path, 0o660))
	info, err := os.Stat(path)
	require.NoError(t, err)
	s := info.Sys().(*syscall.Stat_t)
	require.Equal(t, s.Uid == s.Gid, CheckWriters("policy", path) == nil)
	if os.Geteuid() == 0 {
		for _, c := range []struct {
			uid, gid int
			ok       bool
		}{{1234, 1234, true}, {1234, 1235, false}, {1234, 0, false}, {0, 0, true}, {0, 1, false}} {
			require.NoError(t, os.Chown(path, c.uid, c.gid))
			require.NoError(t, os.Chmod(path, 0o660))
			require.Equal(t, c.ok, CheckWriters("policy", path) == nil, "%+v", c)
		}
	}
}
