// Package pipeline hands a text on from node to node: each does its part, and calls the next from inside its handler. The deadline of the first call bounds all
// of them, and its cancel ends all of them.
package pipeline

import (
	"context"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

//go:generate go tool daffigen

// Stage is one part of a pipeline.
//
//daffi:callback
//daffi:fetcher
type Stage interface {
	// Process does its part, has the named nodes do theirs, and returns what the last one has made of it.
	Process(ctx context.Context, text string, then []string) (string, error)
}

// Step is a Stage of a function.
type Step func(text string) string

// Process implements Stage.
func (s Step) Process(ctx context.Context, text string, then []string) (string, error) {
	text = s(text)
	if len(then) == 0 {
		return text, nil
	}
	return NewStage(daffi.NodeFrom(ctx), daffi.To(then[0])).Process(ctx, text, then[1:])
}
