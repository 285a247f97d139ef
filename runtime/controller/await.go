package controller

import (
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// maxAwaited is the default bound of the routes that one session waits for at a time, each counted as often as it is awaited (LIM-36).
const maxAwaited = 65536

// awaiting is a node that wants to know when all of some routes have a provider. It is with one of those that have none, and moves on when that
// has got one; the answer is given when none is left. The controller's lock guards it.
type awaiting struct {
	s      *session
	number uint64 // of the question
	routes []*route
	others int                 // from which of routes on another node must be a provider
	nodes  map[string]struct{} // that count as providers; empty for all
	weight int                 // of it in what the node may wait for
	at     int                 // of the route that it is with
}

// met reports whether the route i has a provider that counts.
func (w *awaiting) met(i int) bool {
	for _, p := range *w.routes[i].providers.Load() {
		if (i < w.others || p.s != w.s) && (len(w.nodes) == 0 || has(w.nodes, p.s.name)) {
			return true
		}
	}
	return false
}

func has(set map[string]struct{}, name string) bool {
	_, ok := set[name]
	return ok
}

// advance moves w to a route without a provider, and reports whether there is one.
func (w *awaiting) advance() bool {
	for range w.routes {
		if !w.met(w.at) {
			return true
		}
		w.at = (w.at + 1) % len(w.routes)
	}
	return false
}

// known reports whether the node may know of all the routes.
func (w *awaiting) known() bool {
	p := w.s.c.access.enforced()
	return !slices.ContainsFunc(w.routes, func(r *route) bool { return !allows(p, w.s.name, r.service, r.method, knowing...) })
}

// await answers the question now or later.
func (s *session) await(number uint64, m *control.Await) {
	w := &awaiting{s: s, number: number, others: len(m.Routes)}
	for _, n := range slices.Concat(m.Routes, m.Others) {
		r := s.c.route(n)
		if r == nil {
			s.answer(number, s.noRoute(n))
			return
		}
		if why := s.mayUse(r, knowing...); why != nil {
			s.answer(number, why)
			return
		}
		w.routes = append(w.routes, r)
	}
	w.weight = len(w.routes)
	if len(m.Nodes) > 0 {
		w.nodes = map[string]struct{}{}
	}
	for _, name := range m.Nodes {
		w.nodes[name] = struct{}{}
		w.weight += 1 + len(name)/64 // a name that is longer is nobody's
	}
	if !s.keep(w) {
		s.answer(number, &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Node: s.name,
			Message: fmt.Sprintf("a node waits for the providers of at most %d methods at a time", s.c.opts.Limits.Awaited)})
	}
}

// keep enters w, or answers it if there is nothing to wait for. It reports whether there was room.
func (s *session) keep(w *awaiting) bool {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.known() { // another policy came meanwhile
		s.answer(w.number, s.forbidden(knowing[0], thisMethod))
		return true
	}
	if !w.advance() {
		s.answer(w.number, nil)
		return true
	}
	if s.awaited+w.weight > c.opts.Limits.Awaited {
		return false
	}
	s.awaited += w.weight
	if s.awaits == nil {
		s.awaits = map[uint64]*awaiting{}
	}
	if before := s.awaits[w.number]; before != nil { // numbers are the node's; one that it uses twice it has forgotten
		s.unawait(before.number)
	}
	s.awaits[w.number] = w
	w.enter()
	return true
}

func (w *awaiting) enter() {
	r := w.routes[w.at]
	if r.awaited == nil {
		r.awaited = map[*awaiting]struct{}{}
	}
	r.awaited[w] = struct{}{}
}

// unawait drops what the node waits for under that number. Call with the controller's lock held.
func (s *session) unawait(number uint64) {
	if w := s.awaits[number]; w != nil {
		delete(w.routes[w.at].awaited, w)
		delete(s.awaits, number)
		s.awaited -= w.weight
	}
}

// unawaitAll drops everything that the node waits for. Call with the controller's lock held.
func (s *session) unawaitAll() {
	for number := range s.awaits {
		s.unawait(number)
	}
}

// grew looks again at those who wait for a provider of r, which has got one. Call with the lock held; [Controller.tell] answers them.
func (c *Controller) grew(r *route) {
	for w := range r.awaited {
		if w.met(w.at) {
			c.roused = append(c.roused, w)
		}
	}
}

// rouse answers those who have nothing to wait for any more. Call with the lock held, and flush the links afterwards.
func (c *Controller) rouse(b *batch) {
	for _, w := range c.roused {
		if w.s.awaits[w.number] != w {
			continue
		}
		delete(w.routes[w.at].awaited, w)
		if w.advance() {
			w.enter()
			continue
		}
		w.s.unawait(w.number)
		b.add(w.s.link)
		w.s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: w.number}, Payload: encode(plainly(control.OpOK))})
	}
	clear(c.roused)
	c.roused = c.roused[:0]
}
