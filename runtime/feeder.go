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

// feeder sends an input sequence to the call that has it, or to all copies of a call to several nodes: each item is encoded once, and every copy has credit of its own. So
// the sequence is as fast as the slowest of them; one that ends does not hold it.
type feeder struct {
	input Input
	each  bool
	calls []*stream // fixed before the first is sent
	known func() []KnownError
	ctx   context.Context // of a mapped input
	stop  context.CancelFunc

	waiting atomic.Int32 // calls whose requests are not out yet
	live    atomic.Int32 // that have not ended

	mu     sync.Mutex
	broken error // what the sequence ended with
	panic  any   // what it panicked with
}

// newFeeder makes a context only for an input that uses it.
func newFeeder(ctx context.Context, in Input, calls ...*stream) *feeder {
	f := &feeder{input: in, each: calls[0].mode&transport.Each != 0, calls: calls, known: calls[0].known, stop: func() {}}
	if in.mapped {
		f.ctx, f.stop = context.WithCancel(ctx)
	}
	f.waiting.Store(int32(len(calls)))
	f.live.Store(int32(len(calls)))
	return f
}

// begin is called when the request of one call is out, and lets the input run when all are. It does so on a goroutine of its own: a producer that blocks cannot hold back the end of a
// call, and learns of it when it yields next. That may be after everything else has ended, so the goroutine touches nothing that is reused.
func (f *feeder) begin() {
	if f.waiting.Add(-1) == 0 && f.live.Load() > 0 {
		go f.pump()
	}
}

// left says that st takes nothing any more. It may be said more than once, and where there is no input.
func (f *feeder) left(st *stream) {
	switch {
	case f == nil:
	case len(f.calls) == 1: // it may be sent by another session yet
		f.stop()
	default:
		st.gone.Do(func() {
			if f.live.Add(-1) == 0 {
				f.stop()
			}
			st.begun.Do(f.begin)
		})
	}
}

// pump sends what the input yields.
func (f *feeder) pump() {
	exited := true
	defer func() {
		if r := recover(); r != nil {
			f.mu.Lock()
			f.panic = r
			f.mu.Unlock()
			f.fail(&Error{Code: Internal, Reason: ReasonPanic, Message: "the input sequence panicked"})
		} else if exited {
			f.fail(&Error{Code: Internal, Reason: ReasonPanic, Message: "the input sequence has called runtime.Goexit"})
		}
	}()
	to := f.senders()
	w := to[0].s.itemEncoder()
	var failed *Error
	err := f.input.run(f.ctx, func(write func(*codec.Encoder)) bool {
		e := w.begin()
		if f.each {
			e.Array(1)
		}
		write(e)
		if failed = w.check(); failed != nil {
			if failed.Reason == ReasonEncode {
				failed.Code, failed.Message = InvalidArgument, "an item of the input: "+failed.Message
			}
			return false
		}
		if len(to) > 1 {
			return w.sendAll(to)
		}
		ok, _ := w.send(context.Background(), to[0])
		return ok
	})
	exited = false
	switch {
	case failed != nil:
		failed.Outcome = MayHaveRun
		f.fail(failed)
	case err == errEnded: // a plain end would look complete
	case err != nil:
		f.mu.Lock()
		f.broken = err
		f.mu.Unlock()
		e := &Error{Code: CodeOf(err), Outcome: Ran, Message: told(err.Error(), err), identities: identify(err, f.known)}
		if e.Code == Unknown {
			e.Code = Aborted
		}
		payload := appendFailure(e)
		for _, s := range to {
			s.finish(&transport.Frame{Header: s.header(transport.End | transport.Broken), Payload: payload}, nil)
		}
	default:
		for _, s := range to {
			s.finish(nil, nil)
		}
	}
}

// senders are those of the calls that were sent.
func (f *feeder) senders() (to []*sender) {
	for _, st := range f.calls {
		if st.send != nil {
			to = append(to, st.send)
		}
	}
	return to
}

// fail ends the calls from the caller's side.
func (f *feeder) fail(e *Error) {
	for _, st := range f.calls {
		st.fail(e)
	}
}

// rethrow panics with what the input has panicked with.
func (f *feeder) rethrow() {
	if f == nil {
		return
	}
	f.mu.Lock()
	r := f.panic
	f.mu.Unlock()
	if r != nil {
		panic(r)
	}
}

// outcome is how a call ended of which the callee says that: if its input broke with the producer's own error, which errors.Is and errors.As find.
func (f *feeder) outcome(method string, callee *Error) *Error {
	if f == nil {
		return callee
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil {
		return callee
	}
	e := &Error{Code: Aborted, Outcome: Ran, Method: method, Message: "the input sequence ended with an error: " + f.broken.Error(), cause: f.broken}
	if callee != nil {
		e.Node, e.Outcome = callee.Node, callee.Outcome
		if code := callee.Code; code != Unknown {
			e.Code = code
		}
	}
	return e
}
