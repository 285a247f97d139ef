package daffi

import (
	"context"
	"fmt"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/internal/paged"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// serving is the table of the calls that the controller has opened towards a session, by their ids' slots. It holds what the reader may
// touch while the handler runs.
type serving struct {
	mu    sync.Mutex
	items paged.Table[servedSlot]
	live  int
	idle  chan struct{} // closed when none is left; nil when nobody asks
	ended chan struct{} // closed when one ends; nil when nobody asks
	gone  error
}

type servedSlot struct {
	servedCall
	seen uint64 // the latest id
}

type servedCall struct {
	id     uint64 // 0: free
	ctx    *callCtx
	recv   *receiver
	send   *sender
	asm    *assembly    // of a large request that is on its way
	reply  *largeSender // of a large reply
	method *servedMethod
	in     *Incoming // until it was admitted
}

// claim takes the slot of a new call. The Cancel of the call before may still be on its way in the bulk lane: over is that call, if it
// has not ended; late says that the new call itself was cancelled and its request overtaken.
func (t *serving) claim(id uint64) (over servedCall, late bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := transport.SlotOf(id)
	if i >= transport.MaxCalls {
		return over, false, fmt.Errorf("%w: call in slot %d", transport.ErrProtocol, i)
	}
	e := t.items.Make(i)
	switch gen, seen := transport.GenerationOf(id), transport.GenerationOf(e.seen); {
	case gen == seen:
		return over, false, fmt.Errorf("%w: call id %#x was used before", transport.ErrProtocol, id)
	case gen < seen:
		return over, true, nil
	}
	over, e.seen = t.end(&e.servedCall), id
	return over, false, nil
}

// add enters a call whose slot was claimed.
func (t *serving) add(c servedCall) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone != nil {
		return t.gone
	}
	t.items.Make(transport.SlotOf(c.id)).servedCall = c
	t.live++
	return nil
}

// end empties a place. Call with the lock held.
func (t *serving) end(c *servedCall) servedCall {
	was := *c
	if was.id != 0 {
		*c = servedCall{}
		t.live--
		t.wake()
		t.ended = signal(t.ended)
	}
	return was
}

// wake tells who waits for the last call. Call with the lock held.
func (t *serving) wake() {
	if t.live == 0 {
		t.idle = signal(t.idle)
	}
}

// single reports whether there is one call.
func (t *serving) single() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live == 1
}

// wait returns when every call has ended: its last frame is with the link.
func (t *serving) wait(ctx context.Context) error {
	return waitWhile(ctx, func() <-chan struct{} {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.live == 0 {
			return nil
		}
		return signalled(&t.idle)
	})
}

// find is the live call of that id. Call with the lock held.
func (t *serving) find(id uint64) *servedCall {
	if e := t.items.At(transport.SlotOf(id)); e != nil && e.id == id {
		return &e.servedCall
	}
	return nil
}

// get is a copy of the call of that id; the id is 0 if it has ended.
func (t *serving) get(id uint64) servedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.find(id); c != nil {
		return *c
	}
	return servedCall{}
}

// update changes a call that is still there.
func (t *serving) update(id uint64, fn func(c *servedCall)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(id)
	if c != nil {
		fn(c)
	}
	return c != nil
}

// remove ends a call; the id of what it returns is 0 if it had ended before.
func (t *serving) remove(id uint64) servedCall {
	ended, _ := t.finish(id)
	return ended
}

// finish is remove, and reports whether further calls are there.
func (t *serving) finish(id uint64) (ended servedCall, others bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(id)
	if c == nil {
		return servedCall{}, false
	}
	return t.end(c), t.live > 0
}

// close ends all calls: nobody waits for their replies any more.
func (t *serving) close(err *Error) {
	t.mu.Lock()
	calls := t.items
	t.items, t.live, t.gone = paged.Table[servedSlot]{}, 0, err
	t.wake()
	t.ended = signal(t.ended)
	t.mu.Unlock()
	for c := range calls.All() {
		if c.id != 0 {
			c.abandon(err)
		}
	}
}

// abandon ends a call whose caller is no longer there or no longer wants it.
func (c *servedCall) abandon(err *Error) {
	if c.ctx != nil {
		c.ctx.abandon(err)
		defer c.ctx.node.admission.forget(c.ctx)
	}
	if c.recv != nil {
		c.recv.abort(err)
	}
	if c.send != nil {
		c.send.abort(nil, context.Canceled)
	}
	if c.reply != nil {
		c.reply.close()
	}
	if c.asm != nil {
		c.asm.drop()
	}
	if c.in != nil { // it was never admitted
		if c.recv != nil {
			c.recv.close()
		}
		c.in.release()
	}
}
