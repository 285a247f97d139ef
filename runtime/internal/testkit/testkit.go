// Package testkit is a service that the runtime's own tests call: one method for every shape, and some that misbehave on purpose.
package testkit

import (
	"context"
	"iter"
	"time"
)

//go:generate go tool daffigen

// Kit is served and called.
//
//daffi:callback
//daffi:fetcher
type Kit interface {
	// Echo returns what it is given.
	Echo(ctx context.Context, b []byte) ([]byte, error)
	// Fail returns an error, panics or returns something that cannot be sent, as it is told.
	Fail(ctx context.Context, how string) (string, error)
	// Block returns when its context ends, with how it ended.
	Block(ctx context.Context) error
	// Add adds n to a sum, Total is that sum.
	Add(ctx context.Context, n int) error
	Total(ctx context.Context) (int, error)
	// Who is the caller's name, the time that is left, and the depth of calls.
	Who(ctx context.Context) (caller string, left time.Duration, err error)
	// Meta is the metadata of its call.
	Meta(ctx context.Context) (map[string]string, error)
	// Nest calls itself through the node that it runs on until depth is 0, and counts the calls.
	Nest(ctx context.Context, depth int) (int, error)

	// Count yields the numbers from 0 to n-1, then fails if it is told to.
	Count(ctx context.Context, n int, fail string) iter.Seq2[int, error]
	// Blobs yields n blobs of that size.
	Blobs(ctx context.Context, n, size int) iter.Seq2[[]byte, error]
	// Sum adds what is sent, until it has taken limit numbers; 0 is no limit.
	Sum(ctx context.Context, limit int, in iter.Seq2[int, error]) (int, error)
	// Size counts the bytes that are sent.
	Size(ctx context.Context, in iter.Seq2[[]byte, error]) (int, error)
	// Chat answers every line with the same.
	Chat(ctx context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error]

	// Note is not answered.
	//
	//daffi:oneway
	Note(ctx context.Context, line string) error
	// Quick has a deadline of its own.
	//
	//daffi:timeout 200ms
	Quick(ctx context.Context) error
}

// Many streams to Add.
//
//daffi:fetcher Kit
type Many interface {
	//daffi:alias Add
	AddEach(ctx context.Context, numbers iter.Seq2[int, error]) error
}
