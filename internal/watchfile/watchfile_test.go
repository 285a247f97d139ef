package watchfile

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b atomic.Value
		a.Store("1")
		b.Store("x")
		read := func(path string) ([]byte, error) {
			switch v := map[string]*atomic.Value{"a": &a, "b": &b}[path].Load().(string); v {
			case "":
				return nil, errors.New("gone")
			default:
				return []byte(v), nil
			}
		}
		var changes atomic.Int32
		w := New([]string{"a", "b"}, Options{Read: read})
		a.Store("2") // before Start, and not missed
		w.Start(func() { changes.Add(1) })
		defer w.Close()
		check := func(want int, after time.Duration) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			require.EqualValues(t, want, changes.Load())
		}
		check(0, time.Second) // it may still be being written
		check(1, time.Second)
		check(1, time.Hour)
		b.Store("y")
		check(1, time.Second)
		a.Store("3")
		check(1, time.Second)
		check(2, time.Second)
		b.Store("")
		check(3, 2*time.Second)
		check(3, time.Hour) // once, however long it is gone
		b.Store("gone")     // what it says when it is not there is nothing that it holds
		check(4, 2*time.Second)
		b.Store("z")
		time.Sleep(time.Second)
		b.Store("gone") // back before anybody was told
		check(4, time.Hour)
		w.Close()
		a.Store("4")
		check(4, time.Hour)
		w.Close()
	})
}

func TestCloseWithoutStart(t *testing.T) {
	New([]string{"nowhere"}, Options{}).Close()
}

func TestReadSizes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, make([]byte, MaxSize), 0o600))
	b, err := Read(path)
	require.NoError(t, err)
	require.Len(t, b, MaxSize)
	require.NoError(t, os.WriteFile(path, make([]byte, MaxSize+1), 0o600))
	_, err = Read(path)
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, path)
}

func TestModes(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("modes say nothing here")
	}
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		var changes atomic.Int32
		w := New([]string{path}, Options{})
		w.Start(func() { changes.Add(1) })
		defer w.Close()
		require.NoError(t, os.Chmod(path, 0o640))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, changes.Load())
	})
}
