package files

import (
	"context"
	"io/fs"
	"testing"

	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

// prepared has two files, one of them open, in as many directories.
func prepared() FS {
	m, ctx := NewMemory(both.Clock()), context.Background()
	both.Must(m, m.Mkdir(ctx, "dir", 0o755))
	for _, name := range []string{"a.txt", "dir/b.go"} {
		both.Must(m, m.WriteFile(ctx, name, []byte("content of "+name), 0o600))
	}
	_, _, err := m.Open(ctx, "a.txt", ReadWrite, 0)
	return both.Must(m, err)
}

func TestFS(t *testing.T) {
	both.Run(t, both.Subject[FS, FS]{
		Service:  FSName,
		New:      prepared,
		Register: RegisterFS,
		Proxy:    func(c daffi.Caller) FS { return NewFS(c) },
		Direct:   func(f FS) FS { return f },
		Errors:   append(both.Is(fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid, fs.ErrClosed), both.As[*fs.PathError]()),
		Args: map[string]func(*rapid.T) []any{
			"Rename": func(t *rapid.T) []any {
				return []any{rapid.SampledFrom([]string{"a.txt", "dir/b.go", "dir", "none"}).Draw(t, "old"), rapid.SampledFrom([]string{"c", "dir/d", "dir"}).Draw(t, "new")}
			},
			"Receive": func(t *rapid.T) []any {
				return []any{rapid.SampledFrom([]string{"new", "dir/new", "a.txt", "no/new"}).Draw(t, "name")}
			},
			"RemoveAll": func(t *rapid.T) []any {
				return []any{rapid.SampledFrom([]string{"none", "dir/c", "c", "dir"}).Draw(t, "path")}
			},
		},
		Values: []func(*both.Values){
			both.Of(rapid.SampledFrom([]string{"a", "a.txt", "dir", "dir/b.go", "dir/c", ".", "/", "nowhere/x"})),
			both.Of(rapid.SampledFrom([]Handle{1, 1, 2, 9})),
			both.Of(rapid.OneOf(rapid.Int64Range(0, 8), rapid.Int64Range(-1, maxSize+1))),
			both.Of(rapid.IntRange(-1, 8)),
			both.Of(rapid.SampledFrom([]Flag{ReadOnly, ReadWrite | Create, Create | Exclusive, Create | Truncate})),
			both.Of(rapid.SampledFrom([]fs.FileMode{0o644, 0o755, fs.ModeSetuid | 0o4, fs.ModeDir | fs.ModeSticky | 0o777, 1<<32 - 1})),
		},
	})
}
