// Package mapfunction breaks a rule.
package mapfunction

import (
	"context"
	"iter"
)

//daffi:callback
type Service interface {
	Add(ctx context.Context, item string) error
	//daffi:map both // want "//daffi:map has no effect here; it concerns callers; put it on the fetcher's method \[DF012\]"
	Other(ctx context.Context, item string) error
}

var join = func(ctx context.Context, words []string) (string, error) { return "", nil }

func generic[T any](ctx context.Context, words []T) (string, error) { return "", nil }

type word string

//daffi:fetcher Service
type Client interface {
	//daffi:map missing // want "//daffi:map: this package declares no function missing; declare it as func missing\(context.Context, int, \.\.\.string\) \(…, error\) \[DF075\]"
	Add(ctx context.Context, n int, words ...string) error
	//daffi:alias Add
	//daffi:map join // want "//daffi:map: join at map_function.go:16:5 is no function; name one that is a func\(context.Context, \[\]string\) \(…, error\) \[DF075\]"
	AddWords(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map generic // want "//daffi:map: generic at map_function.go:18:6 has type parameters; name a function without, a func\(context.Context, \[\]string\) \(…, error\) \[DF075\]"
	AddMany(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map word // want "word at map_function.go:20:6 is no function"
	AddEach(ctx context.Context, words iter.Seq[string]) error
	//daffi:map // want "//daffi:map: it takes the name of one function of this package; write //daffi:map fn \[DF013\]"
	Other(ctx context.Context, words []string) error
}

//daffi:callback
//daffi:fetcher
type Both interface {
	//daffi:map both // want "//daffi:map makes a caller's arguments other than the callback's, but Both is both; make two interfaces of it \[DF016\]"
	Add(ctx context.Context, item string) error
}

func both(ctx context.Context, item string) (string, error) { return item, nil }

var _ = both
