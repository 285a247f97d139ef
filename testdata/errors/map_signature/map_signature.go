// Package mapsignature breaks a rule.
package mapsignature

import (
	"context"
	"io"
	"iter"

	"github.com/daffi-rpc/daffi/testdata/errors/map_signature/away"
)

//daffi:callback
type Service interface {
	Add(ctx context.Context, item string) error
	Sum(ctx context.Context, in iter.Seq2[int, error]) (int, error)
}

func noContext(words []string) (string, error)                           { return "", nil }
func noError(ctx context.Context, words []string) string                 { return "" }
func other(ctx context.Context, words []int) (string, error)             { return "", nil }
func more(ctx context.Context, words []string, n int) (string, error)    { return "", nil }
func two(ctx context.Context, word string) (string, int, error)          { return "", 0, nil }
func dots(ctx context.Context, word ...string) (string, error)           { return "", nil }
func number(ctx context.Context, words []string) (n int, err error)      { return 0, nil }
func channel(ctx context.Context, words []string) (ch chan int, _ error) { return nil, nil }
func broken(ctx context.Context, words []string) (missing, error)        { return nil, nil } // want "undefined: missing; make it compile .* \[DF002\]"
func ctxOnly(ctx context.Context) (string, error)                        { return "", nil }
func none(ctx context.Context) error                                     { return nil }

//daffi:fetcher Service
type Client interface {
	//daffi:alias Add
	//daffi:map noContext // want "//daffi:map: noContext at .*map_signature.go:18:6 is func\(words \[\]string\) \(string, error\); for Client.A make it func\(context.Context, \[\]string\) \(…, error\) \[DF076\]"
	A(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map noError // want "noError at .* \[DF076\]"
	B(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map other // want "other at .*words \[\]int.* \[DF076\]"
	C(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map more // want "more at .* \[DF076\]"
	D(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map two // want "two at .*map_signature.go:22:6 is func\(ctx context.Context, word string\) \(string, int, error\); for Client.E make it func\(context.Context, string\) \(item, error\) \[DF076\]"
	E(ctx context.Context, words iter.Seq[string]) error
	//daffi:alias Add
	//daffi:map dots // want "dots at .* \[DF076\]"
	F(ctx context.Context, words iter.Seq[[]string]) error
	//daffi:alias Add
	//daffi:map number
	G(ctx context.Context, words []string) error // want "Client.G sends \(int\)\(\), but Service.Add at .*map_signature.go:14:2 takes \(string\)\(\); make the two agree \[DF041\]"
	//daffi:alias Add
	//daffi:map channel // want "Client.H: ch of channel chan int: channels cannot travel; .* \[DF030\]"
	H(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map broken
	I(ctx context.Context, words []string) error
	//daffi:alias Add
	//daffi:map ctxOnly
	J(ctx context.Context) error
	//daffi:alias Sum
	//daffi:map none
	K(ctx context.Context, in iter.Seq[io.Reader]) (int, error) // want "Client.K: in io.Reader: readers and writers cannot travel; .* \[DF030\]"
}

//daffi:fetcher Service
type Embedding interface { // want "Embedding.Add: one of its types cannot be named in this package; use types that are exported \[DF030\]"
	away.Sealed
}

func sealed(ctx context.Context, _ any) (string, error) { return "", nil }
