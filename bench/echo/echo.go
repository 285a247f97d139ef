// Package echo is the interface that daffi is measured with, and the value that every system carries.
package echo

import (
	"context"
	"iter"
)

//go:generate go tool daffigen

// Item is what is echoed and streamed.
type Item struct {
	ID   uint64
	Name string
	Tags []string
	Data []byte
}

// Echo is served by one process and called by another.
//
//daffi:callback
//daffi:fetcher
type Echo interface {
	Echo(ctx context.Context, item Item) (Item, error)
	// Up counts what it is sent.
	Up(ctx context.Context, in iter.Seq2[Item, error]) (int, error)
	// Down sends n items of size bytes.
	Down(ctx context.Context, n, size int) iter.Seq2[Item, error]
}
