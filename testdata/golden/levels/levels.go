// Package levels has one-way methods whose callers wait more or less.
package levels

import "context"

// Diary does not answer.
//
//daffi:callback
type Diary interface {
	//daffi:oneway
	Write(ctx context.Context, line string) error
	//daffi:event
	Shout(ctx context.Context, line string) error
	Answer(ctx context.Context, line string) error
}

// Writer has a method for each level.
//
//daffi:fetcher Diary
type Writer interface {
	//daffi:oneway
	Write(ctx context.Context, line string) error
	//daffi:oneway none
	//daffi:alias Write
	Scribble(ctx context.Context, line string) error
	//daffi:oneway accepted // as without
	//daffi:alias Write
	Send(ctx context.Context, line string) error
	//daffi:oneway 	admitted // comes last
	//daffi:alias Write
	Record(ctx context.Context, line string) error
	//daffi:event
	//daffi:oneway none
	Shout(ctx context.Context, line string) error
	//daffi:oneway admitted
	//daffi:event
	//daffi:alias Shout
	Proclaim(ctx context.Context, line string) error
	// Answer has no use for the answer.
	//
	//daffi:oneway admitted
	//daffi:timeout 1m
	Answer(ctx context.Context, line string) error
}

// Log is called at one level by those who call it under its own name.
//
//daffi:callback
//daffi:fetcher
type Log interface {
	//daffi:oneway none
	Add(ctx context.Context, line string) error
}

// Audit calls it at another.
//
//daffi:fetcher Log
type Audit interface {
	//daffi:oneway admitted
	Add(ctx context.Context, line string) error
}
