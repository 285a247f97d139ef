// Package files is a file system in the shape of io/fs and afero, for a machine that is not this one.
package files

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"time"
)

//go:generate go tool daffigen

// FileInfo is an [fs.FileInfo] as a struct.
type FileInfo struct {
	Name    string
	Size    int64
	Mode    fs.FileMode
	ModTime time.Time
	Owner   *struct{ UID, GID uint32 }
}

// Handle is an open file.
type Handle uint32

// Flag is one of os.O_RDONLY and so on, or several.
type Flag int

// The flags.
const (
	ReadOnly  Flag = Flag(os.O_RDONLY)
	ReadWrite Flag = Flag(os.O_RDWR)
	Create    Flag = Flag(os.O_CREATE)
	Exclusive Flag = Flag(os.O_EXCL)
	Truncate  Flag = Flag(os.O_TRUNC)
)

// WalkEntry is what a walk comes across. A directory that cannot be read has Err.
type WalkEntry struct {
	Path  string
	Info  *FileInfo
	Depth int
	Err   error
}

// Block is a part of a file at an offset.
type Block struct {
	Offset int64
	Data   []byte
}

// Usage is that of a directory tree.
type Usage struct {
	Files, Dirs int
	Bytes       uint64
	ByExt       map[string]*Usage
}

// FS is a file system. Its errors are what they are everywhere.
//
//daffi:errors fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid, fs.ErrClosed, *fs.PathError
//daffi:callback
//daffi:fetcher
type FS interface {
	Stat(ctx context.Context, name string) (FileInfo, error)
	ReadDir(ctx context.Context, name string) (entries []FileInfo, err error)
	ReadFile(ctx context.Context, name string) ([]byte, error)
	WriteFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error

	Open(ctx context.Context, name string, flag Flag, perm fs.FileMode) (Handle, *FileInfo, error)
	ReadAt(ctx context.Context, h Handle, n int, off int64) (p []byte, eof bool, err error)
	WriteAt(ctx context.Context, h Handle, blocks ...Block) (n int, err error)
	Truncate(ctx context.Context, h Handle, size int64) error
	Close(ctx context.Context, h Handle) error

	Mkdir(ctx context.Context, name string, perm fs.FileMode) error
	Remove(ctx context.Context, name string) error
	RemoveAll(ctx context.Context, path string) (removed int, _ error)
	Rename(ctx context.Context, oldname, newname string) error
	Chmod(ctx context.Context, name string, mode fs.FileMode) error
	Chtimes(ctx context.Context, name string, atime, mtime time.Time) error

	Walk(ctx context.Context, root string, skip map[string]bool) iter.Seq2[WalkEntry, error]
	Du(ctx context.Context, root string) (Usage, error)
	// Receive writes blocks of a file and yields how many bytes it has then.
	Receive(ctx context.Context, name string, perm *fs.FileMode, blocks iter.Seq2[Block, error]) iter.Seq2[int64, error]
}
