package echo

import (
	"context"
	"iter"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Idle is what nodes and streams are there for that only have to be there.
//
//daffi:callback
//daffi:fetcher
type Idle interface {
	// Hold sends one number and then nothing, until its caller leaves.
	Hold(ctx context.Context) iter.Seq2[int, error]
}

// Write encodes an item as a call does, and nothing around it.
func Write(e *codec.Encoder, item Item) { writeItem(e, item) }

// Read is the inverse of [Write].
func Read(d *codec.Decoder) Item { return readItem(d) }
