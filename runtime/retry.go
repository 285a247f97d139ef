package daffi

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/limits"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// roundTrip sends p and waits for its end, again where that is safe (SEM-6). After an error p is released.
func (b *Binding) roundTrip(ctx context.Context, p *pending, m int, x *extra, mode transport.Mode) error {
	if b.intercepts(x) {
		c := new(Interception)
		if mode&transport.Oneway != 0 {
			c.Shape = ShapeOneway
		}
		kept := x.clone()
		return b.interceptPending(ctx, p, m, kept, c, func(ctx context.Context) error { return b.repeat(ctx, p, m, kept, mode) })
	}
	return b.repeat(ctx, p, m, x, mode)
}

// Retry sets how often the call is sent again at most, from 0 to 7, where that is safe (SEM-6): more often than it does not change when it is. Without it that is twice. It has
// no effect on calls with a sequence, which are never sent again, and on broadcasts and events.
func Retry(attempts int) CallOption {
	return CallOption{func(o *callOptions) {
		if attempts < 0 || attempts > maxRetries {
			o.wrong = fmt.Sprintf("Retry(%d): a call is sent again from 0 to %d times", attempts, maxRetries)
			return
		}
		o.again = &attempts
	}}
}

// trip is what the attempts of a call have in common.
type trip struct {
	deadline   time.Time
	own        bool // daffi has set it
	idempotent bool
	unsure     bool  // an attempt may have run
	most       uint8 // how often it is sent again
}

// trip begins a call.
func (b *Binding) trip(ctx context.Context, p *pending, m int, x *extra) (t trip) {
	t.most = maxAttempts - 1
	t.deadline, t.own = b.deadline(ctx, m, false)
	if x != nil && x.again != nil {
		t.most = uint8(*x.again)
	}
	if t.idempotent = b.client.Methods[m].Idempotent; t.idempotent {
		p.tag.id = newCallID()
		b.node.retries.earn()
	}
	return t
}

// repeat is roundTrip without interceptors.
func (b *Binding) repeat(ctx context.Context, p *pending, m int, x *extra, mode transport.Mode) error {
	t := b.trip(ctx, p, m, x)
	if x.hedges() {
		return b.hedge(ctx, p, m, x, mode, t)
	}
	if e := b.attempt(ctx, p, m, x, mode, t.deadline, t.own); e != nil {
		return b.proceed(ctx, p, m, x, mode, t, e)
	}
	return nil
}

// proceed goes on with a call of which an attempt has failed with e. After an error p is released.
func (b *Binding) proceed(ctx context.Context, p *pending, m int, x *extra, mode transport.Mode, t trip, e *Error) error {
	for ; e != nil; e = b.attempt(ctx, p, m, x, mode, t.deadline, t.own) {
		if p.next(x.names(), e) { // at once: that it did not run there is no sign of a load
			continue
		}
		again := false
		switch {
		case p.tag.attempt >= t.most:
		case e.Outcome == NotRun:
			again = b.elsewhere(e)
		case t.idempotent && e.lost():
			again = b.node.retries.spend()
		}
		if !again || e.Reason != ReasonStaleRoute && !hold(ctx, t.deadline) {
			if t.unsure && e.Outcome == NotRun {
				e.Outcome = MayHaveRun
			}
			p.release()
			return e
		}
		t.unsure = t.unsure || e.Outcome != NotRun
		p.tag.attempt++
		p.seat.tried = 0
		if p.attempts != nil {
			*p.attempts++
		}
	}
	return nil
}

// elsewhere reports whether a call that did not run and failed with e may go better another time.
func (b *Binding) elsewhere(e *Error) bool {
	switch e.Reason {
	case ReasonStaleRoute:
		b.routes.Store(nil)
		return true
	case ReasonBusy, ReasonDraining, ReasonNodeLost:
		return true
	}
	return false
}

// lost reports whether the call's end was lost with a process or a link.
func (e *Error) lost() bool {
	return e.Outcome == MayHaveRun && e.Code == Unavailable && (e.Reason == ReasonNodeLost || e.Reason == ReasonLinkLost)
}

// hold pauses before another attempt. It reports false if there is no time for one.
func hold(ctx context.Context, deadline time.Time) bool {
	d := retryPauseMin + time.Duration(mathrand.Int64N(int64(retryPauseMax-retryPauseMin)))
	if !deadline.IsZero() && time.Until(deadline) <= d {
		return false
	}
	pause(ctx, d)
	return ctx.Err() == nil
}

func newCallID() (id callID) {
	binary.LittleEndian.PutUint64(id[:8], mathrand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], mathrand.Uint64()|1) // never zero
	return id
}

// retryBudget bounds what is sent again although it may have run to a tenth of the calls of idempotent methods, beside a small allowance. So what is left after the loss of
// a provider, or of the controller, does not meet a multiple of the load.
type retryBudget struct {
	left        atomic.Int64 // in hundredths of a repetition
	most, share int64
}

// The size of the budget (LIM-24), unless the node's options have another.
const (
	retryCost  = 100
	retryMost  = 100 // repetitions
	retryShare = 10  // percent
)

func (r *retryBudget) init(l *Limits) {
	r.most, r.share = min(int64(l.Retries), math.MaxInt64/retryCost/2)*retryCost, int64(l.RetryPercent)
	r.left.Store(max(r.most/10, retryCost))
	if l.Retries == limits.Unlimited {
		r.left.Store(math.MaxInt64)
	}
}

// earn is called once for each call.
func (r *retryBudget) earn() {
	if r.left.Load() < r.most {
		r.left.Add(r.share)
	}
}

// spend takes one repetition, if there is one.
func (r *retryBudget) spend() bool {
	for {
		left := r.left.Load()
		if left < retryCost {
			return false
		}
		if r.left.CompareAndSwap(left, left-retryCost) {
			return true
		}
	}
}
