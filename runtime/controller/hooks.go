package controller

import (
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// hookTimeout is how long Close waits for a hook that runs.
const hookTimeout = time.Second

// LeftReason is why a node is there no more.
type LeftReason uint8

const (
	LeftLost     LeftReason = iota // its connection has ended without a word, and did not come back: most likely its process did
	LeftGoodbye                    // it was closed, or has shut down
	LeftSilent                     // nothing was heard of it for the dead interval
	LeftReplaced                   // the same node has joined by another connection
	LeftProtocol                   // it broke the wire format
	LeftClosed                     // the controller itself was closed
)

var leftNames = [...]string{"lost", "goodbye", "silent", "replaced", "protocol", "closed"}

func (r LeftReason) String() string {
	if int(r) < len(leftNames) {
		return leftNames[r]
	}
	return "unknown"
}

// leftReason is what the end of a link says.
func leftReason(err error) LeftReason {
	switch {
	case errors.Is(err, errGoodbye):
		return LeftGoodbye
	case errors.Is(err, errReplaced):
		return LeftReplaced
	case errors.Is(err, transport.ErrProtocol):
		return LeftProtocol
	case errors.Is(err, transport.ErrSilent):
		return LeftSilent
	case errors.Is(err, errShutdown), errors.Is(err, transport.ErrClosed):
		return LeftClosed
	}
	return LeftLost
}

// roll tells the hooks who is there. It goes by what they were told and what is, so it holds no more than names, however slow they are. The controller's lock guards it,
// but for told, which is the runner's.
type roll struct {
	names   []string              // whose nodes may be others than the hooks were told, in the order of that
	why     map[string]LeftReason // for those of them that have left, the latest; the key is there for all
	running bool
	runner  sync.WaitGroup
	told    map[string]uint32 // sessions
}

// noteJoined and noteLeft have the hooks told of a name whose node has joined or left. Call with the lock held.
func (c *Controller) noteJoined(name string)               { c.note(name, LeftReplaced, false) }
func (c *Controller) noteLeft(name string, why LeftReason) { c.note(name, why, true) }

func (c *Controller) note(name string, why LeftReason, left bool) {
	if c.opts.OnNodeJoined == nil && c.opts.OnNodeLeft == nil {
		return
	}
	r := &c.roll
	if r.why == nil {
		r.why, r.told = map[string]LeftReason{}, map[string]uint32{}
	}
	if _, waits := r.why[name]; !waits {
		r.names = append(r.names, name)
		r.why[name] = why
	}
	if left {
		r.why[name] = why
	}
	if !r.running {
		r.running = true
		r.runner.Go(c.call)
	}
}

// call runs the hooks for one name after the other, on another goroutine from one on that ends this one.
func (c *Controller) call() {
	r := &c.roll
	exited := true
	defer func() {
		if exited {
			r.runner.Go(c.call)
		}
	}()
	for {
		c.mu.Lock()
		if len(r.names) == 0 {
			r.running, r.names = false, nil
			c.mu.Unlock()
			exited = false
			return
		}
		name := r.names[0]
		r.names = r.names[1:]
		why, now := r.why[name], uint32(0)
		delete(r.why, name)
		if s := c.names[name]; s != nil {
			now = s.number
		}
		c.mu.Unlock()
		before := r.told[name]
		if now == before {
			continue
		}
		if r.told[name] = now; now == 0 {
			delete(r.told, name)
		}
		if before != 0 && c.opts.OnNodeLeft != nil {
			c.guard(func() { c.opts.OnNodeLeft(name, why) })
		}
		if now != 0 && c.opts.OnNodeJoined != nil {
			c.guard(func() { c.opts.OnNodeJoined(name) })
		}
	}
}

// guard calls a function of the user's, whose panic is logged and goes no further.
func (c *Controller) guard(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("a hook panicked", "panic", safetext.Sprint(r), "stack", safetext.Block(debug.Stack()))
		}
	}()
	fn()
}

// awaitHooks gives hooks that run the time to end.
func (c *Controller) awaitHooks() {
	done := make(chan struct{})
	go func() { c.roll.runner.Wait(); close(done) }()
	t := time.NewTimer(hookTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		c.log.Warn("closed while a hook was still running")
	}
}
