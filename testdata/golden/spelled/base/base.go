// Package base has types under names that only it can say.
package base

import (
	"context"
	"iter"
)

type id = string

type table[T any] = map[id]T

// Item is also Thing.
type Item struct{ Name id }

// Thing gives a field its name where it is embedded.
type Thing = Item

// Rows is embedded by an interface of another package.
type Rows interface {
	Lookup(ctx context.Context, key id, in table[int]) (table[Item], error)
	All(ctx context.Context, in iter.Seq2[id, error]) iter.Seq2[id, error]
	Pairs(ctx context.Context, in []struct {
		Thing
		Count int
	}) (int, error)
}

// Names has a type that another package has a name for.
//
//daffi:callback
//daffi:fetcher
type Names interface {
	Count(ctx context.Context, list []map[string]int) (int, error)
}
