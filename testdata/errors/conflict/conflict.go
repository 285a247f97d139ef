// Package conflict breaks a rule.
package conflict

import (
	"context"
	"iter"
)

// Both has directives that do not go together.
//
//daffi:callback
//daffi:fetcher
type Both interface {
	//daffi:local // want "//daffi:local keeps a method off the wire, but Both is a fetcher too; move the fetcher's methods to an interface of its own \[DF016\]"
	Local(ctx context.Context) error
	//daffi:oneway
	Results(ctx context.Context) (int, error) // want "Both.Results is oneway and has results; drop //daffi:oneway, or return only error \[DF016\]"
	//daffi:oneway
	Output(ctx context.Context) iter.Seq2[int, error] // want "Both.Output is oneway and has results"
	//daffi:oneway
	Input(ctx context.Context, in iter.Seq2[int, error]) error // want "Both.Input is oneway and takes a sequence, whose end must be acknowledged; drop //daffi:oneway \[DF016\]"
	//daffi:idempotent
	Again(ctx context.Context, in iter.Seq2[int, error]) error // want "Both.Again is idempotent and takes a sequence, which cannot be sent a second time; drop //daffi:idempotent \[DF016\]"
}

// Relay is served under its own name and calls another service.
//
//daffi:callback
//daffi:fetcher elsewhere.Relay
type Relay interface {
	//daffi:alias Old
	Do(ctx context.Context) error // want "Relay is served itself and calls elsewhere.Relay, so an alias could be meant for either; make two interfaces of it \[DF016\]"
}
