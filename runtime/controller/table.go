package controller

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// routeKey is what a route stands for.
type routeKey struct{ service, method, sig string }

// route is an interned routeKey and who serves it.
type route struct {
	routeKey
	number    uint32
	providers atomic.Pointer[[]provider] // by session number; a change makes a new slice
}

func (r *route) String() string { return r.service + "." + r.method }

// provider is a session that serves a route, under its own number for it.
type provider struct {
	s      *session
	number uint32
}

// registration is a service of one node.
type registration struct {
	methods map[string]method
	words   int
}

type method struct {
	route  *route
	number uint32
}

// route returns the route of that number, or nil.
func (c *Controller) route(number uint32) *route {
	routes := *c.routes.Load()
	if uint64(number) >= uint64(len(routes)) {
		return nil
	}
	return routes[number]
}

// intern returns the route of a method, which s names, or nil if there are too many. Call with the lock held.
func (c *Controller) intern(s *session, key routeKey) *route {
	routes := *c.routes.Load()
	if n, ok := c.routeIndex[key]; ok {
		return routes[n]
	}
	size := len(key.service) + len(key.method) + len(key.sig)
	if len(routes) > maxRoutes || c.routeBytes+size > maxRouteBytes || s.interned >= maxInterned || s.internBy+size > maxInternedBy {
		return nil
	}
	c.routeBytes += size
	s.interned++
	s.internBy += size
	r := &route{routeKey: key, number: uint32(len(routes))}
	r.providers.Store(&[]provider{})
	routes = append(routes, r) // readers of the shorter slice do not see the new element
	c.routeIndex[key] = r.number
	c.routes.Store(&routes)
	return r
}

// position is where session number is, or would be, among the providers.
func position(list []provider, number uint32) (int, bool) {
	return slices.BinarySearchFunc(list, number, func(p provider, n uint32) int { return cmp.Compare(p.s.number, n) })
}

// add and remove are called with the controller's lock held.
func (r *route) add(p provider) {
	list := *r.providers.Load()
	i, _ := position(list, p.s.number)
	list = slices.Insert(slices.Clone(list), i, p)
	r.providers.Store(&list)
}

func (r *route) remove(s *session) {
	list := *r.providers.Load()
	if i, ok := position(list, s.number); ok {
		list = slices.Delete(slices.Clone(list), i, i+1)
		r.providers.Store(&list)
	}
}

// withdraw takes s out of the choice for all methods. Call with the controller's lock held.
func (reg *registration) withdraw(s *session) {
	for _, m := range reg.methods {
		m.route.remove(s)
	}
}

// find puts the provider with that session number into to and returns how many there are, one or none.
func (r *route) find(session uint32, to *[2]provider) int {
	list := *r.providers.Load()
	i, ok := position(list, session)
	if !ok {
		return 0
	}
	to[0] = list[i]
	return 1
}

// pick chooses two providers at random, the less busy one first, and returns how many it found. The caller itself is chosen only if there is
// no other.
func (r *route) pick(caller uint32, to *[2]provider) int {
	list := *r.providers.Load()
	n := len(list)
	self := n // where the caller is
	if n > 1 {
		if i, ok := position(list, caller); ok {
			self = i
			n--
		}
	}
	at := func(i int) provider {
		if i >= self {
			i++
		}
		return list[i]
	}
	switch n {
	case 0:
		return 0
	case 1:
		to[0] = at(0)
		return 1
	}
	i := rand.IntN(n)
	j := rand.IntN(n - 1)
	if j >= i {
		j++
	}
	to[0], to[1] = at(i), at(j)
	if to[1].s.running.Load() < to[0].s.running.Load() {
		to[0], to[1] = to[1], to[0]
	}
	return 2
}

// rank puts the two providers with the highest scores for a key into to, and returns how many there are. The caller counts like any other, so that
// equal keys meet whoever calls.
func (r *route) rank(key uint32, to *[2]provider) int {
	list := *r.providers.Load()
	var first, second uint64
	for i := range list {
		switch score := transport.Score(list[i].s.nameHash, key); {
		case i == 0 || score > first:
			to[0], to[1] = list[i], to[0]
			first, second = score, first
		case i == 1 || score > second:
			to[1], second = list[i], score
		}
	}
	return min(len(list), 2)
}

// explain says why no provider of r can be picked, or not the wanted one.
func (c *Controller) explain(r *route, wanted uint32) *control.Failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &control.Failure{Code: unavailable, Outcome: notRun, Method: r.String()}
	providers := c.services[r.service]
	if wanted != 0 {
		s := c.session(wanted)
		if s == nil {
			f.Reason, f.Message = reasonStaleRoute, "the node has left"
			return f
		}
		f.Node = s.name
		reg := s.services[r.service]
		if reg == nil {
			f.Reason = reasonNoProvider
			f.Message = fmt.Sprintf("node %q does not serve %s", s.name, r.service)
			return f
		}
		providers = map[*session]*registration{s: reg}
	}
	var other *session
	var otherSig string
	offered := false
	for s, reg := range providers {
		m, ok := reg.methods[r.method]
		switch {
		case !ok:
		case m.route == r:
			// It drains, or it came just now: the same call again finds out.
			f.Reason, f.Message, f.Node = reasonDraining, "the node is shutting down", s.name
			return f
		case other == nil || s.number < other.number:
			other, otherSig = s, m.route.sig
		}
		offered = true
	}
	switch {
	case other != nil:
		f.Code, f.Reason, f.Node = failedPrecondition, reasonSchema, other.name
		mine, its := differing(r.sig, otherSig)
		f.Message = fmt.Sprintf("the caller's signature of %v is %#q, that of node %q is %#q", r, mine, other.name, its)
	case offered:
		f.Code = unimplemented
		f.Message = fmt.Sprintf("%s is served, but not with a method %s", r.service, r.method)
	default:
		f.Reason = reasonNoProvider
		f.Message = fmt.Sprintf("no node serves %s; WaitMethod waits for one", r.service)
	}
	return f
}

// differing cuts two signatures, which may be as long as a frame, to what shows their difference.
func differing(a, b string) (string, string) {
	const before, most = 64, 192
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	part := func(s string) string {
		lead, tail := "", ""
		if same > 2*before {
			lead, s = "…", s[same-before:]
		}
		if len(s) > most {
			s, tail = s[:most], "…"
		}
		return lead + s + tail
	}
	return part(a), part(b)
}

// session returns the member of that number, or nil. Call with the lock held.
func (c *Controller) session(number uint32) *session {
	i, ok := c.sessionAt(number)
	if !ok {
		return nil
	}
	return c.sessions[i]
}

func (c *Controller) sessionAt(number uint32) (int, bool) {
	return slices.BinarySearchFunc(c.sessions, number, func(s *session, n uint32) int {
		return cmp.Compare(s.number, n)
	})
}

// depart takes a member out of all tables but that of names. Call with the lock held.
func (c *Controller) depart(s *session) {
	for name, reg := range s.services {
		c.dropService(s, name, reg)
	}
	if i, ok := c.sessionAt(s.number); ok {
		c.sessions = slices.Delete(c.sessions, i, i+1)
	}
	delete(c.watchers, s)
	c.changed(s.number)
}

// dropService is called with the lock held.
func (c *Controller) dropService(s *session, name string, reg *registration) {
	reg.withdraw(s)
	delete(s.services, name)
	s.methods -= len(reg.methods)
	s.words -= reg.words
	delete(c.services[name], s)
	if len(c.services[name]) == 0 {
		delete(c.services, name)
	}
}

// row is what watchers are told of s. Call with the lock held.
func (s *session) row() control.Node {
	n := control.Node{Session: s.number, Name: s.name}
	if s.draining.Load() { // nobody can be routed to it
		return n
	}
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		n.Services = append(n.Services, control.Service{Name: name, Methods: slices.Sorted(maps.Keys(s.services[name].methods))})
	}
	return n
}
