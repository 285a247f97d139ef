package transport

import (
	"errors"
	"os"
	"sync"
	"time"
)

// What is left of a lone call's time, once system calls are shared out, is waking goroutines. So two of them are spared on a connection that is in
// brisk use: a goroutine that waits for one reply, and for nothing else on the link, reads that itself ([Link.Attend]), and one that has read a
// single request which is likely to return at once runs it itself ([Work]). Neither may keep others waiting for long: a tick looks after them.

// Work is something that a handler's frames have led to and that need not run where they were delivered.
type Work interface {
	// Here runs it. It is likely not to block, but may.
	Here()
	// Elsewhere lets another goroutine run it.
	Elsewhere()
}

// A Worker is a [Handler] that may have work for the goroutine that delivers.
type Worker interface {
	Handler
	// Work is called after HandleBatch. What it returns is run, here or elsewhere; nil is for none.
	Work() Work
}

// workOf is the work of h, if it has some.
func workOf(h Handler) Work {
	if w, ok := h.(Worker); ok {
		return w.Work()
	}
	return nil
}

// A Lender is a [Handler] that says when nothing is expected from the peer but what the next one who sends will wait for, by [Link.Attend].
type Lender interface {
	Handler
	Lends() bool
}

// Attendant waits for something that the peer will send.
type Attendant interface {
	// Over reports whether it waits no longer. It may be called from any goroutine, until Attend has returned.
	Over() bool
}

// reading says who reads a connection.
type reading uint8

const (
	own     reading = iota // a goroutine of the link's
	running                // the same, and it runs some work
	vacant                 // nobody: whoever attends next, or the tick, will
	lent                   // an attendant
)

const (
	turnTick  = 5 * time.Millisecond // more often than the system's own clock ticks, setting a timer costs a lone call some microseconds
	turnCalm  = 4                    // ticks without a turn, after which they stop
	patience  = 16                   // ticks after which an attendant waits like others
	briskTime = time.Millisecond     // between two reads of a connection in brisk use
)

// turns is who reads a connection now.
type turns struct {
	mu      sync.Mutex
	now     reading
	seq     uint64 // of changes
	who     Attendant
	ticker  *time.Timer
	ticking bool
	seen    uint64 // seq at the last tick
	ticks   int    // without a change
	closed  bool
}

// change lets somebody else read, or the same do something else. Call with the lock held.
func (t *turns) change(to reading, l *conn) {
	t.now = to
	t.seq++
	switch {
	case to == own || t.ticking:
		return
	case t.ticker == nil:
		t.ticker = time.AfterFunc(turnTick, l.tick)
	default:
		t.ticker.Reset(turnTick)
	}
	t.ticking, t.ticks, t.seen = true, 0, t.seq
}

// tick lets a goroutine of the link's read where nobody does, or whoever should does not come back.
func (l *conn) tick() {
	t := &l.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ticking = false
	if t.ticks++; t.seq != t.seen {
		t.seen, t.ticks = t.seq, 0
	}
	switch t.now {
	case own:
		if t.ticks >= turnCalm {
			return
		}
	case running, vacant:
		if t.ticks > 0 {
			l.takeOver()
			return
		}
	case lent:
		if t.ticks >= patience || t.who.Over() {
			l.kick()
		}
	}
	t.ticking = true
	t.ticker.Reset(turnTick)
}

// takeOver lets a new goroutine read. Call with the lock of the turns held.
func (l *conn) takeOver() {
	l.turns.change(own, l)
	go l.read()
}

// kick makes a read that waits return.
func (l *conn) kick() { l.c.SetReadDeadline(time.Unix(1, 0)) }

// kicked reports whether err is what kick causes, and ends that.
func (l *conn) kicked(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	l.c.SetReadDeadline(time.Time{})
	return true
}

// leave is called after a batch by the link's own goroutine: false says that it must not read on, since nobody should or another does.
func (l *conn) leave(brisk bool) (stays bool) {
	if w := workOf(l.handler); w != nil {
		if !brisk {
			w.Elsewhere()
			return true
		}
		return l.run(w)
	}
	if !brisk || l.lender == nil || !l.lender.Lends() {
		return true
	}
	return !l.vacate()
}

// vacate lets nobody read. With false that cannot stay so, and it is the link's own turn again: who began to wait before found that somebody reads, so the lender
// is asked afterwards, and without the lock, since what it locks may be held where the link is closed.
func (l *conn) vacate() bool {
	t := &l.turns
	t.mu.Lock()
	t.who = nil
	t.change(vacant, l)
	seq, closed := t.seq, t.closed
	t.mu.Unlock()
	if !closed && l.lender.Lends() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seq != seq { // somebody else reads
		return true
	}
	t.change(own, l)
	return false
}

// run runs w on the link's own goroutine. It reports whether that still reads.
func (l *conn) run(w Work) (stays bool) {
	t := &l.turns
	t.mu.Lock()
	t.change(running, l)
	seq := t.seq
	t.mu.Unlock()
	exited := true
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		stays = t.seq == seq
		switch {
		case stays && exited: // the work has ended this goroutine
			l.takeOver()
		case stays:
			t.change(own, l)
		}
	}()
	w.Here()
	exited = false
	return
}

// Attend implements [Link].
func (l *conn) Attend(a Attendant) bool {
	t := &l.turns
	t.mu.Lock()
	if a == nil && t.now == vacant {
		l.takeOver()
	}
	if t.now != vacant {
		t.mu.Unlock()
		return false
	}
	t.who = a
	t.change(lent, l)
	t.mu.Unlock()
	err := error(nil)
	for err == nil && !a.Over() && !t.tired() {
		if err = l.readSome(); err != nil {
			break
		}
		if w := workOf(l.handler); w != nil {
			w.Elsewhere()
		}
	}
	if err == nil {
		if !l.vacate() {
			go l.read()
		}
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.who = nil
	l.failed = err
	l.takeOver()
	return true
}

// tired reports whether the attendant has read for long enough.
func (t *turns) tired() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ticks >= patience
}

// stopTurns lets a goroutine of the link's see that it is closed.
func (l *conn) stopTurns() {
	t := &l.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.now == vacant {
		l.takeOver()
	}
}
