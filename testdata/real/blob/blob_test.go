package blob

import (
	"context"
	"crypto/md5"
	"testing"
	"time"

	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

// prepared has two objects.
func prepared() Bucket {
	m, ctx := NewMemory(both.Clock()), context.Background()
	both.Must(m, m.WriteAll(ctx, "a", []byte("0123456789"), &WriterOptions{Metadata: map[string]string{"k": "v"}}))
	return both.Must(m, m.WriteAll(ctx, "a/b", nil, nil))
}

func TestBucket(t *testing.T) {
	sum := md5.Sum([]byte("content"))
	both.Run(t, both.Subject[Bucket, Bucket]{
		Service:  BucketName,
		New:      prepared,
		Register: RegisterBucket,
		Proxy:    func(c daffi.Caller) Bucket { return NewBucket(c) },
		Direct:   func(b Bucket) Bucket { return b },
		Errors:   both.Is(ErrNotFound, ErrChanged, ErrMD5),
		Values: []func(*both.Values){
			both.Of(rapid.OneOf(rapid.SampledFrom([]string{"a", "a/b", "a/c", "b"}), rapid.String())),
			both.Of(rapid.OneOf(rapid.Just([]byte("content")), rapid.SliceOf(rapid.Byte()))),
			both.Of(rapid.IntRange(-1, 3)),
			both.Of(rapid.SampledFrom([]Whence{Start, End, 7})),
			both.Of(rapid.SampledFrom([]time.Duration{time.Minute, -time.Hour})),
			both.Field[ListOptions]("Prefix", rapid.SampledFrom([]string{"", "a", "a/"})),
			both.Field[ListOptions]("Delimiter", rapid.SampledFrom([]string{"", "/"})),
			both.Field[WriterOptions]("ContentMD5", rapid.SampledFrom([][]byte{nil, nil, sum[:], {}})),
		},
		Args: map[string]func(*rapid.T) []any{
			"NewRangeReader": func(t *rapid.T) []any {
				return []any{"a", rapid.Int64Range(-4, 8).Draw(t, "offset"), rapid.Int64Range(-1, 8).Draw(t, "length")}
			},
		},
	})
}
