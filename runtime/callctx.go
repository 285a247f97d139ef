package daffi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// CallInfo describes the call that a handler runs for. More fields may come.
//
// Caller, Task, Tick and Due are the controller's word, which no node can forge; Attempt, Depth and ID are the caller's. Caller can be believed as far as the controller can: it is the name
// of the session that the call came from, and a session has its name by what it has proved when it joined. A certificate is bound to one name, a token of a file of hashes to those that its entry
// allows; with one token for all, or as processes of one user or one process, nodes are trusted alike, and each may take any name that is free.
type CallInfo struct {
	Method  string // "Service.Method"
	Caller  string // the name of the node that called, as the controller knows it
	Attempt int    // 0 for the first; more where daffi has sent the call again (SEM-6)
	Depth   int    // of calls within calls: 0 for one that no handler has made
	ID      string // of a call of an idempotent method: random, and the same in all attempts, so that a handler can recognise them; of a run of a schedule: of its tick; else empty

	Task string    // the schedule of Caller's that the call is a run of; else empty
	Tick int       // of the schedule, from 1: no tick has two runs
	Due  time.Time // when the schedule's plan wanted it
}

// CallFrom is the call that ctx belongs to; ok is false outside a handler. The value is a copy, valid for ever.
func CallFrom(ctx context.Context) (info CallInfo, ok bool) {
	c, ok := ctx.Value(callKey{}).(*callCtx)
	if !ok {
		return info, false
	}
	info = CallInfo{Method: c.method, Caller: c.from, Depth: int(c.depth)}
	if t := c.tag; t != nil {
		info.Attempt = int(t.attempt)
		if t.id != (callID{}) {
			info.ID = t.id.String()
		}
	}
	if c.fired {
		info.Task, info.Tick, info.Due = scheduled(c.received())
	}
	return info, true
}

// NodeFrom is the node that serves the call that ctx belongs to, for calling back, or the one whose hook has ctx; nil elsewhere.
func NodeFrom(ctx context.Context) *Node {
	if c, ok := ctx.Value(callKey{}).(*callCtx); ok {
		return c.node
	}
	n, _ := ctx.Value(nodeKey{}).(*Node)
	return n
}

type callKey struct{}

// nesting is what a call made with ctx inherits from the handler that makes it: how deep it is, and, if it is waited for, the turns that are held for as long.
func nesting(ctx context.Context, oneway bool) (depth uint8, turns []uint64) {
	c, ok := ctx.Value(callKey{}).(*callCtx)
	if !ok {
		return 0, nil
	}
	if oneway {
		return c.depth + 1, nil
	}
	if c.tag != nil {
		turns = c.tag.turns
	}
	if id := c.turn.Load(); id != 0 {
		turns = append(turns[:len(turns):len(turns)], id)
	}
	return c.depth + 1, turns
}

// callCtx is the context of a handler, and the one allocation of a call at the callee. It is never reused, since a handler may keep it.
type callCtx struct {
	method   string // "Service.Method"
	from     string // the caller's name
	tag      *tag   // nil for a plain call
	node     *Node
	deadline time.Time
	depth    uint8
	queued   bool          // it waits to run; protected by the node's admission
	fired    bool          // by the controller, for a schedule
	turn     atomic.Uint64 // that it holds, 0 for none

	mu    sync.Mutex
	more  *callMore
	done  chan struct{}
	err   error
	timer *time.Timer
	after map[*func()]struct{}
}

func (c *callCtx) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// callMore is what most calls do not have.
type callMore struct {
	metadata map[string]string // that came with the call; written before the handler starts
	reply    map[string]string // that goes back with it
	outgoing *metadata         // what of it calls pass on that the handler makes
	cause    error             // why the context was cancelled, where that is known
	caused   context.Context   // one that was cancelled with that cause
}

// extend gives c its callMore. Call with the lock held.
func (c *callCtx) extend() *callMore {
	if c.more == nil {
		c.more = new(callMore)
	}
	return c.more
}

func (c *callCtx) Value(k any) any {
	switch k.(type) {
	case callKey:
		return c
	case metadataKey:
		if m := c.passedOn(); m != nil {
			return m
		}
		return nil
	}
	return c.causedValue(k)
}

// causedValue lets [context.Cause] find the cause, which it asks a context of its own package for: so once c was cancelled with one, there is such a context behind it.
func (c *callCtx) causedValue(k any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil || c.more.cause == nil {
		return nil
	}
	if c.more.caused == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(c.more.cause)
		c.more.caused = ctx
	}
	return c.more.caused.Value(k)
}

func (c *callCtx) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	c.arm()
	return c.done
}

func (c *callCtx) Err() error { return c.errAt(time.Now()) }

// errAt is Err at a time that is now.
func (c *callCtx) errAt(now time.Time) error {
	c.mu.Lock()
	if c.err == nil && !c.deadline.IsZero() && !now.Before(c.deadline) {
		c.mu.Unlock()
		c.cancel(context.DeadlineExceeded)
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	return c.err
}

// AfterFunc spares the contexts derived from c a goroutine each; see [context.AfterFunc].
func (c *callCtx) AfterFunc(f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	key := &f
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	c.after[key] = struct{}{}
	c.arm()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, was := c.after[key]
		delete(c.after, key)
		return was
	}
}

// arm starts the deadline's timer when somebody waits for it: most handlers never do. Call with the lock held.
func (c *callCtx) arm() {
	if c.timer == nil && c.err == nil && !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.cancel(context.DeadlineExceeded) })
	}
}

// abandon ends c for want of a caller. Past the deadline that is the reason: a caller whose time is up cancels, and its Cancel may be here before
// the handler's own timer.
func (c *callCtx) abandon(why *Error) {
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.cancel(context.DeadlineExceeded)
		return
	}
	c.cancelFor(why)
}

// cancel ends c. The first one counts.
func (c *callCtx) cancel(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(err)
}

// cancelFor cancels c with a cause.
func (c *callCtx) cancelFor(why *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.extend().cause = causeOf(why)
	}
	c.end(context.Canceled)
}

// end ends c, once. Call with the lock held.
func (c *callCtx) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.done != nil {
		close(c.done)
	}
	for f := range c.after {
		go (*f)()
	}
	c.after = nil
}
