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

// Input is a caller's sequence with its encoder; [Feed] and [FeedErr] make one.
type Input struct {
	run    func(ctx context.Context, send func(write func(*codec.Encoder)) bool) error
	mapped bool // run uses its context
}

// Feed makes an Input of a sequence that cannot fail.
func Feed[T any](seq iter.Seq[T], write func(*codec.Encoder, T)) Input {
	return FeedErr(NoError(seq), write)
}

// FeedErr makes an Input of a sequence that may fail: its error reaches the callee as the last pair and ends the call.
func FeedErr[T any](seq iter.Seq2[T, error], write func(*codec.Encoder, T)) Input {
	return Input{run: func(_ context.Context, send func(func(*codec.Encoder)) bool) error {
		var v T
		one := func(e *codec.Encoder) { write(e, v) }
		for item, err := range seq {
			if err != nil {
				return err
			}
			v = item
			if !send(one) {
				break
			}
		}
		return nil
	}}
}

// FeedMapped is [FeedErr] for a sequence whose items are mapped before they are sent, one after the other, as they are wanted. fn's context ends
// with the call; its error ends the input as one of the sequence does.
func FeedMapped[T, U any](seq iter.Seq2[T, error], fn func(context.Context, T) (U, error), write func(*codec.Encoder, U)) Input {
	return Input{mapped: true, run: func(ctx context.Context, send func(func(*codec.Encoder)) bool) error {
		items := func(yield func(U, error) bool) {
			for item, err := range seq {
				var v U
				if err == nil {
					v, err = fn(ctx, item)
				}
				if !yield(v, err) || err != nil {
					return
				}
			}
		}
		err := FeedErr(items, write).run(ctx, send)
		if err != nil && ctx.Err() != nil {
			return errEnded
		}
		return err
	}}
}

// errEnded says that an input broke because its call had ended, which says so itself.
var errEnded = errors.New("the call has ended")

// NoError lifts a sequence that cannot fail to one that could, for a method that takes iter.Seq2[T, error].
func NoError[T any](seq iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v := range seq {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// stream is what a call with an input or an output sequence has at the caller.
type stream struct {
	mode  transport.Mode
	input Input
	p     *pending
	s     *session
	id    uint64
	recv  *receiver // of the output
	send  *sender   // of the input
	begun sync.Once
	ctx   context.Context // of a mapped input
	stop  context.CancelFunc
	known func() []KnownError

	mu     sync.Mutex
	broken error // what the input sequence ended with
	panic  any   // what it panicked with
}

var errNoCredit = &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Message: "the node receives as many streams as it may already"}

// open makes the halves, before anybody can find the call by its id.
func (st *stream) open(s *session, id uint64, w *transport.Worth, remote bool) error {
	if st.mode&transport.Output != 0 {
		recv := newReceiver(s, id, transport.InitialCredit)
		if recv == nil {
			return errNoCredit
		}
		st.recv = recv
	}
	st.s, st.id = s, id
	if st.mode&transport.Input != 0 {
		st.send = newSender(s, id, transport.MinCredit, s.packer(w, remote))
	}
	return nil
}

// opening is what the Request's mode says beside the call's own: how much the output may send at once.
func (st *stream) opening() transport.Mode {
	if st.recv == nil || st.recv.window < transport.InitialCredit {
		return 0
	}
	return transport.Wide
}

// take sets the input. A context is made only for one that uses it.
func (st *stream) take(ctx context.Context, in Input) {
	st.input = in
	if in.mapped {
		st.ctx, st.stop = context.WithCancel(ctx)
	}
}

// start lets the input run, on a goroutine of its own: a producer that blocks cannot hold back the end of the call, and learns of it when
// it yields next. That may be after everything else has ended, so the goroutine touches nothing that is reused.
func (st *stream) start() {
	if st.send != nil {
		st.begun.Do(func() { go st.pump() })
	}
}

// pump sends what the input yields.
func (st *stream) pump() {
	exited := true
	defer func() {
		if r := recover(); r != nil {
			st.mu.Lock()
			st.panic = r
			st.mu.Unlock()
			st.fail(&Error{Code: Internal, Reason: ReasonPanic, Message: "the input sequence panicked"})
		} else if exited {
			st.fail(&Error{Code: Internal, Reason: ReasonPanic, Message: "the input sequence has called runtime.Goexit"})
		}
	}()
	w := st.s.itemEncoder()
	var failed *Error
	err := st.input.run(st.ctx, func(write func(*codec.Encoder)) bool {
		e := w.begin()
		if st.mode&transport.Each != 0 {
			e.Array(1)
		}
		write(e)
		if failed = w.check(); failed != nil {
			if failed.Reason == ReasonEncode {
				failed.Code, failed.Message = InvalidArgument, "an item of the input: "+failed.Message
			}
			return false
		}
		ok, _ := w.send(context.Background(), st.send)
		return ok
	})
	exited = false
	switch {
	case failed != nil:
		failed.Outcome = MayHaveRun
		st.fail(failed)
	case err == errEnded: // a plain end would look complete
	case err != nil:
		st.mu.Lock()
		st.broken = err
		st.mu.Unlock()
		f := transport.Frame{Header: st.send.header(transport.End | transport.Broken)}
		e := &Error{Code: CodeOf(err), Outcome: Ran, Message: err.Error(), identities: identify(err, st.known)}
		if e.Code == Unknown {
			e.Code = Aborted
		}
		f.Payload = appendFailure(e)
		st.send.finish(&f, nil)
	default:
		st.send.finish(nil, nil)
	}
}

// fail ends the call from the caller's side.
func (st *stream) fail(e *Error) {
	if st.s.calls.remove(st.id) == nil {
		return
	}
	st.cancel()
	st.p.fail(e)
}

// cancel tells the callee that the call is over, in the order of the stream's frames.
func (st *stream) cancel() {
	f := transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: st.id, Flags: st.p.lane()}}
	if l := st.p.large; l != nil {
		l.close()
	}
	if st.send != nil {
		f.Flags = transport.Bulk
		if st.send.abort(&f, nil) {
			return
		}
	}
	st.s.send(f)
}

// ended is called when the call has ended, with its error.
func (st *stream) ended(e *Error) {
	st.stop()
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

// close ends what is still open: the consumer takes nothing more.
func (st *stream) close() {
	st.stop()
	if st.s == nil {
		return
	}
	if st.s.calls.remove(st.id) != nil {
		st.cancel()
	}
	if st.recv != nil {
		st.recv.close()
	}
}

// rethrow panics with what the input has panicked with.
func (st *stream) rethrow() {
	st.mu.Lock()
	r := st.panic
	st.mu.Unlock()
	if r != nil {
		panic(r)
	}
}

// inputError is how the call ended if its input broke: with the producer's own error, which errors.Is and errors.As find.
func (st *stream) inputError(method string, callee *Error) *Error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.broken == nil {
		return callee
	}
	e := &Error{Code: Aborted, Outcome: Ran, Method: method, Message: "the input sequence ended with an error: " + st.broken.Error(), cause: st.broken}
	if callee != nil {
		e.Node, e.Outcome = callee.Node, callee.Outcome
		if code := callee.Code; code != Unknown {
			e.Code = code
		}
	}
	return e
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
	st := &stream{mode: transport.Input, p: p, known: b.errors(m), stop: func() {}}
	st.take(ctx, x.input)
	if b.client.Methods[m].EachItem {
		st.mode |= transport.Each
	}
	p.stream = st
	deadline, own := b.deadline(ctx, m, true)
	e := b.attempt(ctx, p, m, x, st.mode, deadline, own)
	st.close()
	st.rethrow()
	if e = st.inputError(b.methods[m].full, e); e != nil {
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
	st := &stream{mode: transport.Output, p: p, known: b.errors(m), stop: func() {}}
	if x.hasInput() {
		st.mode |= transport.Input
		st.take(ctx, x.input)
	}
	p.stream = st
	deadline, _ := ctx.Deadline()
	_, _, e := b.dispatch(ctx, p, m, x, st.mode, deadline, false)
	p.forgetRequest()
	if e != nil {
		st.close()
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
	defer st.close()
	left, err = receive(ctx, st.recv, dec, yield)
	if left {
		return true, nil
	}
	st.close()
	st.rethrow()
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
	if e = st.inputError(b.methods[m].full, e); e == nil {
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
