// Package shapes has every shape of method, in an interface that is served and called.
package shapes

import (
	"context"
	"iter"
)

// Shapes has every shape.
//
//daffi:callback
//daffi:fetcher
type Shapes interface {
	Nothing(ctx context.Context) error
	Argument(ctx context.Context, a string) error
	Result(ctx context.Context) (string, error)
	// Stats has several results, all named. Its comment has more than one line,
	// and code:
	//
	//	mean, count, err := s.Stats(ctx, "key")
	//
	//daffi:idempotent
	Stats(ctx context.Context, key string) (mean float64, count int, err error)
	Three(ctx context.Context) (string, int, bool, error)
	Named(ctx context.Context) (total int, err error)
	AddAll(ctx context.Context, prefix string, items ...string) (int, error)
	Sum(ctx context.Context, numbers ...int) (int, error)

	Watch(ctx context.Context, prefix string) iter.Seq2[int, error]
	Tick(ctx context.Context) iter.Seq2[struct{}, error]
	Upload(ctx context.Context, dir string, chunks iter.Seq2[[]byte, error]) (int, error)
	Drain(ctx context.Context, in iter.Seq2[string, error]) error
	Merge(ctx context.Context, in iter.Seq2[int, error]) (lowest, highest int, err error)
	Chat(ctx context.Context, room string, in iter.Seq2[string, error]) iter.Seq2[string, error]

	// Log waits for nothing.
	//
	//daffi:oneway
	Log(ctx context.Context, line string) error
	//daffi:timeout 1m30s
	//daffi:idempotent
	Slow(ctx context.Context) error
}

// Bare has no methods.
//
//daffi:callback
//daffi:fetcher
type Bare interface{}

// Loose feeds the client streams of Shapes with sequences that cannot fail.
//
//daffi:fetcher Shapes
type Loose interface {
	Upload(ctx context.Context, dir string, chunks iter.Seq[[]byte]) (int, error)
	Chat(ctx context.Context, room string, in iter.Seq[string]) iter.Seq2[string, error]
	//daffi:alias Drain
	DrainAll(ctx context.Context, in iter.Seq[string]) error
	//daffi:timeout 250ms
	Nothing(ctx context.Context) error
}
