// Package keyed has a fetcher whose arguments decide which provider is called.
package keyed

import (
	"context"
	"iter"
)

// Place is a key of several parts.
type Place struct {
	Shop  string
	Shelf int
	Below *Place
}

// Carts is served by several nodes, and says which one was called.
//
//daffi:callback
//daffi:fetcher
type Carts interface {
	//daffi:key user
	Add(ctx context.Context, item, user string, count int) (string, error)
	//daffi:key place
	Stock(ctx context.Context, place Place) (string, error)
	//daffi:key users
	Group(ctx context.Context, users ...string) (string, error)
	//daffi:key user
	//daffi:oneway
	Forget(ctx context.Context, user string) error
	//daffi:key user
	Watch(ctx context.Context, user string) iter.Seq2[string, error]
	//daffi:key user
	Fill(ctx context.Context, user string, in iter.Seq2[int, error]) (string, error)
	//daffi:key user
	Chat(ctx context.Context, user string, in iter.Seq2[int, error]) iter.Seq2[string, error]
	// The names that the generated function would have liked are taken.
	//
	//daffi:key at
	Names(ctx context.Context, at, e, keyAt string) (string, error)
	Plain(ctx context.Context, user string) (string, error)
}

// Many sends one call for each of many items.
//
//daffi:fetcher Carts
type Many interface {
	//daffi:alias Forget
	ForgetAll(ctx context.Context, users iter.Seq[string]) error
}
