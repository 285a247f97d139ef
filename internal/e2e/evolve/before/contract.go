// Package before is a service as it was; package after is the same one later.
package before

import (
	"context"
	"iter"
)

//go:generate go tool daffigen

// Contract is served as Evolving, in both versions.
//
//daffi:callback name=EvolvingBefore
type Contract interface {
	Methods
	OldName(ctx context.Context, text string) (string, error)
}

// Client calls Evolving.
//
//daffi:fetcher Evolving
type Client interface {
	Methods
	OldName(ctx context.Context, text string) (string, error)
}

// Methods has one for each way in which a method may change, but for its name.
type Methods interface {
	Same(ctx context.Context, text string) (string, error)

	FieldAdded(ctx context.Context, p Person) (Person, error)
	FieldRemoved(ctx context.Context, a Address) (Address, error)
	ArgumentAdded(ctx context.Context, text string) (string, error)
	ArgumentRemoved(ctx context.Context, text string, n int) (string, error)
	ResultAdded(ctx context.Context) (string, error)
	ResultRemoved(ctx context.Context) (string, int, error)
	FirstResultAdded(ctx context.Context) error
	OnlyResultRemoved(ctx context.Context) (string, error)

	ArgumentWidened(ctx context.Context, n int32) (string, error)
	ResultWidened(ctx context.Context) (int32, error)
	ArgumentNarrowed(ctx context.Context, n int64) (string, error)
	ResultNarrowed(ctx context.Context) (int64, error)
	FieldWidened(ctx context.Context, o Order) (string, error)
	ArgumentChanged(ctx context.Context, v string) (string, error)
	ResultChanged(ctx context.Context) (string, error)
	FieldChanged(ctx context.Context, s Stock) (string, error)

	Removed(ctx context.Context) (string, error)

	ItemFieldAdded(ctx context.Context, n int) iter.Seq2[Person, error]
	ItemWidened(ctx context.Context, n int) iter.Seq2[int32, error]
	ItemChanged(ctx context.Context, n int) iter.Seq2[int, error]
	InputFieldAdded(ctx context.Context, in iter.Seq2[Person, error]) (string, error)
	InputWidened(ctx context.Context, in iter.Seq2[int32, error]) (string, error)
	InputChanged(ctx context.Context, in iter.Seq2[string, error]) (string, error)
	Chat(ctx context.Context, in iter.Seq2[Person, error]) iter.Seq2[Person, error]
	ChatChanged(ctx context.Context, in iter.Seq2[int, error]) iter.Seq2[int, error]
	BecameStream(ctx context.Context) (string, error)
	Put(ctx context.Context, p Person) error
	PutChanged(ctx context.Context, n int) error
}

// Each streams to methods that take one.
//
//daffi:fetcher Evolving
type Each interface {
	//daffi:alias Put each
	PutAll(ctx context.Context, in iter.Seq[Person]) error
	//daffi:alias PutChanged each
	PutAllChanged(ctx context.Context, in iter.Seq[int]) error
}

// Person gains a field.
type Person struct{ Name string }

// Address loses one.
type Address struct{ Street, Zip string }

// Order has a line whose quantity becomes wider.
type Order struct{ Lines []Line }

// Line is one of an Order.
type Line struct{ Quantity int32 }

// Stock has a field whose type changes.
type Stock struct{ Count string }
