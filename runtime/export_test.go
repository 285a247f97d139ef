package daffi

import (
	"fmt"
	"maps"
	"slices"
)

// Held says what the node's session holds of its budgets and tables, empty if nothing.
func (n *Node) Held() string {
	s := n.current.Load()
	if s == nil {
		return "no session"
	}
	s.calls.mu.Lock()
	calls := s.calls.used
	s.calls.mu.Unlock()
	s.served.mu.Lock()
	served := s.served.live
	s.served.mu.Unlock()
	s.credits.mu.Lock()
	credit := n.opts.Limits.StreamMemory - s.credits.free + s.credits.open
	s.credits.mu.Unlock()
	s.assemblies.mu.Lock()
	room, waiting := assemblyBudget+maxWrap-s.assemblies.free, len(s.assemblies.queue)
	s.assemblies.mu.Unlock()
	n.admission.mu.Lock()
	running := n.admission.running + n.admission.nested + n.admission.waiting + n.admission.held + n.admission.arguments + len(n.admission.oneway)
	n.admission.mu.Unlock()
	if calls+served+credit+room+waiting+running == 0 {
		return ""
	}
	return fmt.Sprintf("calls %d, served %d, credit %d, room %d, waiting %d, running %d", calls, served, credit, room, waiting, running)
}

// Failed is the payload of an Error frame for a handler that has returned err.
func Failed(err error, table func() []KnownError) []byte {
	e := handlerError(err, "Service.Method", "node")
	e.identities = identify(err, table)
	return appendFailure(e)
}

// Recalled is the caller's error of such a payload.
func Recalled(payload []byte, table func() []KnownError) *Error {
	e := readFailure(payload)
	e.recall(table)
	return e
}

// Granted is what the node's session has granted to those that send streams to it.
func Granted(n *Node) int {
	c := &n.current.Load().credits
	c.mu.Lock()
	defer c.mu.Unlock()
	return n.opts.Limits.StreamMemory - c.free
}

// Queued is what the receivers of streams that the node has called hold, in bytes of credit.
func Queued(n *Node) (bytes int) {
	calls := &n.current.Load().calls
	calls.mu.Lock()
	defer calls.mu.Unlock()
	for _, slot := range calls.items {
		if slot.p == nil || slot.p.stream == nil || slot.p.stream.recv == nil {
			continue
		}
		r := slot.p.stream.recv
		r.mu.Lock()
		for _, q := range r.waiting() {
			bytes += q.cost
		}
		r.mu.Unlock()
	}
	return bytes
}

// Notify is [Node.notify], and Background counts a piece of the node's own work until end is called.
func Notify(n *Node, fn func()) bool { return n.notify(fn) }

func Background(n *Node) (end func(), err error) {
	if e := n.work.begin(); e != nil {
		return nil, e
	}
	return n.work.end, nil
}

// The bounds of what a node does by itself.
const (
	MaxHooks      = maxHooks
	MaxBackground = maxBackground
)

// MaxDescribed and Described show of which services a node knows what is published.
const MaxDescribed = maxDescribed

func Described(n *Node) []string {
	n.described.mu.Lock()
	defer n.described.mu.Unlock()
	return slices.Sorted(maps.Keys(n.described.services))
}

// Working is how much the node does by itself.
func Working(n *Node) int {
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	return n.work.n
}

// Lose counts a lost call.
func Lose(n *Node, method string) { n.lose(LostCall{Method: method}) }

// MaxLost is how many methods are told apart.
const MaxLost = maxLost
