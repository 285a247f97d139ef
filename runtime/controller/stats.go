package controller

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Stats says how much a controller holds and has done.
type Stats struct {
	Links         int // open, with those whose node has not joined
	Pending       int // links that were not authenticated, without those in memory
	Nodes         int // that have joined
	Waiting       int // nodes that wait for the name of another
	Services      int // registrations, of all nodes together
	Routes        int // that have a number, with choices among providers
	Providers     int // methods that can be called, of all nodes together
	Watchers      int
	Calls         int // that callers wait for
	Serving       int // that callees were given and have not ended
	Introductions int // nodes that know another as a caller
	Kept          int // bytes, for links that may resume
	Queued        int // bytes in the queues of all nodes, but for what is less than 64 KiB in one

	Late    uint64            // frames for calls that had ended
	Refused uint64            // links that were not let in, without those of barred addresses
	Dropped uint64            // of those: gave way to others, since too many were not authenticated (LIM-3)
	Slow    uint64            // of those: took too long (LIM-2)
	Failed  uint64            // of those: whose proof was wrong
	Barred  uint64            // connections that were closed since their address had failed too often (LIM-21)
	Shed    uint64            // calls that were refused since memory ran short (SEM-27)
	Resumed uint64            // times that a link went on over another connection
	Denied  uint64            // what the policy has denied, or would have
	Ejected uint64            // times that a node was left out of the choice since it failed
	Lost    map[string]uint64 // one-way calls that were accepted and did not run, by reason

	LostMethods map[string]uint64 // the same, by "Service.Method"; past 1 024 methods those of all others are under "" (LIM-34)
}

type counters struct {
	late    atomic.Uint64
	refused atomic.Uint64
	dropped atomic.Uint64
	slow    atomic.Uint64
	failed  atomic.Uint64
	barred  atomic.Uint64
	resumed atomic.Uint64

	mu     sync.Mutex
	lost   map[string]uint64 // by reason
	lostBy map[string]uint64 // by method
}

// Stats counts. It looks at every node, one after the other.
func (c *Controller) Stats() Stats {
	c.mu.Lock()
	st := Stats{
		Links: len(c.links), Pending: c.gate.pending(), Nodes: len(c.sessions), Watchers: len(c.watchers),
		Routes: c.routes.count, Late: c.counts.late.Load(), Refused: c.counts.refused.Load(), Resumed: c.counts.resumed.Load(),
		Dropped: c.counts.dropped.Load(), Slow: c.counts.slow.Load(), Failed: c.counts.failed.Load(), Barred: c.counts.barred.Load(), Kept: c.kept.Used(), Denied: c.access.denied.Load(), Queued: int(c.memory.meter.Held()), Shed: c.memory.refused.Load(), Ejected: c.ejections,
	}
	for _, list := range c.waiting {
		st.Waiting += len(list)
	}
	for _, regs := range c.services {
		st.Services += len(regs)
	}
	for r := range c.routes.all() {
		st.Providers += len(r.own)
	}
	sessions := append([]*session(nil), c.sessions...)
	c.mu.Unlock()
	for _, s := range sessions {
		s.mu.Lock()
		st.Calls += s.calls.live
		st.Serving += s.calls.served
		st.Introductions += len(s.calls.known)
		s.mu.Unlock()
	}
	c.counts.mu.Lock()
	st.Lost, st.LostMethods = maps.Clone(c.counts.lost), maps.Clone(c.counts.lostBy)
	c.counts.mu.Unlock()
	return st
}

// maxLost is how many methods are told apart (LIM-34); the others are one.
const maxLost = 1024

// lose counts a one-way call of r that did not run after it was accepted (SEM-9). Its caller may have left, and r be forgotten.
func (c *Controller) lose(reason string, r *route) {
	method := r.String()
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	if c.counts.lost == nil {
		c.counts.lost, c.counts.lostBy = map[string]uint64{}, map[string]uint64{}
	}
	c.counts.lost[reason]++
	if _, ok := c.counts.lostBy[method]; !ok && len(c.counts.lostBy) >= maxLost {
		method = ""
	}
	c.counts.lostBy[method]++
}

// lostReason is why a callee refused a call: one of the words that daffi itself uses, since a node may say anything.
func lostReason(payload []byte) string {
	var d codec.Decoder
	var f control.Failure
	d.Reset(payload)
	if f.ReadFrom(&d) == nil {
		switch f.Reason {
		case reasonBusy, reasonDraining, reasonSchema, reasonDepth, reasonShape, reasonClosed, "decode", "too_large":
			return f.Reason
		}
	}
	return "other"
}
