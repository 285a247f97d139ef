package daffi

import (
	"context"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Post sends the call without wanting its results. It returns nil when the controller has taken responsibility for it.
func (c Call[R]) Post(ctx context.Context) error { return c.b.post(ctx, c.m, c.x, c.enc) }

// Post sends the call without waiting for its end. It returns nil when the controller has taken responsibility for it.
func (a Action) Post(ctx context.Context) error { return a.b.post(ctx, a.m, a.x, a.enc) }

// post sends a call without wanting its results, and waits until the controller has accepted it.
func (b *Binding) post(ctx context.Context, m int, x *extra, enc func(*codec.Encoder)) error {
	if x.hasInput() {
		return &Error{Code: InvalidArgument, Reason: ReasonShape, Outcome: NotRun, Method: b.methods[m].full, Message: "a call with an input sequence cannot be posted: use Do"}
	}
	p, err := b.prepare(ctx, m, x, enc)
	if err != nil {
		return err
	}
	if b.client.Methods[m].Event && x.anyone() {
		return b.self.event(ctx, p, m, x)
	}
	if err = b.roundTrip(ctx, p, m, x, transport.Oneway); err == nil {
		p.release()
	}
	return err
}
