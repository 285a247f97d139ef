// Package after is the service of package before, later.
package after

import (
	"context"
	"iter"
)

//go:generate go tool daffigen

// Contract is served as Evolving, in both versions.
//
//daffi:callback name=EvolvingAfter
type Contract interface {
	Methods
	//daffi:alias OldName
	NewName(ctx context.Context, text string) (string, error)
}

// Client calls Evolving.
//
//daffi:fetcher Evolving
type Client interface {
	Methods
	NewName(ctx context.Context, text string) (string, error)
}

// Methods has one for each way in which a method may have changed, but for its name.
type Methods interface {
	Same(ctx context.Context, text string) (string, error)

	FieldAdded(ctx context.Context, p Person) (Person, error)
	FieldRemoved(ctx context.Context, a Address) (Address, error)
	ArgumentAdded(ctx context.Context, text string, n int) (string, error)
	ArgumentRemoved(ctx context.Context, text string) (string, error)
	ResultAdded(ctx context.Context) (string, int, error)
	ResultRemoved(ctx context.Context) (string, error)
	FirstResultAdded(ctx context.Context) (string, error)
	OnlyResultRemoved(ctx context.Context) error

	ArgumentWidened(ctx context.Context, n int64) (string, error)
	ResultWidened(ctx context.Context) (int64, error)
	ArgumentNarrowed(ctx context.Context, n int32) (string, error)
	ResultNarrowed(ctx context.Context) (int32, error)
	FieldWidened(ctx context.Context, o Order) (string, error)
	ArgumentChanged(ctx context.Context, v int) (string, error)
	ResultChanged(ctx context.Context) (int, error)
	FieldChanged(ctx context.Context, s Stock) (string, error)

	Added(ctx context.Context) (string, error)

	ItemFieldAdded(ctx context.Context, n int) iter.Seq2[Person, error]
	ItemWidened(ctx context.Context, n int) iter.Seq2[int64, error]
	ItemChanged(ctx context.Context, n int) iter.Seq2[string, error]
	InputFieldAdded(ctx context.Context, in iter.Seq2[Person, error]) (string, error)
	InputWidened(ctx context.Context, in iter.Seq2[int64, error]) (string, error)
	InputChanged(ctx context.Context, in iter.Seq2[int, error]) (string, error)
	Chat(ctx context.Context, in iter.Seq2[Person, error]) iter.Seq2[Person, error]
	ChatChanged(ctx context.Context, in iter.Seq2[int, error]) iter.Seq2[string, error]
	BecameStream(ctx context.Context) iter.Seq2[string, error]
	Put(ctx context.Context, p Person) error
	PutChanged(ctx context.Context, text string) error
}

// Each streams to methods that take one.
//
//daffi:fetcher Evolving
type Each interface {
	//daffi:alias Put each
	PutAll(ctx context.Context, in iter.Seq[Person]) error
	//daffi:alias PutChanged each
	PutAllChanged(ctx context.Context, in iter.Seq[string]) error
}

// Person has gained a field.
type Person struct {
	Name string
	Age  int
}

// Address has lost one.
type Address struct{ Street string }

// Order has a line whose quantity is wider.
type Order struct{ Lines []Line }

// Line is one of an Order.
type Line struct{ Quantity int64 }

// Stock has a field whose type has changed.
type Stock struct{ Count int }
