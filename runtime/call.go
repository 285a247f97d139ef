package daffi

import (
	"context"
	"iter"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
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
func (c Call[R]) With(opts ...CallOption) Call[R] {
	c.x = c.x.with(opts)
	c.b = c.b.self.choosing(c.x)
	return c
}

// Do sends the call and waits for its result or for ctx. With an error the result is zero.
//
// Nothing of c may be stored from here on: escape analysis does not tell the fields of a struct apart, and one that is stored would move
// every caller's argument closure to the heap.
func (c Call[R]) Do(ctx context.Context) (R, error) {
	p, err := c.b.prepare(ctx, c.m, c.x, c.enc)
	if err == nil {
		err = c.b.self.exchange(ctx, p, c.m, c.x, 0)
	}
	if err != nil {
		var zero R
		return zero, err
	}
	return finish(c.b.self, p, c.m, c.dec)
}

// An Action is a prepared call of a method whose only result is an error. It is an immutable value, like [Call].
type Action struct {
	b   *Binding
	x   *extra
	enc func(*codec.Encoder)
	m   int
}

// With is a copy of a with opts applied on top of the proxy's; later options win.
func (a Action) With(opts ...CallOption) Action {
	a.x = a.x.with(opts)
	a.b = a.b.self.choosing(a.x)
	return a
}

// Do sends the call and waits for its end or for ctx. For a oneway method it returns nil once the call is accepted, for an event once it is accepted for every
// provider but the node itself.
func (a Action) Do(ctx context.Context) error {
	p, err := a.b.prepare(ctx, a.m, a.x, a.enc)
	if err != nil {
		return err
	}
	return a.b.self.act(ctx, p, a.m, a.x)
}

// A Stream is a prepared call whose result is a sequence. It is an immutable value, like [Call].
type Stream[T any] struct {
	b   *Binding
	x   *extra
	enc func(*codec.Encoder)
	dec func(*codec.Decoder) T
	m   int
}

// With is a copy of s with opts applied on top of the proxy's; later options win.
func (s Stream[T]) With(opts ...CallOption) Stream[T] {
	s.x = s.x.with(opts)
	s.b = s.b.self.choosing(s.x)
	return s
}

// Do is the stream. It is opened when ranged over, once; an error is its last pair; leaving the loop cancels the far side.
func (s Stream[T]) Do(ctx context.Context) iter.Seq2[T, error] {
	return streamOf(ctx, s.b, s.m, s.x, s.enc, s.dec)
}

// act runs a call without results and releases p.
func (b *Binding) act(ctx context.Context, p *pending, m int, x *extra) error {
	if x.delayed() {
		return b.delayed(ctx, p, m, x, func(x *extra) error { return b.act(ctx, p, m, x) })
	}
	if b.client.Methods[m].Oneway {
		return b.deliver(ctx, p, m, x)
	}
	return released(p, b.exchange(ctx, p, m, x, 0))
}

// exchange sends p and waits for its end. After an error p is released.
func (b *Binding) exchange(ctx context.Context, p *pending, m int, x *extra, mode transport.Mode) error {
	switch {
	case x.delayed():
		return b.delayed(ctx, p, m, x, func(x *extra) error { return b.exchange(ctx, p, m, x, mode) })
	case x.hedges() && x.hasInput():
		p.release()
		return b.unhedgeable(m, "its input can be had only once")
	case x.hasInput():
		return b.feed(ctx, p, m, x)
	}
	return b.roundTrip(ctx, p, m, x, mode)
}
