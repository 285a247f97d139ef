// Package fanout sends the pictures of one camera to every viewer that is there.
package fanout

import (
	"context"
	"iter"
)

//go:generate go tool daffigen

// A Frame is one picture.
type Frame struct {
	Number  int
	Picture []byte
}

// Viewer shows what it is sent.
//
//daffi:callback
type Viewer interface {
	Show(ctx context.Context, f Frame) error
	// Shown counts the frames that were shown, and adds their numbers.
	Shown(ctx context.Context) (frames, sum int, err error)
}

// Film is what a camera does with viewers.
//
//daffi:fetcher Viewer
type Film interface {
	// Roll streams frames to Show, one call per frame, in order.
	//
	//daffi:alias Show
	Roll(ctx context.Context, frames iter.Seq[Frame]) error
	Shown(ctx context.Context) (frames, sum int, err error)
}
