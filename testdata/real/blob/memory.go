package blob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// chunk is how much a reader yields at a time.
const chunk = 4

// Memory is a Bucket in memory.
type Memory struct {
	mu      sync.Mutex
	now     func() time.Time
	objects map[string]*object
}

type object struct {
	Attributes
	content []byte
}

var _ Bucket = (*Memory)(nil)

// NewMemory returns an empty bucket whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, objects: map[string]*object{}}
}

func (m *Memory) find(key string) (*object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, key)
	}
	return o, nil
}

// Attributes implements [Bucket].
func (m *Memory) Attributes(_ context.Context, key string) (*Attributes, error) {
	o, err := m.find(key)
	if err != nil {
		return nil, err
	}
	return &o.Attributes, nil
}

// Exists implements [Bucket].
func (m *Memory) Exists(_ context.Context, key string) (bool, error) {
	_, err := m.find(key)
	return err == nil, nil
}

// list is sorted by key.
func (m *Memory) list(opts *ListOptions) (list []*ListObject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if opts == nil {
		opts = &ListOptions{}
	}
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		rest, ok := strings.CutPrefix(key, opts.Prefix)
		if !ok {
			continue
		}
		if opts.Delimiter != "" {
			if dir, _, ok := strings.Cut(rest, opts.Delimiter); ok {
				dir = opts.Prefix + dir + opts.Delimiter
				if n := len(list); n == 0 || list[n-1].Key != dir {
					list = append(list, &ListObject{Key: dir, IsDir: true})
				}
				continue
			}
		}
		o := m.objects[key]
		list = append(list, &ListObject{Key: key, ModTime: o.ModTime, Size: o.Size, MD5: o.MD5[:]})
	}
	return list
}

// ListPage implements [Bucket].
func (m *Memory) ListPage(_ context.Context, pageToken []byte, pageSize int, opts *ListOptions) (retval []*ListObject, nextPageToken []byte, err error) {
	if pageSize <= 0 {
		pageSize = 2
	}
	for _, o := range m.list(opts) {
		if o.Key <= string(pageToken) {
			continue
		}
		if len(retval) == pageSize {
			return retval, []byte(retval[pageSize-1].Key), nil
		}
		retval = append(retval, o)
	}
	return retval, nil, nil
}

// List implements [Bucket].
func (m *Memory) List(_ context.Context, opts *ListOptions) iter.Seq2[*ListObject, error] {
	return func(yield func(*ListObject, error) bool) {
		for _, o := range m.list(opts) {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// ReadAll implements [Bucket].
func (m *Memory) ReadAll(_ context.Context, key string) (_ []byte, err error) {
	o, err := m.find(key)
	if err != nil {
		return nil, err
	}
	return o.content, nil
}

// NewRangeReader implements [Bucket].
func (m *Memory) NewRangeReader(_ context.Context, key string, offset, length int64, whence Whence) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		o, err := m.find(key)
		if err != nil {
			yield(nil, err)
			return
		}
		switch whence {
		case Start:
		case End:
			offset += o.Size
		default:
			yield(nil, fmt.Errorf("blob: whence %d", whence))
			return
		}
		if offset < 0 || offset > o.Size {
			yield(nil, fmt.Errorf("blob: offset %d of %d", offset, o.Size))
			return
		}
		rest := o.content[offset:]
		short := length > int64(len(rest))
		if length >= 0 && !short {
			rest = rest[:length]
		}
		for c := range slices.Chunk(rest, chunk) {
			if !yield(c, nil) {
				return
			}
		}
		if short {
			yield(nil, fmt.Errorf("blob: %d bytes asked for, %d there", length, len(rest))) // after all that there is
		}
	}
}

func (m *Memory) put(key string, p []byte, opts *WriterOptions) (sum [md5.Size]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if opts == nil {
		opts = &WriterOptions{}
	}
	old := m.objects[key]
	if opts.IfNotExist && old != nil {
		return sum, fmt.Errorf("%w: %q exists", ErrChanged, key)
	}
	sum = md5.Sum(p)
	if opts.ContentMD5 != nil && !bytes.Equal(opts.ContentMD5, sum[:]) {
		return sum, ErrMD5
	}
	a := Attributes{ContentType: opts.ContentType, Metadata: maps.Clone(opts.Metadata), CreateTime: m.now(), Size: int64(len(p)), MD5: sum, ETag: hex.EncodeToString(sum[:])}
	a.ModTime = a.CreateTime
	if old != nil {
		a.CreateTime = old.CreateTime
	}
	m.objects[key] = &object{a, bytes.Clone(p)}
	return sum, nil
}

// WriteAll implements [Bucket].
func (m *Memory) WriteAll(_ context.Context, key string, p []byte, opts *WriterOptions) (err error) {
	_, err = m.put(key, p, opts)
	return err
}

// Upload implements [Bucket].
func (m *Memory) Upload(_ context.Context, key string, opts *WriterOptions, chunks iter.Seq2[[]byte, error]) (written int64, sum [md5.Size]byte, err error) {
	var p []byte
	for c, err := range chunks {
		if err != nil {
			return 0, sum, fmt.Errorf("upload %q: %w", key, err)
		}
		p = append(p, c...)
	}
	sum, err = m.put(key, p, opts)
	return int64(len(p)), sum, err
}

// Copy implements [Bucket].
func (m *Memory) Copy(_ context.Context, dstKey, srcKey string) error {
	o, err := m.find(srcKey)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[dstKey] = o
	return nil
}

// Delete implements [Bucket].
func (m *Memory) Delete(_ context.Context, keys ...string) (deleted map[string]bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		if deleted == nil {
			deleted = map[string]bool{}
		}
		_, deleted[key] = m.objects[key]
		delete(m.objects, key)
	}
	return deleted, nil
}

// SignedURL implements [Bucket].
func (m *Memory) SignedURL(_ context.Context, key string, opts *SignedURLOptions) (*url.URL, http.Header, error) {
	if opts == nil {
		return nil, nil, fmt.Errorf("blob: a URL needs options")
	}
	u := &url.URL{Scheme: "https", Host: "bucket.example.com", Path: "/" + strings.ToValidUTF8(key, "?")}
	u.RawQuery = url.Values{"expires": {m.now().Add(opts.Expiry).Format(time.RFC3339)}, "method": {opts.Method}}.Encode()
	h := http.Header{}
	if opts.ContentType != "" || opts.EnforceAbsentContentType {
		h.Set("Content-Type", opts.ContentType)
	}
	return u, h, nil
}
