package daffi

import (
	"context"
	"iter"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// A Call is a prepared call of a method with results. It is an immutable value that has not been sent: run it as often as you
// like, from any goroutine. Arguments are read when it is run, so do not change what they point to before that.
//
// R is the method's result, or, for a method with several, a generated struct of them.
type Call[R any] struct {
	b   *Binding
	x   *extra
	enc func(*codec.Encoder)
	dec func(*codec.Decoder) R
	m   int
}

// With is a copy of c with opts applied on top of the proxy's; later options win.
func (c Call[R]) With(opts ...CallOption) Call[R] { c.x = c.x.with(opts); return c }

// Do sends the call and waits for its result or for ctx. With an error the result is zero.
func (c Call[R]) Do(ctx context.Context) (R, error) { panic("todo") }

// Post sends the call without wanting its results. It returns nil when the controller has taken responsibility for it.
func (c Call[R]) Post(ctx context.Context) error { panic("todo") }

// An Action is a prepared call of a method whose only result is an error. It is an immutable value, like [Call].
type Action struct {
	b   *Binding
	x   *extra
	enc func(*codec.Encoder)
	m   int
}

// With is a copy of a with opts applied on top of the proxy's; later options win.
func (a Action) With(opts ...CallOption) Action { a.x = a.x.with(opts); return a }

// Do sends the call and waits for its end or for ctx. For a oneway method it returns nil once the call is accepted.
func (a Action) Do(ctx context.Context) error { panic("todo") }

// Post sends the call without waiting for its end. It returns nil when the controller has taken responsibility for it.
func (a Action) Post(ctx context.Context) error { panic("todo") }

// A Stream is a prepared call whose result is a sequence. It is an immutable value, like [Call].
type Stream[T any] struct {
	b   *Binding
	x   *extra
	enc func(*codec.Encoder)
	dec func(*codec.Decoder) T
	m   int
}

// With is a copy of s with opts applied on top of the proxy's; later options win.
func (s Stream[T]) With(opts ...CallOption) Stream[T] { s.x = s.x.with(opts); return s }

// Do is the stream. It is opened when ranged over, once; an error is its last pair; leaving the loop cancels the far side.
func (s Stream[T]) Do(ctx context.Context) iter.Seq2[T, error] { panic("todo") }
