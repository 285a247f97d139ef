package boltstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/controller/boltstore"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func open(t *testing.T, path string) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path)
	require.NoError(t, err)
	return s
}

func load(t *testing.T, s *boltstore.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, s.Load(func(key string, value []byte) error { all[key] = string(value); return nil }))
	return all
}

func TestStoreKeepsWhatWasCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	require.Empty(t, load(t, s))
	require.NoError(t, s.Commit(map[string][]byte{"a": []byte("1"), "b": []byte("2")}, nil))
	require.NoError(t, s.Commit(map[string][]byte{"a": []byte("3")}, []string{"b", "never there"}))
	require.NoError(t, s.Close())
	s = open(t, path)
	defer s.Close()
	require.Equal(t, map[string]string{"a": "3"}, load(t, s))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	stop := errors.New("enough")
	require.ErrorIs(t, s.Load(func(string, []byte) error { return stop }), stop)
	require.Error(t, s.Commit(map[string][]byte{"": nil}, nil), "and nothing of it is there")
	require.Equal(t, []string{"a"}, slices.Collect(maps.Keys(load(t, s))))
}

func TestSEM12StoreIsOfOneController(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	defer s.Close()
	_, err := boltstore.Open(path)
	require.ErrorIs(t, err, boltstore.ErrInUse)
	require.ErrorContains(t, err, path)
}

// TestSEM12DamagedStore cuts and overwrites a file: it is refused, or what is there is whole.
func TestSEM12DamagedStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.db")
	s := open(t, path)
	put := map[string][]byte{}
	for i := range 500 {
		put[string(rune('a'+i%26))+string(rune('A'+i/26))] = make([]byte, 300)
	}
	require.NoError(t, s.Commit(put, nil))
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)

	refused, files := 0, 0
	try := func(b []byte) {
		files++ // bbolt may keep what it has panicked over
		damaged := filepath.Join(dir, fmt.Sprint("damaged", files))
		require.NoError(t, os.WriteFile(damaged, b, 0o600))
		s, err := boltstore.Open(damaged)
		if err != nil {
			require.ErrorIs(t, err, boltstore.ErrDamaged)
			refused++
			return
		}
		require.Contains(t, []int{0, len(put)}, len(load(t, s)), "what some commit has left")
		require.NoError(t, s.Close())
	}
	try([]byte("this is a text, and no store at all, and as long as it needs to be to be taken for something else"))
	for n := 1; n < len(whole); n += len(whole) / 20 {
		try(whole[:n])
	}
	for at := 0; at < len(whole); at += 4096 {
		b := slices.Clone(whole)
		for i := range min(64, len(b)-at) {
			b[at+i] = 0xff
		}
		try(b)
	}
	require.Greater(t, refused, 20)

	_, err = boltstore.Open(filepath.Join(dir, "nowhere", "s.db"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = boltstore.Open(dir)
	require.Error(t, err)
}

// TestSEM12ForeignRecords: a file of bbolt with something else in it is refused by the controller, with the name of the record.
func TestSEM12ForeignRecords(t *testing.T) {
	for key, value := range map[string][]byte{
		"else":           []byte("x"),
		"spec/a/b":       {1, 0x93},
		"spec/a/b/c":     {2},
		"state/a":        {1},
		"run/a/b/0":      {1, 0x92, 1, 0xc1},
		"past/1000":      {1, 0x97},
		"past/1":         {1, 0x97, 0xff, 0xff, 0xff, 0xff},
		"state/a/b/c/..": {1},
	} {
		s := open(t, filepath.Join(t.TempDir(), "s.db"))
		require.NoError(t, s.Commit(map[string][]byte{key: value}, nil))
		_, err := controller.Listen(t.Context(), controller.Options{Addr: "tcp://127.0.0.1:0", TokenFile: filepath.Join(t.TempDir(), "token"), Store: s})
		require.Error(t, err, key)
		require.ErrorContains(t, err, key)
		require.NoError(t, s.Close())
	}
}

// TestSEM12NoControllerNoRuns: a controller that cannot listen takes up nothing: no tick is used up, and nothing is left that writes to its store.
func TestSEM12NoControllerNoRuns(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	defer s.Close()
	c := controller.New(controller.Options{Store: s})
	n, err := daffi.Connect(t.Context(), daffi.Options{Name: "owner", Controller: c})
	require.NoError(t, err)
	_, err = testkit.NewKit(n).Prepare().Note("x").Schedule(t.Context(), daffi.Every(10*time.Millisecond))
	require.NoError(t, err)
	require.NoError(t, n.Close())
	require.NoError(t, c.Close())

	here, err := controller.Listen(t.Context(), controller.Options{Addr: "unix://" + filepath.Join(t.TempDir(), "sock")})
	require.NoError(t, err)
	defer here.Close()
	kept := load(t, s)
	time.Sleep(15 * time.Millisecond) // a tick is missed
	_, err = controller.Listen(t.Context(), controller.Options{Addr: here.Addr(), Store: s})
	require.ErrorIs(t, err, transport.ErrInUse)
	time.Sleep(10 * time.Millisecond)
	require.Equal(t, kept, load(t, s))
}
