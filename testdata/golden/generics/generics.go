// Package generics has generic types, of this package and another, with each other's types in them.
package generics

import (
	"context"
	"iter"
	"time"

	"github.com/daffi-rpc/daffi/testdata/golden/generics/page"
)

// Key is called like a type of the other package.
type Key struct{ Name string }

// Tree is recursive.
type Tree[T any] struct {
	Value T
	Kids  []Tree[T]
}

// Opt is an alias with a parameter.
type Opt[T any] = page.Either[T, error]

// Keys is an instantiation with a name.
type Keys page.Page[Key]

// Number may be either.
type Number interface{ ~int | ~float64 }

// Sum has a constraint.
type Sum[N Number] struct{ N N }

// Everything has them in all places.
type Everything struct {
	Own     page.Page[Key]
	Other   page.Page[page.Key]
	Nested  page.Either[page.Page[Key], Tree[page.Key]]
	Set     page.Set[string]
	List    page.List[page.List[time.Time]]
	Opt     Opt[Key]
	Keys    Keys
	Sum     Sum[float64]
	ByKey   map[string]page.Either[[]Key, map[int]page.Key]
	Array   [2]page.List[Key]
	Pointer *Tree[*Key]
	Any     page.Page[any]
}

// Repo is generic.
type Repo[K comparable, V any] interface {
	Get(ctx context.Context, key K) (V, error)
	List(ctx context.Context, after *K) iter.Seq2[page.Either[K, V], error]
}

// Service takes them alone.
//
//daffi:callback
//daffi:fetcher
type Service interface {
	Repo[string, page.Page[Key]]
	All(ctx context.Context, all Everything, opts ...Opt[Key]) (page.Page[page.Key], error)
	Sets(ctx context.Context, in iter.Seq2[page.Set[string], error]) (page.List[Key], Tree[Key], error)
}
