package daffi

import (
	"runtime/debug"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// hooks runs the user's functions that are told of something and that nothing waits for, one at a time and in the order of what they tell, on a goroutine that is
// there as long as there are any. So one that blocks holds up others like it, and nothing else.
type hooks struct {
	mu      sync.Mutex
	queue   []func()
	running bool
	closed  bool
	limit   int // of what waits
	dropped int // for want of room, since the queue was empty last
	workers sync.WaitGroup
}

// maxHooks is how many wait by default (LIM-32); what comes when the queue is full is dropped, counted, and logged when there is room again.
const maxHooks = 1024

// notify has fn run soon. It may be called on a reader and with locks held. It reports false if fn will not run.
func (n *Node) notify(fn func()) bool {
	h := &n.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return false
	case len(h.queue) >= h.limit:
		h.dropped++
		return false
	}
	h.add(n, fn)
	return true
}

// urge is notify for what has a bound of its own, and may come from a hook while the node closes.
func (n *Node) urge(fn func()) {
	h := &n.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running || !h.closed {
		h.add(n, fn)
	}
}

// add is called with the lock held.
func (h *hooks) add(n *Node, fn func()) {
	h.queue = append(h.queue, fn)
	if !h.running {
		h.running = true
		h.workers.Go(n.runHooks)
	}
}

// runHooks runs what there is to run, on another goroutine from one on that ends this one.
func (n *Node) runHooks() {
	h := &n.hooks
	exited := true
	defer func() {
		if exited {
			h.workers.Go(n.runHooks)
		}
	}()
	for {
		h.mu.Lock()
		if len(h.queue) == 0 {
			dropped := h.dropped
			h.running, h.queue, h.dropped = false, nil, 0
			h.mu.Unlock()
			exited = false
			if dropped > 0 {
				n.log.Warn("hooks took too long, so some were not run", "dropped", dropped)
			}
			return
		}
		fn := h.queue[0]
		h.queue[0], h.queue = nil, h.queue[1:]
		h.mu.Unlock()
		n.guard("a hook", fn)
	}
}

// guard calls a function of the user's, whose panic is logged and goes no further.
func (n *Node) guard(what string, fn func()) {
	defer func() {
		if r := recover(); r != nil {
			n.log.Error(what+" panicked", "panic", safetext.Sprint(r), "stack", safetext.Block(debug.Stack()))
		}
	}()
	fn()
}

// close refuses further ones and waits for those that there are.
func (h *hooks) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.workers.Wait()
}
