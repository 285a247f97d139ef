package daffi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// A Future is a call in the background. It settles once: by its result, its error, the end of the context that it was started with, its deadline, [Future.Cancel] or the
// end of the node. One that nobody waits for costs nothing after that; without any deadline, which takes a negative Options.Timeout or an input sequence, it
// may never settle. Its methods may be called from any goroutine.
type Future[R any] struct {
	node   *Node
	cancel context.CancelFunc
	start  time.Time
	done   chan struct{}

	// Written before done is closed.
	result Result[R]
	panic  any // what the input sequence has panicked with; Wait and Err do so again
	took   time.Duration

	mu      sync.Mutex
	settled bool
	after   []func(Result[R]) // that were not called yet
	telling bool              // a goroutine calls them
}

// Go sends the call and returns at once. ctx bounds the call, not only its start. The arguments are read before Go returns; an input sequence is read as the call
// goes on, on another goroutine. A node has at most 65 536 calls in the background: one more has failed with ResourceExhausted/busy, NotRun.
func (c Call[R]) Go(ctx context.Context) *Future[R] {
	p, err := c.b.prepare(ctx, c.m, c.x, c.enc)
	return launch(ctx, c.b, c.m, p, err, func(ctx context.Context) (R, error) {
		if err := c.b.exchange(ctx, p, c.m, c.x, 0); err != nil {
			var zero R
			return zero, err
		}
		return finish(c.b, p, c.m, c.dec)
	})
}

// Go sends the call and returns at once, like [Call.Go]. The future of a one-way call or an event settles when Do would return.
func (a Action) Go(ctx context.Context) *Future[struct{}] {
	p, err := a.b.prepare(ctx, a.m, a.x, a.enc)
	return launch(ctx, a.b, a.m, p, err, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.b.act(ctx, p, a.m, a.x)
	})
}

// launch runs a prepared call in the background. With an error it has failed already.
func launch[R any](ctx context.Context, b *Binding, m int, p *pending, err error, run func(ctx context.Context) (R, error)) *Future[R] {
	ctx, cancel := context.WithCancel(ctx)
	f := &Future[R]{node: b.node, cancel: cancel, start: time.Now(), done: make(chan struct{})}
	if err == nil {
		if e := b.node.work.begin(); e != nil {
			p.release()
			e.Method = b.methods[m].full
			err = e
		}
	}
	if err != nil {
		f.settle(Result[R]{Err: err})
		return f
	}
	p.counted = true
	go f.run(ctx, b.methods[m].full, run)
	return f
}

// run makes the call and tells of its end, which counts as one of the node's calls in the background for as long.
func (f *Future[R]) run(ctx context.Context, method string, call func(ctx context.Context) (R, error)) {
	defer f.node.work.end()
	var r Result[R]
	returned := false
	defer func() {
		if !returned {
			f.panic = recover()
			r = Result[R]{Err: &Error{Code: Internal, Reason: ReasonPanic, Method: method, Message: fmt.Sprintf("the call has panicked: %s", safetext.Line(safetext.Sprint(f.panic), safetext.MaxLog))}}
		}
		if f.settle(r) {
			f.tell()
		}
	}()
	r.Value, r.Err = call(ctx)
	returned = true
}

// settle ends f. It reports whether tell is to be called next; else that is left to who wants to be told from now on.
func (f *Future[R]) settle(r Result[R]) bool {
	f.cancel()
	f.result, f.took = r, time.Since(f.start)
	f.mu.Lock()
	f.settled = true
	telling := len(f.after) > 0
	f.telling = telling
	f.mu.Unlock()
	close(f.done)
	return telling
}

// tell calls what wants to be told of the end, one after the other. It must run on one goroutine at a time, which telling says.
func (f *Future[R]) tell() {
	for {
		f.mu.Lock()
		if len(f.after) == 0 {
			f.telling, f.after = false, nil
			f.mu.Unlock()
			return
		}
		fn := f.after[0]
		f.after = f.after[1:]
		f.mu.Unlock()
		f.node.guard("a function for the end of a call", func() { fn(f.result) })
	}
}

// Wait waits until f has settled and returns how. When its own ctx ends first it returns ctx's error, and f goes on. It may be called again, with the same result.
// If the input sequence of the call has panicked, so does Wait.
func (f *Future[R]) Wait(ctx context.Context) (R, error) {
	select {
	case <-f.done:
	default:
		select {
		case <-f.done:
		case <-ctx.Done():
			var zero R
			return zero, ctx.Err()
		}
	}
	if f.panic != nil {
		panic(f.panic)
	}
	return f.result.Value, f.result.Err
}

// Err is Wait without the value.
func (f *Future[R]) Err(ctx context.Context) error {
	_, err := f.Wait(ctx)
	return err
}

// TryGet is the result; ok is false as long as f has not settled.
func (f *Future[R]) TryGet() (r Result[R], ok bool) {
	select {
	case <-f.done:
		return f.result, true
	default:
		return r, false
	}
}

// Done is closed when f has settled.
func (f *Future[R]) Done() <-chan struct{} { return f.done }

// Cancel ends the call, unless it has ended: f settles with Canceled, and the handler's context ends.
func (f *Future[R]) Cancel() { f.cancel() }

// OnDone has fn called once, when f has settled, at once if it has. It runs on a goroutine of the call's, after those that were given before, and may block and make
// calls; Shutdown waits for it. A panic in fn is logged.
func (f *Future[R]) OnDone(fn func(Result[R])) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = append(f.after, fn)
	if !f.settled || f.telling {
		return
	}
	f.telling = true
	f.node.work.join()
	go f.tellLate()
}

func (f *Future[R]) tellLate() {
	defer f.node.work.end()
	f.tell()
}

// Elapsed is the time since the call was started, or that it took once it has settled.
func (f *Future[R]) Elapsed() time.Duration {
	select {
	case <-f.done:
		return f.took
	default:
		return time.Since(f.start)
	}
}

// A Settler is what can be waited for: any [Future], whatever its result.
type Settler interface {
	// Done is closed when it has settled.
	Done() <-chan struct{}
	// Err waits for that and is its error, or that of ctx if that ends before.
	Err(ctx context.Context) error
}

// WaitAll waits until all have settled and returns their errors, joined. When ctx ends before, it returns the errors of those that have settled and that of ctx.
func WaitAll(ctx context.Context, fs ...Settler) error {
	var errs []error
	for i, f := range fs {
		select {
		case <-f.Done():
		case <-ctx.Done():
			return errors.Join(append(errs, unsettled(ctx, fs[i:])...)...)
		}
		errs = append(errs, f.Err(ctx))
	}
	return errors.Join(errs...)
}

// unsettled are the errors of those that have settled, and how many have not, which ctx is the reason for.
func unsettled(ctx context.Context, fs []Settler) (errs []error) {
	left := 0
	for _, f := range fs {
		select {
		case <-f.Done():
			errs = append(errs, f.Err(context.WithoutCancel(ctx)))
		default:
			left++
		}
	}
	if left == 0 {
		return errs
	}
	return append(errs, fmt.Errorf("%d calls have not settled: %w", left, ctx.Err()))
}

// WaitAny waits until one has settled and returns its index and its error; of several that have, the first. When ctx ends before, it returns -1 and ctx's error.
func WaitAny(ctx context.Context, fs ...Settler) (int, error) {
	if len(fs) == 0 {
		return -1, &Error{Code: InvalidArgument, Outcome: NotRun, Message: "WaitAny was given no future"}
	}
	for i, f := range fs {
		select {
		case <-f.Done():
			return i, f.Err(context.WithoutCancel(ctx))
		default:
		}
	}
	first := make(chan int)
	found := make(chan struct{})
	var waiters sync.WaitGroup
	for i, f := range fs {
		waiters.Go(func() {
			select {
			case <-f.Done():
			case <-found:
				return
			}
			select {
			case first <- i:
			case <-found:
			}
		})
	}
	defer waiters.Wait()
	defer close(found)
	select {
	case i := <-first:
		return i, fs[i].Err(context.WithoutCancel(ctx))
	case <-ctx.Done():
		return -1, ctx.Err()
	}
}
