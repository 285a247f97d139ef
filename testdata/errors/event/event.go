// Package event breaks a rule.
package event

import (
	"context"
	"iter"
)

// Both has events that cannot be.
//
//daffi:callback
//daffi:fetcher
type Both interface {
	//daffi:event all // want "//daffi:event: \"all\" is not understood; it takes no arguments \[DF013\]"
	Argument(ctx context.Context) error
	//daffi:event
	Results(ctx context.Context) (int, error) // want "Both.Results is an event and has results; drop //daffi:event, or return only error \[DF016\]"
	//daffi:event
	Output(ctx context.Context) iter.Seq2[int, error] // want "Both.Output is an event and has results"
	//daffi:event
	Input(ctx context.Context, in iter.Seq2[int, error]) error // want "Both.Input is an event and takes a sequence, whose end must be acknowledged; drop //daffi:event \[DF016\]"
	//daffi:event
	//daffi:idempotent
	Again(ctx context.Context) error // want "Both.Again is idempotent and an event, whose loss nobody is told of; drop //daffi:idempotent \[DF016\]"
	//daffi:idempotent
	Stream(ctx context.Context) iter.Seq2[int, error] // want "Both.Stream is idempotent and returns a sequence, which is never opened a second time; drop //daffi:idempotent \[DF016\]"
}

//daffi:callback
type Service interface {
	//daffi:event
	All(ctx context.Context, line string) error
	//daffi:event
	One(ctx context.Context, line string) error
	//daffi:event
	Each(ctx context.Context, line string) error
	Answered(ctx context.Context, line string) error
	//daffi:oneway
	Fine(ctx context.Context, line string) error
}

//daffi:fetcher Service
type Client interface {
	All(ctx context.Context, line string) error // want "Client.All waits for a reply, but Service.All at .*event.go:\\d+:2 is //daffi:event and sends none; make the two agree \[DF041\]"
	//daffi:oneway
	One(ctx context.Context, line string) error // want "Client.One goes to one provider, but Service.One at .*event.go:\\d+:2 is //daffi:event, for all of them; make the two agree \[DF041\]"
	//daffi:alias Each
	Many(ctx context.Context, lines iter.Seq[string]) error // want "Client.Many sends its items to one provider, but Service.Each at .* is //daffi:event, for all of them"
	//daffi:event
	Answered(ctx context.Context, line string) error // want "Client.Answered is //daffi:event, which nobody answers, but Service.Answered at .* sends a reply; make the two agree \[DF041\]"
	//daffi:event
	Fine(ctx context.Context, line string) error
}
