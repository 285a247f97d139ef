package controller

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Bounds of leaving out nodes that fail (LIM-42).
const (
	ejectAfter = 5 // failures in a row
	ejectFirst = time.Second
	ejectMost  = 30 * time.Second
	blameTime  = 10 * time.Second // that failures of one caller alone count for nothing, where others were answered
)

// health is how the calls that a node serves end, as far as that says something of the node. One that fails several times in a row is left out of the choice for a
// while, which doubles each time; then one call tries it at a time, and its first answer is the end of it.
type health struct {
	trial atomic.Int32 // how far it is
	tried atomic.Int64 // when a call was let try it, by the controller's clock

	// Of the session's own goroutine.
	failures int       // in a row
	by       uint64    // hash of its name: the caller of those, 0 for several
	since    int64     // when the first of them came, by the controller's clock
	good     [2]uint64 // the callers that were answered last, without a failure
	times    int       // that it was left out, without an answer in between

	// Guarded by the controller's lock.
	order uint64 // among those that were left out
	timer *time.Timer
}

const (
	fit    int32 = iota
	out          // left out, as far as others are there
	due          // the next call may try it
	trying       // one does
)

// takes reports whether a call may go to a node that is not fit: to one that was left out one call at a time, and the next after a while if that has not ended. One that is still
// out is among those to choose from because too many are, and is as good as they.
func (h *health) takes(now int64, first time.Duration) bool {
	switch h.trial.Load() {
	case due:
		if h.trial.CompareAndSwap(due, trying) {
			h.tried.Store(now)
			return true
		}
		return false
	case trying:
		at := h.tried.Load()
		return now-at > int64(first) && h.tried.CompareAndSwap(at, now)
	}
	return true
}

// well notes an answer of the node to a caller. On its own goroutine.
func (s *session) well(caller uint64) {
	h := &s.health
	if h.good[0] != caller {
		h.good[0], h.good[1] = caller, h.good[0]
	}
	if h.failures == 0 && h.trial.Load() == fit {
		return
	}
	h.failures = 0
	if st := h.trial.Load(); st == due || st == trying {
		h.times = 0
		h.trial.Store(fit)
		s.c.log.Info("node answers again", "node", s.name, "session", s.number)
	}
}

// judge notes an error that the node has answered with. An error of the handler's is an answer like any other. What the node refuses since it has too much to do, shuts down or does not understand the
// caller says nothing of whether it works, and neither does a call that its caller gave up. On the session's own goroutine.
func (s *session) judge(caller uint64, payload []byte) {
	var d codec.Decoder
	d.Reset(payload)
	switch code, reason, outcome := control.PeekFailure(&d); {
	case reason == reasonPanic, code == unavailable && outcome == notRun && reason != reasonDraining:
		s.failed(caller)
	case outcome == ran:
		s.well(caller)
	}
}

// failed notes a failure of the node in a call of that caller.
func (s *session) failed(caller uint64) {
	h, most := &s.health, s.c.opts.EjectAfter
	switch st := h.trial.Load(); {
	case most < 0 || st == out:
	case st == fit:
		switch {
		case h.failures == 0:
			h.by, h.since = caller, s.c.clock()
		case h.by != caller:
			h.by = 0
		}
		if h.failures++; h.failures >= most && !s.blames() {
			s.eject()
		}
	default:
		s.eject()
	}
}

// blames reports whether the failures may be the fault of who has made the calls: they are all of one caller, and others were answered not long before. A request that a handler panics at must not take the
// node from everybody.
func (s *session) blames() bool {
	h := &s.health
	other := func(n uint64) bool { return n != 0 && n != h.by }
	return h.by != 0 && (other(h.good[0]) || other(h.good[1])) && s.c.clock()-h.since < int64(blameTime)
}

// eject leaves the node out of the choice for a while.
func (s *session) eject() {
	h, c := &s.health, s.c
	d, most := c.opts.Limits.EjectFirst, c.opts.Limits.EjectMost
	for range min(h.times, 30) {
		d = min(2*d, most)
	}
	d += rand.N(max(d/8, 1)) // those that were left out together do not come back together
	h.times++
	h.failures = 0
	c.mu.Lock()
	defer c.unlock()
	c.ejections++
	h.order = c.ejections
	h.trial.Store(out)
	h.timer = time.AfterFunc(d, s.readmit)
	c.refit(s)
	c.remarks.add(func() {
		c.log.Warn("node fails and is left out for a while", "node", s.name, "session", s.number, "time", d)
	})
}

// readmit lets calls try the node.
func (s *session) readmit() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s.health.trial.Store(due)
	c.refit(s)
}

// refit works out anew whom the calls of what s serves may go to. Call with the lock held.
func (c *Controller) refit(s *session) {
	for _, reg := range s.services {
		for _, m := range reg.methods {
			for _, from := range m.route.group.routes {
				if from.called && from.reaches(m.route) {
					from.provide(*from.providers.Load())
					for _, v := range from.views {
						v.provide(*v.providers.Load())
					}
				}
			}
		}
	}
}

// withoutEjected is list without those that are out, but for half of list at least: those that were left out last stay. Call with the lock held.
func withoutEjected(list []provider) []provider {
	isOut := func(p provider) bool { return p.s.health.trial.Load() == out }
	if !slices.ContainsFunc(list, isOut) {
		return list
	}
	var ejected []provider
	for _, p := range list {
		if isOut(p) {
			ejected = append(ejected, p)
		}
	}
	slices.SortFunc(ejected, func(a, b provider) int { return cmp.Compare(a.s.health.order, b.s.health.order) })
	ejected = ejected[:min(len(ejected), len(list)/2)]
	return slices.DeleteFunc(slices.Clone(list), func(p provider) bool {
		return slices.ContainsFunc(ejected, func(e provider) bool { return e.s == p.s })
	})
}
