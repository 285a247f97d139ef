// Package validate has arguments that say of themselves whether they are valid, and a fetcher with a method of the name of the proxy's own.
package validate

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// ErrEmpty keeps its identity.
var ErrEmpty = errors.New("the name is empty")

// Order is asked by value.
type Order struct {
	Name  string
	Count int
}

// Validate is what generated code calls.
func (o Order) Validate() error {
	if o.Name == "" {
		return ErrEmpty
	}
	if o.Count < 1 {
		return fmt.Errorf("count is %d", o.Count)
	}
	return nil
}

// Note is asked by pointer.
type Note struct{ Text string }

// Validate needs a pointer.
func (n *Note) Validate() error {
	if len(n.Text) > 5 {
		return errors.New("the text is too long")
	}
	return nil
}

// Orders is a list that looks at its elements, which nobody else asks.
type Orders []Order

// Validate asks each.
func (o Orders) Validate() error {
	for i := range o {
		if err := o[i].Validate(); err != nil {
			return fmt.Errorf("order %d: %w", i+1, err)
		}
	}
	return nil
}

// Signed has the method of what it embeds.
type Signed struct {
	Order
	By string
}

// Strict has a method of that name that is none.
type Strict struct{ Text string }

// Validate takes an argument.
func (s Strict) Validate(strict bool) error { return errors.New(fmt.Sprint(s.Text, strict)) }

// Shop takes orders.
//
//daffi:callback
//daffi:errors ErrEmpty
type Shop interface {
	Place(ctx context.Context, order Order) error
	Write(ctx context.Context, c Order, err *Note) (string, error)
	Several(ctx context.Context, orders Orders, plain []Order, strict Strict) (int, error)
	Sign(ctx context.Context, _ Signed, note Note) error
	Feed(ctx context.Context, orders iter.Seq2[Order, error]) (int, error)
	FeedNotes(ctx context.Context, item string, notes iter.Seq2[*Note, error]) (int, error)
}

// Customer calls it.
//
//daffi:fetcher Shop
//daffi:errors ErrEmpty
type Customer interface {
	Place(ctx context.Context, order Order) error
	//daffi:alias Place
	PlaceAll(ctx context.Context, orders iter.Seq[Order]) error
	Write(ctx context.Context, c Order, err *Note) (string, error)
	Several(ctx context.Context, orders Orders, plain []Order, strict Strict) (int, error)
	Sign(ctx context.Context, by Signed, note Note) error
	Feed(ctx context.Context, orders iter.Seq[Order]) (int, error)
	FeedNotes(ctx context.Context, item string, notes iter.Seq[*Note]) (int, error)
}

// Door has a method with the name of the proxy's own, which gives way.
//
//daffi:callback
//daffi:fetcher
type Door interface {
	WaitReady(ctx context.Context, how string) (string, error)
}

// Bell prepares its calls by that name.
//
//daffi:callback
//daffi:fetcher prepare=WaitReady
type Bell interface {
	Ring(ctx context.Context) error
}
