// Package anyvalues has values of any type.
package anyvalues

import (
	"context"
	"iter"
)

// Anything is any under another name.
type Anything any

// Labels are as people write them.
type Labels = map[string]any

// Record holds any in all places.
type Record struct {
	Value  any
	List   []any
	Labels Labels
	Named  Anything
	Nameds []Anything
	Pair   [2]any
	Maybe  *any
	Deep   map[int][]map[string]any
	Old    interface{}
}

// Store takes and gives anything.
//
//daffi:callback
//daffi:fetcher
type Store interface {
	Put(ctx context.Context, key string, value any) error
	Get(ctx context.Context, key string) (any, error)
	Records(ctx context.Context, labels Labels, args ...any) ([]Record, error)
	Pipe(ctx context.Context, in iter.Seq2[any, error]) iter.Seq2[Anything, error]
}
