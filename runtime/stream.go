package daffi

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// stream is what a call with an input or an output sequence has at the caller.
type stream struct {
	mode  transport.Mode
	p     *pending
	s     *session
	id    uint64
	recv  *receiver // of the output
	send  *sender   // of the input
	feed  *feeder   // of the input
	begun sync.Once // its request is out; of several that one feeder feeds, also: it will not be
	gone  sync.Once // of several that one feeder feeds: it takes no items any more
	part  *part     // of a broadcast's output
	known func() []KnownError
	left  bool // its consumer has ended the call; of the consumer's goroutine
	wide  bool // the output may begin with InitialCredit
}

var errNoCredit = &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Message: "the node receives as many streams as it may already"}

// open makes the halves, before anybody can find the call by its id.
func (st *stream) open(s *session, id uint64, w *transport.Worth, remote bool) error {
	if st.mode&transport.Output != 0 {
		recv := newReceiver(s, id, transport.InitialCredit)
		if recv == nil {
			return errNoCredit
		}
		st.wide = recv.window >= transport.InitialCredit // now: who has the call may change the window
		st.recv, recv.part = recv, st.part
	}
	st.s, st.id = s, id
	if st.mode&transport.Input != 0 {
		st.send = newSender(s, id, transport.MinCredit, s.packer(w, remote))
	}
	return nil
}

// opening is what the Request's mode says beside the call's own: how much the output may send at once.
func (st *stream) opening() transport.Mode {
	if !st.wide {
		return 0
	}
	return transport.Wide
}

// start lets the input run once the request is out.
func (st *stream) start() {
	if st.send != nil {
		st.begun.Do(st.feed.begin)
	}
}

// fail ends the call from the caller's side.
func (st *stream) fail(e *Error) {
	if st.s == nil || st.s.calls.remove(st.id) == nil {
		return
	}
	st.p.why = e
	st.cancel()
	st.p.fail(e)
}

// cancel tells the callee that the call is over, in the order of the stream's frames.
func (st *stream) cancel() {
	h := transport.Header{Kind: transport.Cancel, Call: st.id, Flags: st.p.lane()}
	if l := st.p.large; l != nil {
		l.close()
	}
	if st.send != nil {
		h.Flags = transport.Bulk
		if st.send.abort(&transport.Frame{Header: h, Payload: st.s.node.appendCause(st.p.why)}, nil) {
			return
		}
	}
	st.s.sendCancel(h, st.p.why)
}

// ended is called when the call has ended, with its error.
func (st *stream) ended(e *Error) {
	st.feed.left(st)
	if st.send != nil {
		st.send.abort(nil, nil)
	}
	if st.recv != nil {
		var err error
		if e != nil {
			err = e
		}
		st.recv.end(err)
	}
}

// unsent ends what was made for a copy of a call that was not sent.
func (st *stream) unsent() {
	if st == nil {
		return
	}
	if st.recv != nil {
		st.recv.close()
	}
	if st.send != nil {
		st.send.abort(nil, nil)
	}
	st.feed.left(st)
	if st.part != nil {
		st.part.ready()
	}
}

// close ends what is still open: the consumer takes nothing more, and why.
func (st *stream) close(why *Error) {
	st.feed.left(st)
	if st.s == nil {
		return
	}
	if st.s.calls.remove(st.id) != nil {
		st.p.why, st.left = why, true
		st.cancel()
	}
	if st.recv != nil {
		st.recv.close()
	}
}

// feed is roundTrip for a call with an input sequence. It is not sent again: the sequence can be had only once.
func (b *Binding) feed(ctx context.Context, p *pending, m int, x *extra) error {
	if b.intercepts(x) {
		c := &Interception{Shape: ShapeInput}
		if b.client.Methods[m].EachItem {
			c.Shape = ShapeItems
		}
		kept := x.clone()
		kept.input = x.input.counted(&c.in)
		return b.interceptPending(ctx, p, m, kept, c, func(ctx context.Context) error { return b.feedOnce(ctx, p, m, kept) })
	}
	return b.feedOnce(ctx, p, m, x)
}

// feedOnce is feed without interceptors.
func (b *Binding) feedOnce(ctx context.Context, p *pending, m int, x *extra) error {
	st := &stream{mode: transport.Input, p: p, known: b.errors(m)}
	if b.client.Methods[m].EachItem {
		st.mode |= transport.Each
	}
	st.feed = newFeeder(ctx, x.input, st)
	p.stream = st
	deadline, own := b.deadline(ctx, m, true)
	e := b.attempt(ctx, p, m, x, st.mode, deadline, own)
	st.close(e)
	st.feed.rethrow()
	if e = st.feed.outcome(b.methods[m].full, e); e != nil {
		p.release()
		return e
	}
	return nil
}

// openStream sends the request of a call with an output sequence.
func (b *Binding) openStream(ctx context.Context, m int, x *extra, enc func(*codec.Encoder)) (*stream, *Error) {
	p, err := b.prepare(ctx, m, x, enc)
	if err != nil {
		return nil, notRun(err, b.methods[m].full)
	}
	st := &stream{mode: transport.Output, p: p, known: b.errors(m)}
	if x.hasInput() {
		st.mode |= transport.Input
		st.feed = newFeeder(ctx, x.input, st)
	}
	p.stream = st
	deadline, _ := ctx.Deadline()
	_, _, e := b.dispatch(ctx, p, m, x, st.mode, deadline, false)
	p.forgetRequest()
	if e != nil {
		st.close(e)
		return nil, e
	}
	return st, nil
}

// streamOf is the sequence of a prepared stream.
func streamOf[T any](ctx context.Context, b *Binding, m int, x *extra, enc func(*codec.Encoder), dec func(*codec.Decoder) T) iter.Seq2[T, error] {
	var used atomic.Bool
	return func(yield func(T, error) bool) {
		var zero T
		if used.Swap(true) {
			yield(zero, ErrStreamConsumed)
			return
		}
		if x.hedges() {
			yield(zero, b.unhedgeable(m, "items would come from both"))
			return
		}
		if x.delayed() {
			end, e := b.stayed(ctx, m, x)
			if e != nil {
				yield(zero, e)
				return
			}
			defer end()
		}
		left, err := false, error(nil)
		if b.intercepts(x) {
			c := &Interception{Shape: ShapeOutput}
			kept := x.clone()
			if x.hasInput() {
				c.Shape = ShapeInputOutput
				kept.input = x.input.counted(&c.in)
			}
			err = b.intercept(ctx, m, kept, c, func(ctx context.Context) (err error) {
				left, err = rangeOver(ctx, b, m, kept, countedArgs(&c.in, enc), countedItems(&c.out, dec), yield)
				return err
			})
		} else {
			left, err = rangeOver(ctx, b, m, x, enc, dec, yield)
		}
		if err != nil && !left {
			yield(zero, err)
		}
	}
}

// rangeOver opens a stream and yields its items until it ends, or until the consumer leaves.
func rangeOver[T any](ctx context.Context, b *Binding, m int, x *extra, enc func(*codec.Encoder), dec func(*codec.Decoder) T, yield func(T, error) bool) (left bool, err error) {
	if deadline, own := b.deadline(ctx, m, true); own {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	st, e := b.openStream(ctx, m, x, enc)
	if e != nil {
		return false, e
	}
	defer st.close(errLeftLoop)
	left, err = receive(ctx, st.recv, dec, yield)
	if left {
		return true, nil
	}
	ended, _ := err.(*Error)
	st.close(ended)
	st.feed.rethrow()
	if st.p.into != nil && !st.left {
		<-st.p.done
		if e := b.headed(st.p, m); e != nil && err == nil {
			return false, e
		}
		if e, ok := err.(*Error); ok {
			st.p.into.add(e.metadata)
		}
	}
	return false, b.streamError(st, m, err)
}

// streamError is how an output sequence ended.
func (b *Binding) streamError(st *stream, m int, err error) error {
	var e *Error
	if err != nil {
		if errors.As(err, &e) {
			x := *e
			e = &x
		} else {
			e = &Error{Code: Internal, Reason: ReasonDecode, Outcome: Ran, Message: "an item cannot be read: " + err.Error(), cause: err}
		}
		e.Method = b.methods[m].full
		e.recall(st.known)
	}
	if e = st.feed.outcome(b.methods[m].full, e); e == nil {
		return nil
	}
	return e
}

// Receive is the caller's input sequence: its items, then, if it broke, one error. It is single use; leaving the loop tells the caller to
// stop.
func Receive[T any](c *Incoming, read func(*codec.Decoder) T) iter.Seq2[T, error] {
	recv, ctx, s, id, known := c.recv, c.ctx, c.session, c.id, c.method.errors()
	if c.seen != nil {
		read = countedItems(&c.seen.in, read)
	}
	var used atomic.Bool
	return func(yield func(T, error) bool) {
		var zero T
		if used.Swap(true) {
			yield(zero, ErrStreamConsumed)
			return
		}
		left, err := receive(ctx, recv, read, yield)
		if left || err != nil {
			recv.close()
			s.send(transport.Frame{Header: transport.Header{Kind: transport.Stop, Flags: transport.Bulk, Call: id}})
		}
		if err != nil && !left {
			switch e, ok := errors.AsType[*Error](err); {
			case !ok:
				err = &Error{Code: InvalidArgument, Reason: ReasonDecode, Message: "an item cannot be read: " + err.Error(), cause: err}
			case err == error(e):
				x := *e
				x.recall(known)
				err = &x
			}
			yield(zero, err)
		}
	}
}

// Send sends what seq yields to the caller; an error that it yields ends the call.
func Send[T any](c *Incoming, seq iter.Seq2[T, error], write func(*codec.Encoder, T)) error {
	w := c.session.itemEncoder()
	if c.seen != nil {
		write = countedWrite(&c.seen.out, write)
	}
	for v, err := range seq {
		if err != nil {
			return err
		}
		write(w.begin(), v)
		if e := w.check(); e != nil {
			return e
		}
		ok, err := w.send(c.ctx, c.send)
		if err != nil {
			return err
		}
		if !ok {
			return context.Canceled
		}
	}
	return nil
}
