package files

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxSize is how large a file may become.
const maxSize = 1 << 10

// Memory is an FS in memory.
type Memory struct {
	mu    sync.Mutex
	now   func() time.Time
	files map[string]*file // by path, "." among them
	open  map[Handle]*file
	last  Handle
}

type file struct {
	FileInfo
	data []byte
}

var _ FS = (*Memory)(nil)

// NewMemory returns an empty file system whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	m := &Memory{now: now, files: map[string]*file{}, open: map[Handle]*file{}}
	m.put(".", fs.ModeDir|0o755)
	return m
}

func (m *Memory) put(name string, mode fs.FileMode) *file {
	f := &file{FileInfo: FileInfo{Name: path.Base(name), Mode: mode, ModTime: m.now(), Owner: &struct{ UID, GID uint32 }{1000, 100}}}
	m.files[name] = f
	return f
}

// find is a file, or an error about op.
func (m *Memory) find(op, name string) (*file, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	f, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return f, nil
}

// create makes a file that is not there, in a directory that is.
func (m *Memory) create(op, name string, mode fs.FileMode) (*file, error) {
	switch _, err := m.find(op, name); {
	case err == nil:
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	case !fs.ValidPath(name):
		return nil, err
	}
	if dir, err := m.find(op, path.Dir(name)); err != nil || !dir.Mode.IsDir() {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return m.put(name, mode), nil
}

func (f *file) write(op string, b Block) error {
	end := b.Offset + int64(len(b.Data))
	if b.Offset < 0 || end > maxSize {
		return &fs.PathError{Op: op, Path: f.Name, Err: fmt.Errorf("%d bytes at %d: %w", len(b.Data), b.Offset, fs.ErrInvalid)}
	}
	if end > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, end-int64(len(f.data)))...)
	}
	copy(f.data[b.Offset:], b.Data)
	f.Size = int64(len(f.data))
	return nil
}

// Stat implements [FS].
func (m *Memory) Stat(_ context.Context, name string) (FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find("stat", name)
	if err != nil {
		return FileInfo{}, err
	}
	return f.FileInfo, nil
}

// below are the paths under root, root first.
func (m *Memory) below(root string) (paths []string) {
	for _, p := range slices.Sorted(maps.Keys(m.files)) {
		if p == root || root == "." || strings.HasPrefix(p, root+"/") {
			paths = append(paths, p)
		}
	}
	return paths
}

// ReadDir implements [FS].
func (m *Memory) ReadDir(_ context.Context, name string) (entries []FileInfo, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find("open", name); err != nil {
		return nil, err
	}
	for _, p := range m.below(name) {
		if p != "." && p != name && path.Dir(p) == name {
			entries = append(entries, m.files[p].FileInfo)
		}
	}
	return entries, nil
}

// ReadFile implements [FS].
func (m *Memory) ReadFile(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(f.data), nil
}

// WriteFile implements [FS].
func (m *Memory) WriteFile(_ context.Context, name string, data []byte, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find("open", name)
	if err != nil {
		if f, err = m.create("open", name, perm.Perm()); err != nil {
			return err
		}
	}
	f.data = nil
	return f.write("write", Block{Data: data})
}

// Open implements [FS].
func (m *Memory) Open(_ context.Context, name string, flag Flag, perm fs.FileMode) (Handle, *FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find("open", name)
	if flag&Create != 0 && (err != nil || flag&Exclusive != 0) {
		f, err = m.create("open", name, perm.Perm())
	}
	if err != nil {
		return 0, nil, err
	}
	if flag&Truncate != 0 {
		f.data, f.Size = nil, 0
	}
	m.last++
	m.open[m.last] = f
	info := f.FileInfo
	return m.last, &info, nil
}

func (m *Memory) handle(op string, h Handle) (*file, error) {
	f, ok := m.open[h]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: fmt.Sprint(h), Err: fs.ErrClosed}
	}
	return f, nil
}

// ReadAt implements [FS].
func (m *Memory) ReadAt(_ context.Context, h Handle, n int, off int64) (p []byte, eof bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.handle("read", h)
	if err != nil {
		return nil, false, err
	}
	if off < 0 || n < 0 {
		return nil, false, &fs.PathError{Op: "read", Path: f.Name, Err: fs.ErrInvalid}
	}
	rest := f.data[min(off, int64(len(f.data))):]
	return bytes.Clone(rest[:min(n, len(rest))]), n >= len(rest), nil
}

// WriteAt implements [FS].
func (m *Memory) WriteAt(_ context.Context, h Handle, blocks ...Block) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.handle("write", h)
	if err != nil {
		return 0, err
	}
	for _, b := range blocks {
		if err := f.write("write", b); err != nil {
			return 0, err
		}
		n += len(b.Data)
	}
	return n, nil
}

// Truncate implements [FS].
func (m *Memory) Truncate(_ context.Context, h Handle, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.handle("truncate", h)
	if err != nil {
		return err
	}
	if size < 0 || size > f.Size {
		return &fs.PathError{Op: "truncate", Path: f.Name, Err: fs.ErrInvalid}
	}
	f.data, f.Size = f.data[:size], size
	return nil
}

// Close implements [FS].
func (m *Memory) Close(_ context.Context, h Handle) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.handle("close", h)
	delete(m.open, h)
	return err
}

// Mkdir implements [FS].
func (m *Memory) Mkdir(_ context.Context, name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.create("mkdir", name, fs.ModeDir|perm.Perm())
	return err
}

// Remove implements [FS].
func (m *Memory) Remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find("remove", name); err != nil {
		return err
	}
	if len(m.below(name)) > 1 || name == "." {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrInvalid}
	}
	delete(m.files, name)
	return nil
}

// RemoveAll implements [FS].
func (m *Memory) RemoveAll(_ context.Context, name string) (removed int, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.below(name) {
		if p != "." {
			delete(m.files, p)
			removed++
		}
	}
	return removed, nil
}

// Rename implements [FS]: of files only.
func (m *Memory) Rename(_ context.Context, oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find("rename", oldname)
	if err != nil {
		return err
	}
	if f.Mode.IsDir() {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrInvalid}
	}
	to, err := m.create("rename", newname, f.Mode)
	if err != nil {
		return err
	}
	to.data, to.Size = f.data, f.Size
	delete(m.files, oldname)
	return nil
}

// Chmod implements [FS].
func (m *Memory) Chmod(_ context.Context, name string, mode fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find("chmod", name)
	if err != nil {
		return err
	}
	const special = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	f.Mode = f.Mode&^special | mode&special
	return nil
}

// Chtimes implements [FS].
func (m *Memory) Chtimes(_ context.Context, name string, _, mtime time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.find("chtimes", name)
	if err != nil {
		return err
	}
	f.ModTime = mtime
	return nil
}

// Walk implements [FS].
func (m *Memory) Walk(_ context.Context, root string, skip map[string]bool) iter.Seq2[WalkEntry, error] {
	return func(yield func(WalkEntry, error) bool) {
		m.mu.Lock()
		_, err := m.find("walk", root)
		var list []WalkEntry
		for _, p := range m.below(root) {
			e := WalkEntry{Path: p, Depth: strings.Count(p, "/")}
			if skip[path.Base(p)] {
				e.Err = &fs.PathError{Op: "walk", Path: p, Err: fs.ErrPermission}
			} else {
				info := m.files[p].FileInfo
				e.Info = &info
			}
			list = append(list, e)
		}
		m.mu.Unlock()
		if err != nil {
			yield(WalkEntry{}, err)
			return
		}
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Du implements [FS].
func (m *Memory) Du(_ context.Context, root string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find("du", root); err != nil {
		return Usage{}, err
	}
	all := Usage{ByExt: map[string]*Usage{}}
	for _, p := range m.below(root) {
		f := m.files[p]
		if f.Mode.IsDir() {
			all.Dirs++
			continue
		}
		one := all.ByExt[path.Ext(p)]
		if one == nil {
			one = new(Usage)
			all.ByExt[path.Ext(p)] = one
		}
		all.Files++
		one.Files++
		all.Bytes += uint64(f.Size)
		one.Bytes += uint64(f.Size)
	}
	return all, nil
}

// Receive implements [FS].
func (m *Memory) Receive(_ context.Context, name string, perm *fs.FileMode, blocks iter.Seq2[Block, error]) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		mode := fs.FileMode(0o644)
		if perm != nil {
			mode = perm.Perm()
		}
		m.mu.Lock()
		f, err := m.create("open", name, mode)
		m.mu.Unlock()
		if err != nil {
			yield(0, err)
			return
		}
		for b, err := range blocks {
			if err != nil {
				m.mu.Lock()
				delete(m.files, name) // half a file is none
				m.mu.Unlock()
				yield(0, err)
				return
			}
			m.mu.Lock()
			err = f.write("write", b)
			size := f.Size
			m.mu.Unlock()
			if err != nil {
				yield(0, err)
				return
			}
			if !yield(size, nil) {
				return
			}
		}
	}
}
