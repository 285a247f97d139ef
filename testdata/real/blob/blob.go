// Package blob is a bucket of objects in the shape of gocloud.dev/blob and its drivers.
package blob

import (
	"context"
	"crypto/md5"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

//go:generate go tool daffigen

// What a Bucket fails with.
var (
	ErrNotFound = errors.New("blob: no such key")
	ErrChanged  = errors.New("blob: the precondition does not hold")
	ErrMD5      = errors.New("blob: the content does not have that MD5 sum")
)

// Attributes are those of an object.
type Attributes struct {
	CacheControl    string
	ContentType     string
	ContentLanguage string
	Metadata        map[string]string
	CreateTime      time.Time
	ModTime         time.Time
	Size            int64
	MD5             [md5.Size]byte
	ETag            string
}

// WriterOptions are those of a new object. ContentMD5 is checked if it is not nil.
type WriterOptions struct {
	BufferSize  int `daffi:"-"` // of the one who writes
	ContentType string
	ContentMD5  []byte
	Metadata    map[string]string
	IfNotExist  bool
	BeforeWrite func(asFunc func(any) bool) error `daffi:"-"` // for one cloud only
}

// ListOptions select objects.
type ListOptions struct {
	Prefix     string
	Delimiter  string
	BeforeList func(asFunc func(any) bool) error `daffi:"-"`
}

// ListObject is an object, or what several have in common up to a delimiter.
type ListObject struct {
	Key     string
	ModTime time.Time
	Size    int64
	MD5     []byte
	IsDir   bool
}

// SignedURLOptions say what a URL is good for.
type SignedURLOptions struct {
	Expiry                   time.Duration
	Method                   string
	ContentType              string
	EnforceAbsentContentType bool
}

// Bucket keeps objects.
//
//daffi:callback name=storage.bucket
//daffi:fetcher
type Bucket interface {
	Attributes(ctx context.Context, key string) (*Attributes, error)
	Exists(ctx context.Context, key string) (bool, error)
	ListPage(ctx context.Context, pageToken []byte, pageSize int, opts *ListOptions) (retval []*ListObject, nextPageToken []byte, err error)
	List(ctx context.Context, opts *ListOptions) iter.Seq2[*ListObject, error]

	ReadAll(ctx context.Context, key string) (_ []byte, err error)
	// NewRangeReader yields the bytes from offset on, all of them if length is negative. Whence is io's.
	NewRangeReader(ctx context.Context, key string, offset, length int64, whence Whence) iter.Seq2[[]byte, error]

	WriteAll(ctx context.Context, key string, p []byte, opts *WriterOptions) (err error)
	// Upload writes what chunks yields, if it comes to its end.
	Upload(ctx context.Context, key string, opts *WriterOptions, chunks iter.Seq2[[]byte, error]) (written int64, sum [md5.Size]byte, err error)
	Copy(ctx context.Context, dstKey, srcKey string) error
	Delete(ctx context.Context, keys ...string) (deleted map[string]bool, err error)

	SignedURL(ctx context.Context, key string, opts *SignedURLOptions) (*url.URL, http.Header, error)
}

// Whence is io.SeekStart or io.SeekEnd.
type Whence int

// What an offset is counted from.
const (
	Start Whence = io.SeekStart
	End   Whence = io.SeekEnd
)
