package controller

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// methodKey is a method of a service, whatever its signature.
type methodKey struct{ service, method string }

// routeKey is what a route stands for.
type routeKey struct {
	methodKey
	print string // fingerprint of the signature
}

// route is an interned routeKey: the calls of those who have that signature. They reach every provider that they understand, as
// [signature.Compatible] says, under its own number. What that makes of the providers is worked out when nodes register and resolve, so a
// call finds it done.
type route struct {
	routeKey
	number    uint32
	serial    uint64                     // unlike the number it is never another's
	providers atomic.Pointer[[]provider] // whom calls may go to, by session number; a change makes a new slice
	choices   atomic.Pointer[choices]    // the same for calls that name no provider
	turn      atomic.Uint64              // calls that went round robin

	// Guarded by the controller's lock.
	users  int    // sessions that have named it, or were told of it; see [routes]
	by     uint32 // the session that has named it first
	cost   int    // bytes of what is remembered of it
	group  *group
	index  int                  // in the group
	called bool                 // a node has asked for the number; until then providers is empty
	own    []provider           // who serves this very signature, by session number
	text   string               // the signature, once it was given, if print is not it
	doc    *control.Description // what the first provider has said of it
	known  bits                 // the routes of the group whose providers it was compared with
	reach  bits                 // those of them that it understands
	views  map[string]*route    // of it, by the key of their choice

	// Of a view, constant.
	base    *route
	choice  control.Choice
	viewKey string // of the choice

	awaited map[*awaiting]struct{} // who waits for a provider of it
}

// group is the routes of one method, which are compared with each other; those beyond maxGroup have groups of their own.
type group struct {
	routes []*route
	used   bits // indexes
}

// bits is a set of indexes in a group.
type bits [maxGroup / 64]uint64

func (b *bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b *bits) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b *bits) remove(i int)   { b[i/64] &^= 1 << (i % 64) }

// provider is a session that serves a method, under its own number for it.
type provider struct {
	s       *session
	number  uint32
	balance control.Balance // that the node has asked for, of the calls of the method
	speed   *speed
}

func (r *route) String() string { return r.service + "." + r.method }

// signature is the signature itself, if it is known.
func (r *route) signature() (text string, ok bool) {
	if !signature.Hashed(r.print) {
		return r.print, true
	}
	return r.text, r.text != ""
}

// route returns the route of that number, or nil.
func (c *Controller) route(number uint32) *route {
	return c.routes.at(number)
}

// intern returns the route of a method, which s names, or nil if there are too many. Call with the lock held.
func (c *Controller) intern(s *session, key routeKey) *route {
	if r := c.routeIndex[key]; r != nil {
		if !s.refer(r) {
			return nil
		}
		return r
	}
	size := len(key.service) + len(key.method) + len(key.print)
	if len(s.named) >= c.opts.Limits.Named || c.routes.full(c.opts.Limits.Routes) || s.interned >= c.opts.Limits.RoutesPerNode || !s.charge(size) {
		return nil
	}
	s.interned++
	about := c.spoken[key.service]
	if about == nil {
		about = new(service)
		c.spoken[key.service] = about
	}
	about.routes++
	g := c.groups[key.methodKey]
	switch {
	case g == nil:
		g = new(group)
		c.groups[key.methodKey] = g
	case g.crowded(s): // the first ones keep theirs
		g = new(group)
	}
	r := &route{routeKey: key, group: g, by: s.number, cost: size}
	r.provide([]provider{})
	g.add(r)
	c.routes.add(r)
	c.routeIndex[key] = r
	s.refer(r)
	return r
}

// charge takes what is to be remembered from the budgets for that. Call with the controller's lock held.
func (s *session) charge(size int) bool {
	if l := &s.c.opts.Limits; s.c.routeBytes+size > l.RouteBytes || s.internBy+size > l.RouteBytesPerNode {
		return false
	}
	s.c.routeBytes += size
	s.internBy += size
	return true
}

// pair is a route that is called and one of the same group that is served.
type pair struct{ from, to *route }

// unsettled appends the pairs that must be compared before calls from r may go to what is served.
func (r *route) unsettled(list []pair) []pair {
	for _, to := range r.group.routes {
		if len(to.own) > 0 && to != r && !r.known.has(to.index) {
			list = append(list, pair{r, to})
		}
	}
	return list
}

// unsettledTo does so for calls that may come to r.
func (r *route) unsettledTo(list []pair) []pair {
	for _, from := range r.group.routes {
		if from.called && from != r && !from.known.has(r.index) {
			list = append(list, pair{from, r})
		}
	}
	return list
}

// gather collects the pairs of all routes, or more than may be compared.
func gather(routes []*route, most int, unsettled func(*route, []pair) []pair) (list []pair) {
	for _, r := range routes {
		if list = unsettled(r, list); len(list) > most {
			break
		}
	}
	return list
}

// settle compares signatures until unsettled finds no more pairs of the routes that s has named, each pair once for all time. Call with the
// controller's lock held; it is let go while signatures are compared, so that what a peer makes of that holds up nobody but its own session.
// Others may add pairs meanwhile, at most up to the size of the groups.
func (s *session) settle(routes []*route, unsettled func(*route, []pair) []pair) *control.Failure {
	for {
		most := s.c.opts.Limits.Comparisons
		pairs := gather(routes, most, unsettled)
		if len(pairs) == 0 {
			return nil
		}
		if s.compared+len(pairs) > most {
			return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Node: s.name, Message: fmt.Sprintf(
				"more than %d pairs of signatures would have to be compared for what the node names: restart the controller to forget old versions", most)}
		}
		s.compared += len(pairs)
		texts := make([][2]string, len(pairs))
		for i, p := range pairs {
			texts[i][0], _ = p.from.signature()
			texts[i][1], _ = p.to.signature()
		}
		s.c.mu.Unlock()
		understood := make([]bool, len(pairs))
		for i, t := range texts {
			understood[i] = s.c.compare(t[0], t[1]) == nil
		}
		s.c.mu.Lock()
		if s.is(gone) { // while it is in nobody's way: what it has named may be forgotten
			return &control.Failure{Code: unavailable, Reason: reasonNodeLost, Outcome: notRun, Node: s.name, Message: "the node is gone"}
		}
		for i, p := range pairs {
			p.settle(understood[i])
		}
	}
}

// settle notes what was found out without the lock: one of the two may have been forgotten meanwhile, and its place in the group be that of another route.
func (p pair) settle(understood bool) {
	if p.from.users == 0 || p.to.users == 0 {
		return
	}
	p.from.known.add(p.to.index)
	if understood {
		p.from.reach.add(p.to.index)
	}
}

// reaches reports whether calls from r may go to who serves to, a route of the same method. Call with the lock held.
func (r *route) reaches(to *route) bool {
	return r == to || r.group == to.group && r.reach.has(to.index)
}

// call keeps the providers of r from now on. Call with the lock held, and nothing unsettled.
func (r *route) call() {
	if r.called {
		return
	}
	r.called = true
	var list []provider
	for _, to := range r.group.routes {
		if r.reaches(to) {
			list = append(list, to.own...)
		}
	}
	slices.SortFunc(list, func(a, b provider) int { return cmp.Compare(a.s.number, b.s.number) })
	r.provide(list)
}

// unasked reports whether nobody was given r's number for calls: it is only served, or about to be named. Call with the lock held.
func (r *route) unasked() bool { return r.base == nil && !r.called }

// provide makes list those that calls may go to. Call with the lock held.
func (r *route) provide(list []provider) {
	r.providers.Store(&list)
	r.choices.Store(r.choicesOf(list))
}

// position is where session number is, or would be, among the providers.
func position(list []provider, number uint32) (int, bool) {
	return slices.BinarySearchFunc(list, number, func(p provider, n uint32) int { return cmp.Compare(p.s.number, n) })
}

// offer adds a provider of r. Call with the lock held, and nothing unsettled.
func (c *Controller) offer(r *route, p provider) {
	if len(r.own) == 0 {
		c.list(r)
	}
	i, _ := position(r.own, p.s.number)
	r.own = slices.Insert(r.own, i, p)
	for _, from := range r.group.routes {
		if from.called && from.reaches(r) {
			from.insert(p)
			c.grew(from)
			for _, v := range from.views {
				if v.admits(p.s) {
					v.insert(p)
					c.grew(v)
				}
			}
		}
	}
}

// retract removes s, if it is a provider of r. Call with the lock held.
func (c *Controller) retract(r *route, s *session) {
	i, ok := position(r.own, s.number)
	if !ok {
		return
	}
	if r.own = slices.Delete(r.own, i, i+1); len(r.own) == 0 {
		c.unlist(r)
	}
	for _, from := range r.group.routes {
		if from.remove(s.number) {
			for _, v := range from.views {
				v.remove(s.number)
			}
		}
	}
}

// insert adds a provider to those that calls may go to. Call with the lock held.
func (r *route) insert(p provider) {
	list := *r.providers.Load()
	i, _ := position(list, p.s.number)
	r.provide(slices.Insert(slices.Clone(list), i, p))
}

// remove takes the provider with that session number out, if it is among them. Call with the lock held.
func (r *route) remove(session uint32) bool {
	list := *r.providers.Load()
	i, ok := position(list, session)
	if ok {
		r.provide(slices.Delete(slices.Clone(list), i, i+1))
	}
	return ok
}

// withdraw takes s out of the choice for all methods. Call with the controller's lock held.
func (reg *registration) withdraw(s *session) {
	for _, m := range reg.methods {
		s.c.retract(m.route, s)
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

// remote reports whether a provider is on another host.
func (r *route) remote() bool {
	for _, p := range *r.providers.Load() {
		if !p.s.link.Info().Local {
			return true
		}
	}
	return false
}
