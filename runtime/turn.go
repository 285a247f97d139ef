package daffi

import (
	"fmt"
	mathrand "math/rand/v2"
	"slices"
)

// turn lets a bounded number of the calls of a registration, or of a serial method, run at a time; of a serial one it is one. Calls wait for it without a goroutine and without
// a place among the running ones. The node's admission guards it.
type turn struct {
	name    string      // of what it is the turn of, for people
	places  int         // how many may have it at a time
	room    int         // how many calls may wait for it, -1 for as many as may wait at the node
	last    uint64      // the id given last; holders of other turns have others, since the first is random
	holders []uint64    // ids of those that have it
	waiting []*Incoming // in order of arrival, calls and items
	calls   int         // of those that wait
	ending  int         // of the holders, where room is bounded: their handlers have returned, and they give it back once their replies are sent
}

func newTurn(name string, places, room int) *turn {
	return &turn{name: name, places: places, room: room, last: mathrand.Uint64()}
}

// free reports whether another may have it.
func (t *turn) free() bool { return len(t.holders) < t.places }

// full reports whether as many calls wait for it as may, beside those that take the places of such that end: a caller that has its reply must find room for its next call. For no turn none wait.
func (t *turn) full() bool { return t != nil && t.room >= 0 && t.calls >= t.room+t.ending }

// take makes ctx a holder. Calls that its handler makes carry the id, so that one that comes back here is known.
func (t *turn) take(ctx *callCtx) {
	if t.last++; t.last == 0 {
		t.last++
	}
	t.holders = append(t.holders, t.last)
	ctx.turn.Store(t.last)
}

// ends notes that the handler of a holder has returned. [admission.leave] follows.
func (a *admission) ends(t *turn) {
	if t == nil || t.room < 0 {
		return
	}
	a.mu.Lock()
	t.ending++
	a.mu.Unlock()
}

// give takes it from ctx.
func (t *turn) give(ctx *callCtx) {
	i := slices.Index(t.holders, ctx.turn.Swap(0))
	n := len(t.holders) - 1
	t.holders[i] = t.holders[n]
	t.holders = t.holders[:n]
}

// reenters reports whether in would wait for a call that waits for it.
func (t *turn) reenters(in *Incoming) bool {
	return !t.free() && in.ctx.tag != nil && slices.ContainsFunc(in.ctx.tag.turns, func(id uint64) bool { return slices.Contains(t.holders, id) })
}

// reentrant is the error of such a call.
func (t *turn) reentrant() *Error {
	e := &Error{Code: FailedPrecondition, Reason: ReasonReentrant, Outcome: NotRun}
	if t.places == 1 {
		e.Message = t.name + " is serial, and the call comes from a handler that has its turn, so it would wait for itself; call the implementation directly, or post the call, which then runs after the handler"
	} else {
		e.Message = fmt.Sprintf("%s has %d workers, none is free, and the call comes from a handler that is one of them, so it might wait for itself; call the implementation directly, or post the call", t.name, t.places)
	}
	return e
}

// busy is the error of a call for which there is no room to wait.
func (t *turn) busy() *Error {
	return &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Message: fmt.Sprintf("%d calls of %s run and %d wait, which is as many as may", len(t.holders), t.name, t.calls)}
}

// takeTurn waits for the turn of an item of an item stream. Its stream has a goroutine and a place among the running calls anyway.
func (a *admission) takeTurn(in *Incoming) error {
	t := in.method.turn
	a.mu.Lock()
	if t.free() && !a.closed {
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
		a.passTurn(t, in.ctx)
	}
	return in.late()
}

// passTurn gives the turn of an item on.
func (a *admission) passTurn(t *turn, ctx *callCtx) {
	var gone []ended
	a.mu.Lock()
	t.give(ctx)
	a.startMore(&gone)
	a.settle()
	a.mu.Unlock()
	finishAll(gone)
}
