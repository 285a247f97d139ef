// Package serial has callbacks whose calls run one at a time.
package serial

import (
	"context"
	"iter"
)

// Ledger has one turn for all its methods.
//
//daffi:callback
//daffi:serial
//daffi:fetcher
type Ledger interface {
	Enter(ctx context.Context, who string) error
	//daffi:oneway
	Note(ctx context.Context, who string) error
	Watch(ctx context.Context, who string) iter.Seq2[int, error]
	Fill(ctx context.Context, who string, in iter.Seq2[int, error]) (int, error)
}

// Pile enters many.
//
//daffi:fetcher Ledger
type Pile interface {
	//daffi:alias Enter
	EnterAll(ctx context.Context, who iter.Seq[string]) error
}

// Desk has a turn for each of two methods, and none for the third.
//
//daffi:callback
//daffi:fetcher
type Desk interface {
	//daffi:serial
	First(ctx context.Context, who string) error
	//daffi:serial
	Second(ctx context.Context, who string) error
	Free(ctx context.Context, who string) error
}
