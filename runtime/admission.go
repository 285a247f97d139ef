package daffi

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// admission bounds how many handlers run, and queues a bounded number of calls that wait for one to end, or for their turn.
type admission struct {
	node *Node

	mu        sync.Mutex
	running   int // of calls that no handler made
	nested    int
	queue     []*Incoming           // that wait for room alone
	turns     []*turn               // that calls wait for
	waiting   int                   // calls in the queues of both
	waiters   int                   // callers that they are of
	held      int                   // bytes of the large requests among them
	arguments int                   // bytes of those that run
	lighter   chan struct{}         // closed when they are less; nil when nobody asks
	seq       uint64                // of the call that began to wait last
	callers   map[callerKey]*peer   // that are there, or of which calls run or wait: who comes anew does not begin anew
	soonest   time.Time             // no waiting call has a deadline before this
	oneway    map[*callCtx]struct{} // that run or wait: no session's end cancels them

	ended  chan struct{} // closed when one of them ends, or the last running call of a registration; nil when nobody asks
	idle   chan struct{} // closed when nothing runs and waits; nil when nobody asks
	closed bool
}

// callerKey tells callers apart. The scheduled calls of a node are those of another caller.
type callerKey struct {
	name  string
	fired bool
}

// meets returns the caller of that name, one of whose sessions has come.
func (a *admission) meets(name string, fired bool) *peer {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := callerKey{name, fired}
	p := a.callers[k]
	if p == nil {
		if a.callers == nil {
			a.callers = map[callerKey]*peer{}
		}
		p = &peer{name: name, fired: fired}
		a.callers[k] = p
	}
	p.sessions++
	return p
}

// parts is the end of one of its sessions.
func (a *admission) parts(p *peer) {
	a.mu.Lock()
	p.sessions--
	a.forgetCaller(p)
	a.mu.Unlock()
}

// forgetCaller drops a caller of which nothing is left. Call with the lock held.
func (a *admission) forgetCaller(p *peer) {
	if p.sessions == 0 && p.running == 0 && p.waiting == 0 && a.callers[callerKey{p.name, p.fired}] == p {
		delete(a.callers, callerKey{p.name, p.fired})
	}
}

// ended is a call that was taken out of a queue because it will not run, and why.
type ended struct {
	in  *Incoming
	err error
}

// finishAll ends such calls. Call without the lock.
func finishAll(list []ended) {
	for _, e := range list {
		e.in.complete(e.err)
	}
}

// enter starts in, or queues it, or says why it does neither.
func (a *admission) enter(in *Incoming) *Error {
	turn := in.method.turn
	var gone []ended
	var room *assembly
	a.mu.Lock()
	defer func() {
		a.mu.Unlock()
		if room != nil {
			room.drop()
		}
		finishAll(gone)
	}()
	if turn != nil && turn.reenters(in) {
		return turn.reentrant()
	}
	if in.mode&transport.Each == 0 { // else every item takes the turn for itself
		in.turn = turn
	}
	free := in.turn == nil || in.turn.free()
	switch {
	case a.closed:
		return shuttingDown()
	case free && a.fits(in):
		a.start(in)
		a.note(in)
		in.session.begin(in)
		return nil
	case free && in.ctx.depth > 0:
		// A call made by a handler is never queued for room: those that run may wait for just that handler.
		return tooBusy()
	case a.full(in) || in.turn.full():
		gone = a.purge()
		if in.turn.full() {
			return in.turn.busy()
		}
		if a.full(in) && !a.makeRoom(in, &gone) {
			return tooBusy()
		}
	}
	// What waits must not hold the room that large messages have on their way: those that run may need it for what they wait for.
	room, in.asm = in.asm, nil
	a.wait(in)
	a.note(in)
	return nil
}

func tooBusy() *Error {
	return &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Message: "too many calls run and wait at the node"}
}

// fits reports whether there is room for in to run.
func (a *admission) fits(in *Incoming) bool {
	if in.ctx.depth > 0 {
		return a.nested < a.node.opts.Limits.NestedRunning
	}
	return a.running < a.node.opts.MaxRunning && in.peer.running < a.node.opts.MaxRunningPerCaller
}

// full reports whether there is no room for in to wait.
func (a *admission) full(in *Incoming) bool {
	return a.waiting >= a.node.opts.MaxQueue || a.heavy(in)
}

// heavy reports whether there is no room for a large request to wait among others.
func (a *admission) heavy(in *Incoming) bool {
	return large(in) && a.held > 0 && a.held+len(in.payload.B) > a.node.opts.Limits.HeldBytes
}

// makeRoom refuses calls that wait, the newest of the caller that has the most, so that in can wait in their place. It reports false, and refuses nothing, if the caller of in
// has its share of the room already. So callers that send more than the node can do get equal parts of it, and one that sends little does not notice them.
func (a *admission) makeRoom(in *Incoming, gone *[]ended) bool {
	p, places := in.peer, a.node.opts.MaxQueue
	callers := a.waiters
	if p.waiting == 0 {
		callers++
	}
	many := a.waiting >= places
	if many && p.waiting >= places/callers || a.heavy(in) && p.held+len(in.payload.B) > a.node.opts.Limits.HeldBytes/callers {
		return false
	}
	if many {
		a.pushOut(gone, func(w *Incoming) int { return w.peer.waiting })
	}
	for a.heavy(in) {
		a.pushOut(gone, func(w *Incoming) int {
			if !large(w) {
				return 0
			}
			return w.peer.held
		})
	}
	return true
}

// pushOut refuses the newest call of those for which most is highest.
func (a *admission) pushOut(gone *[]ended, most func(*Incoming) int) {
	var victim *Incoming
	var of *turn
	at, high := -1, 0
	look := func(t *turn) {
		for i, w := range *a.line(t) {
			if w.item != nil {
				continue
			}
			if n := most(w); n > high || n == high && n > 0 && w.seq > victim.seq {
				victim, of, at, high = w, t, i, n
			}
		}
	}
	look(nil)
	for _, t := range a.turns {
		look(t)
	}
	*gone = append(*gone, a.drop(of, at, victim.own(tooBusy())))
}

// large reports whether in came in pieces. Others are bounded by their number.
func large(in *Incoming) bool { return in.flags&transport.Large != 0 }

// start counts in as running. Call with the lock held, like all that follow but leave, forget, drained and close.
func (a *admission) start(in *Incoming) {
	if in.ctx.depth > 0 {
		a.nested++
	} else {
		a.running++
		in.peer.running++
	}
	in.method.reg.running++
	if in.turn != nil {
		in.turn.take(in.ctx)
	}
}

// note remembers a one-way call.
func (a *admission) note(in *Incoming) {
	if in.mode&transport.Oneway == 0 {
		return
	}
	if a.oneway == nil {
		a.oneway = map[*callCtx]struct{}{}
	}
	a.oneway[in.ctx] = struct{}{}
}

// wait queues a call.
func (a *admission) wait(in *Incoming) {
	a.waiting++
	if in.peer.waiting++; in.peer.waiting == 1 {
		a.waiters++
	}
	in.ctx.queued = true
	if large(in) {
		a.held += len(in.payload.B)
		in.peer.held += len(in.payload.B)
	}
	if d := in.ctx.deadline; !d.IsZero() && (a.soonest.IsZero() || d.Before(a.soonest)) {
		a.soonest = d
	}
	if in.turn == nil {
		a.seq++
		in.seq = a.seq
		a.queue = append(a.queue, in)
		return
	}
	in.turn.calls++
	a.join(in.turn, in)
}

// line is the queue of t, or, where t is nil, that of calls that wait for room.
func (a *admission) line(t *turn) *[]*Incoming {
	if t == nil {
		return &a.queue
	}
	return &t.waiting
}

// join puts in, a call or an item, at the end of those that wait for t.
func (a *admission) join(t *turn, in *Incoming) {
	a.seq++
	in.seq = a.seq
	t.waiting = append(t.waiting, in)
	if len(t.waiting) == 1 {
		a.turns = append(a.turns, t)
	}
}

// unlist takes the i-th out of t's line.
func (a *admission) unlist(t *turn, i int) *Incoming {
	list := a.line(t)
	in := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	if t != nil && len(t.waiting) == 0 {
		a.turns = slices.DeleteFunc(a.turns, func(other *turn) bool { return other == t })
	}
	if in.item == nil {
		a.waiting--
		if t != nil {
			t.calls--
		}
		if in.peer.waiting--; in.peer.waiting == 0 {
			a.waiters--
		}
		if large(in) {
			a.held -= len(in.payload.B)
			in.peer.held -= len(in.payload.B)
		}
		in.ctx.queued = false
	}
	return in
}

// drop is unlist for a call that will not run.
func (a *admission) drop(t *turn, i int, err error) ended {
	in := a.unlist(t, i)
	a.endOneway(in.ctx)
	a.forgetCaller(in.peer)
	return ended{in, err}
}

// next starts one of the calls that may run now, the one that has waited longest, and returns it, nil if there is none. Those that it finds ended are appended to gone.
func (a *admission) next(gone *[]ended) *Incoming {
	for !a.closed && (a.waiting > 0 || len(a.turns) > 0) {
		var first *Incoming
		var of *turn
		at := -1
		if a.running < a.node.opts.MaxRunning {
			if i := a.first(nil, gone); i >= 0 {
				first, at = a.queue[i], i
			}
		}
		for k := len(a.turns) - 1; k >= 0; k-- { // backwards: one whose last call has ended is taken out
			t := a.turns[k]
			if !t.free() {
				continue
			}
			if i := a.first(t, gone); i >= 0 && (first == nil || t.waiting[i].seq < first.seq) {
				first, of, at = t.waiting[i], t, i
			}
		}
		if first == nil {
			return nil
		}
		a.unlist(of, at)
		if first.item == nil {
			a.start(first)
			return first
		}
		of.take(first.ctx)
		close(first.item)
	}
	return nil
}

// first is the place of the first in a queue that may run now, apart from its turn; -1 if there is none.
func (a *admission) first(t *turn, gone *[]ended) int {
	list := a.line(t)
	for i := 0; i < len(*list); {
		switch in := (*list)[i]; {
		case in.item != nil:
			return i
		case !a.fits(in) && in.ctx.depth == 0:
			i++
		case !a.fits(in):
			*gone = append(*gone, a.drop(t, i, in.own(tooBusy())))
		case in.ctx.Err() != nil:
			*gone = append(*gone, a.drop(t, i, in.late()))
		default:
			return i
		}
	}
	return -1
}

// purge takes out the calls whose deadlines have passed; what is cancelled leaves by itself.
func (a *admission) purge() (gone []ended) {
	if a.soonest.IsZero() || time.Now().Before(a.soonest) {
		return nil
	}
	a.soonest = time.Time{}
	sweep := func(t *turn) {
		list := a.line(t)
		for i := 0; i < len(*list); {
			in := (*list)[i]
			d := in.ctx.deadline
			switch {
			case in.item != nil || d.IsZero():
				i++
			case in.ctx.Err() != nil:
				gone = append(gone, a.drop(t, i, in.late()))
			default:
				if a.soonest.IsZero() || d.Before(a.soonest) {
					a.soonest = d
				}
				i++
			}
		}
	}
	sweep(nil)
	for k := len(a.turns) - 1; k >= 0; k-- {
		sweep(a.turns[k])
	}
	return gone
}

// leave counts a call as ended, and returns one that waited and is to run now.
func (a *admission) leave(ctx *callCtx, p *peer, t *turn, of *Registration) (next *Incoming) {
	var gone []ended
	a.mu.Lock()
	a.endOneway(ctx)
	if ctx.depth > 0 {
		a.nested--
	} else {
		a.running--
		p.running--
	}
	a.forgetCaller(p)
	if of.running--; of.running == 0 {
		a.ended = signal(a.ended)
	}
	if t != nil {
		if t.room >= 0 {
			t.ending--
		}
		t.give(ctx)
	}
	next = a.next(&gone)
	a.startMore(&gone)
	a.settle()
	a.mu.Unlock()
	finishAll(gone)
	return next
}

// startMore lets all run that may: who leaves a turn as well as a place makes room for two.
func (a *admission) startMore(gone *[]ended) {
	for in := a.next(gone); in != nil; in = a.next(gone) {
		a.node.runner.run(in)
	}
}

// forget ends a call that still waits: it was cancelled, or its caller is gone.
func (a *admission) forget(ctx *callCtx) {
	a.mu.Lock()
	if !ctx.queued {
		a.mu.Unlock()
		return
	}
	is := func(in *Incoming) bool { return in.ctx == ctx && in.item == nil }
	var t *turn
	i := slices.IndexFunc(a.queue, is)
	for k := 0; i < 0; k++ {
		t = a.turns[k]
		i = slices.IndexFunc(t.waiting, is)
	}
	e := a.drop(t, i, context.Canceled)
	a.settle()
	a.mu.Unlock()
	e.in.complete(e.err)
}

// settle tells who waits for the last call.
func (a *admission) settle() {
	if a.running+a.nested+a.waiting == 0 {
		a.idle = signal(a.idle)
	}
}

// drained returns when nothing runs and waits.
func (a *admission) drained(ctx context.Context) error {
	return waitWhile(ctx, func() <-chan struct{} {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.running+a.nested+a.waiting == 0 {
			return nil
		}
		return signalled(&a.idle)
	})
}

func shuttingDown() *Error {
	return &Error{Code: Unavailable, Reason: ReasonDraining, Outcome: NotRun, Message: "the node is shutting down"}
}

// close refuses all further calls, and those that wait, and ends the contexts of one-way ones that run. It may be called more than once.
func (a *admission) close() {
	var gone []ended
	a.mu.Lock()
	a.closed = true
	for len(a.queue) > 0 {
		gone = append(gone, a.drop(nil, 0, a.queue[0].own(shuttingDown())))
	}
	for k := len(a.turns) - 1; k >= 0; k-- {
		t := a.turns[k]
		for i := len(t.waiting) - 1; i >= 0; i-- {
			if t.waiting[i].item == nil { // else it ends with its stream, and does not begin before that
				gone = append(gone, a.drop(t, i, t.waiting[i].own(shuttingDown())))
			}
		}
	}
	for ctx := range a.oneway {
		ctx.cancelFor(shuttingDown())
	}
	a.settle()
	a.mu.Unlock()
	finishAll(gone)
}
