// Package onewaylevel breaks a rule.
package onewaylevel

import (
	"context"
	"iter"
)

// Both is served and called.
//
//daffi:callback
//daffi:fetcher
type Both interface {
	//daffi:oneway nome // want "oneway_level.go:14:17: //daffi:oneway: \"nome\" is not understood; did you mean none\? use one of accepted, none, admitted \[DF013\]"
	Near(ctx context.Context) error
	//daffi:oneway Admitted // want "\"Admitted\" is not understood; did you mean admitted\? use one of"
	Large(ctx context.Context) error
	//daffi:oneway   acepted // want "oneway_level.go:18:19: .* did you mean accepted\?"
	Misspelt(ctx context.Context) error
	//daffi:oneway executed // want "\"executed\" is not understood; use one of accepted, none, admitted \[DF013\]"
	Far(ctx context.Context) error
	//daffi:oneway none admitted // want "oneway_level.go:22:22: //daffi:oneway: \"admitted\" is one too many; name one level \[DF013\]"
	Two(ctx context.Context) error
	//daffi:oneway none,admitted // want "\"none,admitted\" is not understood"
	Comma(ctx context.Context) error
	//daffi:oneway ack=none // want "\"ack=none\" is not understood"
	Key(ctx context.Context) error
	//daffi:oneway none
	//daffi:oneway admitted // want "//daffi:oneway is said twice; keep one \[DF015\]"
	Twice(ctx context.Context) error
	//daffi:oneway none
	Results(ctx context.Context) (int, error) // want "Both.Results is oneway and has results; drop //daffi:oneway, or return only error \[DF016\]"
	//daffi:oneway admitted
	Input(ctx context.Context, in iter.Seq2[int, error]) error // want "Both.Input is oneway and takes a sequence"
	//daffi:event none // want "//daffi:event: \"none\" is not understood; it takes no arguments \[DF013\]"
	Event(ctx context.Context) error
}

// Served has nobody who waits.
//
//daffi:callback
type Served interface {
	//daffi:oneway
	Fine(ctx context.Context) error
	//daffi:oneway admitted // want "oneway_level.go:45:17: //daffi:oneway: admitted concerns a fetcher, since a caller decides how far it waits; leave it out here \[DF013\]"
	Level(ctx context.Context) error
	//daffi:oneway accepted // want "accepted concerns a fetcher"
	Default(ctx context.Context) error
	//daffi:oneway nine // want "\"nine\" is not understood; did you mean none\?"
	Wrong(ctx context.Context) error
}

// Calls waits for an answer of what gives none.
//
//daffi:fetcher Served
type Calls interface {
	//daffi:oneway none
	Fine(ctx context.Context) error
	Level(ctx context.Context) error // want "Calls.Level waits for a reply, but Served.Level at .* is //daffi:oneway and sends none; make the two agree \[DF041\]"
}
