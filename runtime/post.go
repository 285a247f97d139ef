package daffi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Ack says how far a one-way call must have come before whoever makes it goes on (SEM-9). What happens to it later is not their concern.
type Ack uint8

const (
	AckAccepted Ack = iota // the controller has found a provider and sent it there
	AckNone                // the node's own queue has it
	AckAdmitted            // it is among the calls that the provider runs, or that wait there
)

func (a Ack) String() string {
	switch a {
	case AckAccepted:
		return "accepted"
	case AckNone:
		return "none"
	case AckAdmitted:
		return "admitted"
	}
	return fmt.Sprintf("ack(%d)", uint8(a))
}

// WithAck sets how far a one-way call must have come before Post, or Do of a method that is one-way, returns nil. Where it has no effect it is ignored.
func WithAck(a Ack) CallOption {
	return CallOption{func(o *callOptions) { o.ack = &a }}
}

// Post sends the call without wanting its results. It returns nil when the controller has taken responsibility for it, or what [WithAck] says instead. A queue that is full
// is an error.
func (c Call[R]) Post(ctx context.Context) error { return c.b.post(ctx, c.m, c.x, c.enc) }

// Post sends the call without waiting for its end. It returns nil when the controller has taken responsibility for it, or what [WithAck] says instead. A queue that is
// full is an error.
func (a Action) Post(ctx context.Context) error { return a.b.post(ctx, a.m, a.x, a.enc) }

// post sends a call without wanting its results.
func (b *Binding) post(ctx context.Context, m int, x *extra, enc func(*codec.Encoder)) error {
	if x.hasInput() {
		return &Error{Code: InvalidArgument, Reason: ReasonShape, Outcome: NotRun, Method: b.methods[m].full, Message: "a call with an input sequence cannot be posted: use Do"}
	}
	p, err := b.prepare(ctx, m, x, enc)
	if err != nil {
		return err
	}
	if x.delayed() {
		return b.postLater(ctx, p, m, x)
	}
	return b.self.deliver(ctx, p, m, x)
}

// deliver sends the one-way call p, which it releases, as far as it must have come.
func (b *Binding) deliver(ctx context.Context, p *pending, m int, x *extra) error {
	event := b.client.Methods[m].Event && x.anyone()
	switch ack := b.ack(m, x); {
	case ack > AckAdmitted:
		p.release()
		return &Error{Code: InvalidArgument, Reason: ReasonShape, Outcome: NotRun, Method: b.methods[m].full, Message: fmt.Sprintf("there is no level %v: a call is acknowledged when it is accepted or admitted, or not at all", ack)}
	case x.hedges():
		p.release()
		return b.unhedgeable(m, "of a one-way call nobody waits for the answer")
	case ack == AckAdmitted && !b.choice.Admitted:
		return b.admitting().deliver(ctx, p, m, x)
	case ack == AckNone && (event || b.intercepts(x)):
		return b.handOff(ctx, p, m, x.clone(), event)
	case ack == AckNone:
		return b.hand(ctx, p, m, x)
	case event:
		return b.event(ctx, p, m, x)
	}
	return released(p, b.roundTrip(ctx, p, m, x, transport.Oneway))
}

// admitting is b for calls that are answered for when their providers have admitted them.
func (b *Binding) admitting() *Binding {
	x := &extra{callOptions: callOptions{choice: b.choice}}
	x.choice.Admitted = true
	return b.choosing(x)
}

// ack is how far a one-way call must have come.
func (b *Binding) ack(m int, x *extra) Ack {
	if x != nil && x.ack != nil {
		return *x.ack
	}
	return b.client.Methods[m].Ack
}

// posts counts the one-way calls that were handed over and not answered for, in batches: [Node.Flush] seals the one that grows, and waits for all that there are.
type posts struct {
	mu    sync.Mutex
	grows *postBatch   // nil if there is none
	all   []*postBatch // that have calls left, grows among them
}

type postBatch struct {
	left int
	done chan struct{} // closed when left is zero
}

// add counts a call.
func (q *posts) add() *postBatch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.grows == nil {
		q.grows = &postBatch{done: make(chan struct{})}
		q.all = append(q.all, q.grows)
	}
	q.grows.left++
	return q.grows
}

// end is called when a call of b was answered for.
func (q *posts) end(b *postBatch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.left--; b.left > 0 {
		return
	}
	if q.grows == b {
		q.grows = nil
	}
	for i, other := range q.all {
		if other == b {
			q.all = append(q.all[:i:i], q.all[i+1:]...)
			break
		}
	}
	close(b.done)
}

// seal is what there is at this moment.
func (q *posts) seal() []*postBatch {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.grows = nil
	return append([]*postBatch(nil), q.all...)
}

// Flush waits until every one-way call that was handed to the node before, with [AckNone] or [After], is accepted, or has failed: [Options.OnLost] is told of those that have.
// Other one-way calls are waited for by whoever makes them. It returns an error only when ctx ends before.
func (n *Node) Flush(ctx context.Context) error {
	for _, b := range n.posts.seal() {
		select {
		case <-b.done:
		case <-ctx.Done():
			return contextError(ctx, "")
		}
	}
	return nil
}

// handed is a one-way call that the node's queue has and nobody waits for. It ends with the second of two parts, whose order nobody knows: it was enqueued, and it was answered
// for.
type handed struct {
	b     *Binding
	m     int
	x     *extra
	p     *pending
	t     trip
	s     *session
	id    uint64
	parts atomic.Int32
	batch *postBatch
	ctx   context.Context // what the call inherits, without its end
}

// hand gives the one-way call p to the session's queue.
func (b *Binding) hand(ctx context.Context, p *pending, m int, x *extra) error {
	n := b.node
	s := n.current.Load()
	if s == nil {
		p.release()
		return b.unattended(m)
	}
	if e := n.work.begin(); e != nil {
		p.release()
		e.Method = b.methods[m].full
		return e
	}
	h := &handed{b: b, m: m, x: x.clone(), p: p, t: b.trip(ctx, p, m, x), s: s, batch: n.posts.add(), ctx: context.WithoutCancel(ctx)}
	h.parts.Store(2)
	p.sink, p.hasty = h.ended, true
	id, first, e := b.enqueue(ctx, s, p, m, x, transport.Oneway, h.t.deadline, !h.t.deadline.IsZero())
	if e != nil {
		p.release()
		h.end()
		return e
	}
	h.id = id
	if !h.t.deadline.IsZero() {
		s.expireAt(h.t.deadline)
	}
	s.depart(first)
	h.part()
	return nil
}

func (h *handed) ended(*pending) { h.part() }

// part ends one part of two.
func (h *handed) part() {
	switch {
	case h.parts.Add(-1) > 0:
	case h.p.err == nil:
		h.p.release()
		h.end()
	default:
		go h.fail()
	}
}

// end lets go of h.
func (h *handed) end() {
	h.b.node.work.end()
	h.b.node.posts.end(h.batch) // last: whoever flushes goes on
}

// fail sends the call again where that is safe, else it is lost.
func (h *handed) fail() {
	defer h.end()
	b, p := h.b, h.p
	p.sink, p.hasty = nil, false
	ctx := h.ctx
	if !h.t.deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, h.t.deadline)
		defer cancel()
	}
	b.gaveUp(h.m, released(p, b.proceed(ctx, p, h.m, h.x, transport.Oneway, h.t, b.ended(h.s, h.id, p, h.m))))
}

// gaveUp tells of the end of a one-way call that nobody waits for.
func (b *Binding) gaveUp(m int, err error) {
	if err == nil {
		return
	}
	c := LostCall{Method: b.methods[m].full, Caller: b.node.opts.Name, Err: err}
	if e, ok := errors.AsType[*Error](err); ok {
		c.Node = e.Node
	}
	b.node.lose(c)
}

// postLater takes over a one-way call that is sent after a delay.
func (b *Binding) postLater(ctx context.Context, p *pending, m int, x *extra) error {
	return b.aside(p, m, func() error {
		if e := b.delay(ctx, m, x.after); e != nil {
			p.release()
			return e
		}
		x = x.undelayed()
		if b.ack(m, x) == AckNone { // nobody waits, and whoever flushes wants to know
			accepted := AckAccepted
			x.ack = &accepted
		}
		return b.deliver(ctx, p, m, x)
	})
}

// handOff takes over a one-way call that needs a goroutine: an event, whose targets are asked for, or a call with interceptors, which see its end.
func (b *Binding) handOff(ctx context.Context, p *pending, m int, x *extra, event bool) error {
	if b.node.current.Load() == nil {
		p.release()
		return b.unattended(m)
	}
	deadline, own := b.deadline(ctx, m, false)
	inherited := context.WithoutCancel(ctx)
	return b.aside(p, m, func() error {
		ctx, cancel := until(inherited, deadline, own || !deadline.IsZero())
		defer cancel()
		if event {
			return b.event(ctx, p, m, x)
		}
		return released(p, b.roundTrip(ctx, p, m, x, transport.Oneway))
	})
}

// unattended is how a one-way call fails that is not waited for, without a controller.
func (b *Binding) unattended(m int) *Error {
	return &Error{Code: Unavailable, Reason: ReasonLinkLost, Outcome: NotRun, Method: b.methods[m].full, Message: "there is no controller to take the call, and it is not kept until there is one"}
}

// released releases p after a call that was well; otherwise it is already.
func released(p *pending, err error) error {
	if err == nil {
		p.release()
	}
	return err
}

// aside runs call, which releases p, on a goroutine of the node's.
func (b *Binding) aside(p *pending, m int, call func() error) error {
	n := b.node
	if e := n.work.begin(); e != nil {
		p.release()
		e.Method = b.methods[m].full
		return e
	}
	batch := n.posts.add()
	go func() {
		defer n.posts.end(batch)
		defer n.work.end()
		b.gaveUp(m, call())
	}()
	return nil
}
