package daffi

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Hedge has a call of an //daffi:idempotent method that has no answer after d asked of another provider as well. The first answer counts, a handler's error among them, and
// the other call is cancelled. Both have the same CallInfo.ID; the second has an Attempt of 1 or more, and spends from the budget of repetitions (LIM-24): without
// any left, or without another provider, the call goes on as it is. Other calls are refused with InvalidArgument/shape, NotRun: those of other methods, with a
// sequence, one-way ones, and calls that name a node or a key.
func Hedge(d time.Duration) CallOption {
	return CallOption{func(o *callOptions) {
		if o.hedge = d; d <= 0 {
			o.wrong = "Hedge takes a time above zero, after which another provider is asked as well"
		}
	}}
}

// hedges reports whether another provider is asked, too, if the first takes its time.
func (x *extra) hedges() bool { return x != nil && x.hedge > 0 }

// unhedgeable is how a call fails that cannot be made twice.
func (b *Binding) unhedgeable(m int, why string) *Error {
	return &Error{Code: InvalidArgument, Reason: ReasonShape, Outcome: NotRun, Method: b.methods[m].full, Message: "a call with Hedge may go to two providers: " + why}
}

// hedgeable says why a call cannot be hedged, if so.
func (b *Binding) hedgeable(p *pending, m int, x *extra) *Error {
	switch _, keyed := p.key(x); {
	case !b.client.Methods[m].Idempotent:
		return b.unhedgeable(m, "its method is not //daffi:idempotent")
	case keyed || !x.anyone():
		return b.unhedgeable(m, "it names its provider, by To or a key")
	}
	return nil
}

// hedge sends a copy of p and, if that has no answer in time, another one to another provider. After an error p is released.
func (b *Binding) hedge(ctx context.Context, p *pending, m int, x *extra, mode transport.Mode, t trip) error {
	if e := b.hedgeable(p, m, x); e != nil {
		p.release()
		return e
	}
	kept := x.clone()
	first, stop := context.WithCancel(ctx)
	defer stop()
	second, give := context.WithCancel(ctx)
	defer give()
	one, two := b.copyFor(p), b.copyFor(p)
	slot := new(atomic.Uint32)
	one.at = slot
	ended := make(chan *Error, 1)
	go func() {
		e := b.attempt(first, one, m, kept, mode, t.deadline, t.own)
		if e != nil {
			e, _ = b.proceed(first, one, m, kept, mode, t, e).(*Error)
		}
		if answered(e) {
			give()
		}
		ended <- e
	}()
	timer := time.NewTimer(kept.hedge)
	defer timer.Stop()
	select {
	case e := <-ended:
		two.release()
		return b.take(p, one, e)
	case <-timer.C:
	}
	if slot.Load() == 0 || !b.node.retries.spend() { // the first waits to be sent, as the second would
		two.release()
		return b.take(p, one, <-ended)
	}
	two.tag.attempt, two.peer = 1, slot.Load()
	if p.attempts != nil {
		*p.attempts++
	}
	e := b.apart().attempt(second, two, m, kept, mode, t.deadline, t.own)
	if !answered(e) {
		unsure := e.Outcome != NotRun
		two.release()
		e = <-ended
		if e != nil && e.Outcome == NotRun && unsure {
			e.Outcome = MayHaveRun
		}
		return b.take(p, one, e)
	}
	stop()
	if <-ended == nil {
		one.release()
	}
	if e != nil {
		two.release()
		p.release()
		return e
	}
	return b.take(p, two, nil)
}

// copyFor is a copy of p with a tag of its own.
func (b *Binding) copyFor(p *pending) *pending {
	q := b.node.newPending()
	q.copyOf(p)
	q.shared = nil // copies that are under way together have different tags
	return q
}

// answered reports whether e is the end of a call that a handler has answered.
func answered(e *Error) bool { return e == nil || e.Outcome == Ran }

// take makes the end of q, a copy of p that was released after an error, that of p.
func (b *Binding) take(p, q *pending, e *Error) error {
	if e != nil {
		p.release()
		return e
	}
	p.reply, p.flags, p.head, q.reply = q.reply, q.flags, q.head, nil
	q.release()
	return nil
}

// apart is b for calls that name another one, and go to another provider than that.
func (b *Binding) apart() *Binding {
	x := &extra{callOptions: callOptions{choice: b.choice}}
	x.choice.Apart = true
	return b.choosing(x)
}
