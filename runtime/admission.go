package daffi

import (
	"context"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// admission bounds how many handlers run, and queues a bounded number of calls that wait for one to end.
type admission struct {
	node *Node

	mu      sync.Mutex
	running int // of calls that no handler made
	nested  int
	queue   []*Incoming
	oneway  map[*callCtx]struct{} // that run or wait: no session's end cancels them
	idle    chan struct{}         // closed when nothing runs and waits; nil when nobody asks
	closed  bool
}

// enter starts in, or queues it; it reports false when there is no room.
func (a *admission) enter(in *Incoming) bool {
	a.mu.Lock()
	switch {
	case a.closed:
		a.mu.Unlock()
		return false
	case in.ctx.depth > 0:
		// A call made by a handler is never queued behind others: they may wait for just that handler.
		if a.nested >= a.node.opts.MaxRunning {
			a.mu.Unlock()
			return false
		}
		a.nested++
		a.note(in)
	case a.running < a.node.opts.MaxRunning && in.peer.running < a.node.opts.MaxRunningPerCaller:
		a.start(in)
		a.note(in)
	case len(a.queue) < a.node.opts.MaxQueue:
		a.queue = append(a.queue, in)
		a.note(in)
		a.mu.Unlock()
		return true
	default:
		a.mu.Unlock()
		return false
	}
	a.mu.Unlock()
	a.node.run(in)
	return true
}

// note remembers a one-way call. Call with the lock held.
func (a *admission) note(in *Incoming) {
	if in.mode&transport.Oneway == 0 {
		return
	}
	if a.oneway == nil {
		a.oneway = map[*callCtx]struct{}{}
	}
	a.oneway[in.ctx] = struct{}{}
}

// start counts in as running. Call with the lock held.
func (a *admission) start(in *Incoming) {
	a.running++
	in.peer.running++
}

// leave counts a call as ended, and returns one that waited and is to run now.
func (a *admission) leave(ctx *callCtx, p *peer) (next *Incoming) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.oneway, ctx)
	if ctx.depth > 0 {
		a.nested--
	} else {
		a.running--
		p.running--
		for i, in := range a.queue {
			if in.peer.running < a.node.opts.MaxRunningPerCaller {
				a.queue = append(a.queue[:i], a.queue[i+1:]...)
				a.start(in)
				next = in
				break
			}
		}
	}
	if a.idle != nil && a.running+a.nested+len(a.queue) == 0 {
		close(a.idle)
		a.idle = nil
	}
	return next
}

// wait returns when nothing runs and waits.
func (a *admission) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.running+a.nested+len(a.queue) == 0 {
		a.mu.Unlock()
		return nil
	}
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return contextError(ctx, "")
	}
}

// close refuses all further calls, drops those that wait, and ends the contexts of one-way ones that run.
func (a *admission) close() {
	a.mu.Lock()
	a.closed = true
	queue := a.queue
	a.queue = nil
	for ctx := range a.oneway {
		ctx.cancel(context.Canceled)
	}
	a.mu.Unlock()
	for _, in := range queue {
		in.ctx.cancel(context.Canceled)
		if in.recv != nil {
			in.recv.close()
		}
		in.release()
	}
}

// run serves in on a goroutine: one that has just become free, or a new one.
func (n *Node) run(in *Incoming) {
	select {
	case n.work <- in:
	default:
		n.workers.Go(func() { n.worker(in) })
	}
}

// worker serves calls until there was none for a while.
func (n *Node) worker(in *Incoming) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		for in != nil {
			in = n.serve(in)
		}
		idle.Reset(workerIdle)
		select {
		case in = <-n.work:
		case <-idle.C:
			return
		case <-n.stop:
			return
		}
	}
}
