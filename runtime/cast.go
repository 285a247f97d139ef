package daffi

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// cast is one call to several nodes, which were chosen before the first copy was sent. All copies are under way at once, without a goroutine: whoever ends one, the reader
// of the link mostly, notes that, and whoever ranges over the results takes it from there, or nobody does.
type cast struct {
	b      *Binding
	m      int
	s      *session
	ctx    context.Context // with the deadline
	own    bool            // which daffi has set
	caller context.Context // without
	quorum int
	remote bool // a copy may leave the host
	copies []copied
	feed   *feeder // of an input
	merge  *merge  // of outputs

	mu   sync.Mutex
	over []int // copies that have ended and were not taken, in this order
	open int   // those that have not ended
	left bool  // what ends is dropped
	stop func() bool
	wake chan struct{}

	cancel context.CancelFunc
}

// copied is the call to one node. What is written after all are sent is written by who takes it.
type copied struct {
	node    string
	session uint32
	st      *stream // nil without sequences
	p       *pending
	id      uint64 // with p: it was sent
	err     *Error // why it was not
	over    bool   // all of its output was taken
}

// sendTogether is how many copies share a write.
const sendTogether = 64

// cast sends the call to its targets. An error says that nothing was sent, or that an interceptor has failed it.
func (b *Binding) cast(ctx context.Context, m int, x *extra, enc func(*codec.Encoder), mode transport.Mode) (*cast, error) {
	c := &cast{b: b, m: m, caller: ctx, ctx: ctx, quorum: x.needs(), wake: make(chan struct{}, 1), cancel: func() {}}
	if mode&transport.Output != 0 && c.quorum > 0 {
		return nil, &Error{Code: InvalidArgument, Reason: ReasonShape, Outcome: NotRun, Method: c.method(), Message: "a broadcast of a method that returns a sequence has no quorum"}
	}
	if x.hedges() {
		return nil, b.unhedgeable(m, "a broadcast goes to all of them")
	}
	shared, err := b.prepare(ctx, m, x, enc)
	if err != nil {
		return nil, notRun(err, c.method())
	}
	defer shared.release()
	if x.delayed() {
		end, e := b.stayed(ctx, m, x)
		if e != nil {
			return nil, e
		}
		defer end()
	}
	if mode&transport.Output != 0 {
		c.merge = &merge{wake: make(chan struct{}, 1)}
	}
	if x.hasInput() {
		mode |= transport.Input
		if b.client.Methods[m].EachItem {
			mode |= transport.Each
		}
	}
	deadline, own := b.deadline(ctx, m, mode&(transport.Input|transport.Output) != 0)
	if c.own = own; own {
		c.ctx, c.cancel = context.WithDeadline(ctx, deadline)
	}
	sent := false
	defer func() {
		if !sent { // also after a panic of an interceptor
			c.close()
		}
	}()
	do := func(ctx context.Context) error {
		if e := c.choose(x, deadline); e != nil {
			return e
		}
		if c.s.compresses(c.remote) {
			shared.pack(b.node, &b.methods[m].worth)
		}
		c.openStreams(x, mode)
		c.send(ctx, shared, x, mode, deadline)
		return nil
	}
	if !b.intercepts(x) {
		err = do(ctx)
	} else {
		i := &Interception{Shape: ShapeBroadcast}
		i.in.add(len(shared.req.B))
		err = b.intercept(ctx, m, x, i, do)
	}
	if err != nil {
		return nil, err
	}
	sent = true
	return c, nil
}

// choose fixes the targets.
func (c *cast) choose(x *extra, deadline time.Time) *Error {
	t, e := c.b.targets(c.ctx, c.m, deadline, false, true)
	if len(x.names()) > 0 {
		if e != nil && !e.absent() {
			return c.late(e)
		}
		if e := c.named(x.to, &t); e != nil {
			return c.late(e)
		}
	} else if e != nil {
		return c.late(e)
	} else {
		for i, number := range t.sessions {
			c.copies = append(c.copies, copied{node: t.names[i], session: number})
		}
	}
	c.s, c.remote, c.open = t.s, t.route.Remote, len(c.copies)
	if c.quorum > c.open {
		return &Error{Code: Unavailable, Reason: ReasonQuorum, Outcome: NotRun, Method: c.method(), Message: fmt.Sprintf(
			"nothing was sent: the quorum is %d, and there are %d nodes to call", c.quorum, c.open)}
	}
	return nil
}

// absent reports whether e says that no node serves the method.
func (e *Error) absent() bool {
	switch e.Reason {
	case ReasonNoProvider, ReasonSchema, ReasonDraining:
		return true
	}
	return e.Code == Unimplemented && e.Reason == ""
}

// named are the targets of those names. One that is not among the providers is looked for by itself, so that its entry says why it does not answer.
func (c *cast) named(names []string, t *targets) *Error {
	at := make(map[string]uint32, len(t.names))
	for i, name := range t.names {
		at[name] = t.sessions[i]
	}
	for _, name := range names {
		if slices.ContainsFunc(c.copies, func(k copied) bool { return k.node == name }) {
			continue
		}
		k := copied{node: name, session: at[name]}
		if k.session == 0 {
			var err error
			if k.session, err = t.s.find(c.ctx, name, true, time.Time{}, false); err != nil {
				return notRun(err, c.method())
			}
		}
		if k.session == 0 {
			k.err = &Error{Code: Unavailable, Reason: ReasonNoProvider, Outcome: NotRun, Method: c.method(), Message: fmt.Sprintf("no node is named %q", name)}
		}
		c.copies = append(c.copies, k)
	}
	return nil
}

// openStreams makes what the copies need for sequences.
func (c *cast) openStreams(x *extra, mode transport.Mode) {
	if mode&(transport.Input|transport.Output) == 0 {
		return
	}
	var fed []*stream
	for i := range c.copies {
		k := &c.copies[i]
		k.st = &stream{mode: mode, known: c.b.errors(c.m)}
		if c.merge != nil {
			k.st.part = &part{of: c.merge, copied: k}
		}
		fed = append(fed, k.st)
	}
	if x.hasInput() && len(fed) > 0 {
		c.feed = newFeeder(c.ctx, x.input, fed...)
		for _, st := range fed {
			st.feed = c.feed
		}
	}
}

// send sends the copies, waiting for room in the link only. ctx is that of what sends; when it ends does not concern what was sent.
func (c *cast) send(ctx context.Context, shared *pending, x *extra, mode transport.Mode, deadline time.Time) {
	first := false // no other call was under way
	for i := range c.copies {
		k := &c.copies[i]
		if k.err == nil && c.ctx.Err() != nil {
			k.err = c.late(notSent(c.ctx, c.method()))
		}
		if k.err == nil {
			alone := c.sendTo(ctx, i, shared, x, mode, deadline)
			first = first || alone
		}
		if k.err != nil {
			k.st.unsent()
			c.ended(i)
		} else if (i+1)%sendTogether == 0 {
			c.s.link.Flush()
		}
	}
	c.s.depart(first)
	c.s.link.Attend(nil) // the answers are taken by nobody who would read them
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open > 0 {
		c.stop = context.AfterFunc(c.ctx, func() { c.end(c.late(contextError(c.ctx, c.method()))) })
	}
}

// sendTo enqueues the i-th copy.
func (c *cast) sendTo(ctx context.Context, i int, shared *pending, x *extra, mode transport.Mode, deadline time.Time) (first bool) {
	k, p := &c.copies[i], c.b.node.newPending()
	p.copyOf(shared)
	p.peer, p.sink = k.session, func(*pending) { c.ended(i) }
	if k.p = p; k.st != nil {
		p.stream, k.st.p = k.st, p
	}
	var e *Error
	if k.id, first, e = c.b.enqueue(ctx, c.s, p, c.m, x, mode, deadline, false); e != nil {
		k.p, k.err = nil, c.late(e)
		p.release()
		return false
	}
	p.forgetRequest()
	return first
}

func (c *cast) method() string { return c.b.methods[c.m].full }

// late is e, or, where daffi's own deadline has ended the call, the error that says so.
func (c *cast) late(e *Error) *Error {
	if c.own && e.Code == DeadlineExceeded && c.ctx.Err() != nil && c.caller.Err() == nil {
		own := c.b.timedOut(c.m)
		own.Outcome = e.Outcome
		return own
	}
	return e
}

// ended notes that the i-th copy has. It is called once for each, on readers too.
func (c *cast) ended(i int) {
	c.mu.Lock()
	left := c.left
	if !left {
		c.over = append(c.over, i)
	}
	c.open--
	last := c.open == 0
	c.mu.Unlock()
	if left {
		c.copies[i].p.release()
	}
	if last {
		c.unbind()
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// unbind lets go of the context.
func (c *cast) unbind() {
	c.mu.Lock()
	stop := c.stop
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	c.cancel()
}

// end ends the copies that are under way with e. All must have been sent.
func (c *cast) end(e *Error) {
	for i := range c.copies {
		if k := &c.copies[i]; k.id != 0 {
			if p := c.s.calls.remove(k.id); p != nil {
				p.why = e
				c.s.cancel(k.id, p)
				p.fail(e)
			}
		}
	}
}

// next is a copy that has ended, for which it waits. ok is false when all were taken.
func (c *cast) next() (k *copied, ok bool) {
	for {
		c.mu.Lock()
		if len(c.over) > 0 {
			k, c.over = &c.copies[c.over[0]], c.over[1:]
			c.mu.Unlock()
			return k, true
		}
		open := c.open
		c.mu.Unlock()
		if open == 0 {
			return nil, false
		}
		<-c.wake
	}
}

// leave drops what was not taken and cancels what is under way.
func (c *cast) leave() {
	c.mu.Lock()
	c.left = true
	over := c.over
	c.over = nil
	c.mu.Unlock()
	for _, i := range over {
		if p := c.copies[i].p; p != nil {
			p.release()
		}
	}
	c.end(errLeftCast)
	c.unbind()
}

// close is leave for outputs as well.
func (c *cast) close() {
	for i := range c.copies {
		if k := &c.copies[i]; k.st != nil && k.err == nil && !k.over {
			k.st.close(errLeftCast)
		}
	}
	c.leave()
}

// errLeftCast ends copies whose ends nobody learns of.
var errLeftCast = &Error{Code: Canceled, Message: "the results of the broadcast are not wanted any more"}

// outcome is how k has ended; nil: with a reply in its pending. It panics with what the input sequence has panicked with.
func (c *cast) outcome(k *copied) *Error {
	c.feed.rethrow()
	e := k.err
	if e == nil {
		e = c.feed.outcome(c.method(), c.b.outcome(k.p, c.m))
	}
	return c.of(k, e)
}

// of makes e, which may be nil, the error of k.
func (c *cast) of(k *copied, e *Error) *Error {
	if e == nil {
		return nil
	}
	if e.Reason == ReasonStaleRoute { // of its session, which has ended since the targets were chosen
		e.Reason = ReasonNodeLost
	}
	if e.Node == "" {
		e.Node = k.node
	}
	return e
}
