package daffi

import (
	mathrand "math/rand/v2"
	"slices"
)

// turn lets the calls of a serial service, or of a serial method, run one after the other. Calls wait for it without a goroutine and without a place among the
// running ones. The node's admission guards it.
type turn struct {
	name    string      // of what is serial, for people
	id      uint64      // of the present holder, or the last: a number that no other holder of any turn has
	holder  *callCtx    // nil: it is free
	waiting []*Incoming // in order of arrival
}

func newTurn(name string) *turn { return &turn{name: name, id: mathrand.Uint64()} }

// take makes ctx the holder. Calls that its handler makes carry the id, so that one that comes back here is known.
func (t *turn) take(ctx *callCtx) {
	if t.id++; t.id == 0 {
		t.id++
	}
	t.holder = ctx
	ctx.turn.Store(t.id)
}

func (t *turn) free() {
	t.holder.turn.Store(0)
	t.holder = nil
}

// reenters reports whether in would wait for a call that waits for it.
func (t *turn) reenters(in *Incoming) bool {
	return t.holder != nil && in.ctx.tag != nil && slices.Contains(in.ctx.tag.turns, t.id)
}

// reentrant is the error of such a call.
func reentrant(t *turn) *Error {
	return &Error{Code: FailedPrecondition, Reason: ReasonReentrant, Outcome: NotRun, Message: t.name +
		" is serial, and the call comes from a handler that has its turn, so it would wait for itself; call the implementation directly, or post the call, which then runs after the handler"}
}

// takeTurn waits for the turn of an item of an item stream. Its stream has a goroutine and a place among the running calls anyway.
func (a *admission) takeTurn(in *Incoming) error {
	t := in.method.turn
	a.mu.Lock()
	if t.holder == nil {
		t.take(in.ctx)
		a.mu.Unlock()
		return nil
	}
	in.item = make(chan struct{})
	a.join(t, in)
	a.mu.Unlock()
	select {
	case <-in.item:
		return nil
	case <-in.ctx.Done():
	}
	a.mu.Lock()
	i := slices.Index(t.waiting, in)
	if i >= 0 {
		a.unlist(t, i)
	}
	a.mu.Unlock()
	if i < 0 { // it was given at the same moment
		a.passTurn(t)
	}
	return in.late()
}

// passTurn gives the turn of an item on.
func (a *admission) passTurn(t *turn) {
	var gone []ended
	a.mu.Lock()
	t.free()
	a.startMore(&gone)
	a.settle()
	a.mu.Unlock()
	finishAll(gone)
}
