// Package descriptors guards what generated services say of themselves to those who have no source: names and comments.
package descriptors

import (
	"context"
	"iter"
)

type (
	// Told has a comment in a group of types.
	//
	// It has "quotes", `backquotes`, a \backslash and ümlauts, in two paragraphs,
	//
	//	and code.
	//
	//daffi:callback
	Told interface {
		Bare(context.Context) error
		Unnamed(context.Context, string, int) (bool, error)
		Blank(_ context.Context, _ string, n int) (_ bool, err error)
		// Named has named arguments and results.
		Named(ctx context.Context, text string, counts ...int) (sum int, rest []int, err error)
		Beside(ctx context.Context) error // Beside has its comment beside it.
		// Upload has an input
		// sequence.
		//
		//daffi:alias Send
		//daffi:alias Put
		Upload(ctx context.Context, dir string, files iter.Seq2[[]byte, error]) (n int, err error)
		Watch(ctx context.Context, dir string) iter.Seq2[string, error]
		// Note: it is not answered.
		//daffi:oneway
		Note(ctx context.Context, line string) error
		Inherited
	}

	// Inherited is embedded.
	Inherited interface {
		// Deep comes from below.
		Deep(ctx context.Context, way string) error
	}
)

//daffi:callback
type Silent interface{}
