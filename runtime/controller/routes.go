package controller

import (
	"iter"
	"slices"
	"sync/atomic"
)

// routes finds routes by number, without a lock. A route is remembered as long as a session that has named it is there, or one that was told of it; then its number may be that of another, which no session
// can mistake for it. Numbers are given in order as long as they are few, so that what is given again was not in use for a long time.
type routes struct {
	pages atomic.Pointer[[]*routePage]

	// Guarded by the controller's lock.
	count int
	many  uint32   // numbers from it on are given only when no other is free
	added uint64   // routes that there ever were
	next  uint32   // the least number that was never given
	free  []uint32 // those that were, and may be again, oldest first
}

type routePage [1 << routePageBits]atomic.Pointer[route]

const (
	routePageBits = 10
	manyRoutes    = 1 << 20
)

func newRoutes() *routes {
	t := &routes{next: 1, many: manyRoutes}
	t.pages.Store(&[]*routePage{})
	return t
}

// at is the route of that number, or nil.
func (t *routes) at(number uint32) *route {
	pages, i := *t.pages.Load(), number>>routePageBits
	if uint64(i) >= uint64(len(pages)) {
		return nil
	}
	return pages[i][number%(1<<routePageBits)].Load()
}

// full reports whether there are as many as limit allows. Call with the controller's lock held, as what follows.
func (t *routes) full(limit int) bool {
	const most = 1<<31 - 1 // from there on numbers are introductions
	return t.count >= limit || len(t.free) == 0 && t.next == most
}

// add gives r a number.
func (t *routes) add(r *route) {
	if t.next < t.many || len(t.free) == 0 {
		r.number = t.next
		t.next++
	} else {
		r.number, t.free = t.free[0], t.free[1:]
	}
	t.added++
	r.serial = t.added
	pages, i := *t.pages.Load(), int(r.number>>routePageBits)
	if i == len(pages) {
		pages = append(slices.Clip(pages), new(routePage))
		t.pages.Store(&pages)
	}
	pages[i][r.number%(1<<routePageBits)].Store(r)
	t.count++
}

// drop takes r out.
func (t *routes) drop(r *route) {
	(*t.pages.Load())[r.number>>routePageBits][r.number%(1<<routePageBits)].Store(nil)
	t.free = append(t.free, r.number)
	t.count--
}

// all are the routes, by number.
func (t *routes) all() iter.Seq[*route] {
	return func(yield func(*route) bool) {
		for _, page := range *t.pages.Load() {
			for i := range page {
				if r := page[i].Load(); r != nil && !yield(r) {
					return
				}
			}
		}
	}
}

// refer notes that s has named r, so that r stays as long as s does. It is false if s has named as many as it may.
func (s *session) refer(r *route) bool {
	if _, known := s.named[r]; known {
		return true
	}
	if len(s.named) >= s.c.opts.Limits.Named {
		return false
	}
	if s.named == nil {
		s.named = map[*route]struct{}{}
	}
	s.named[r] = struct{}{}
	r.users++
	return true
}

// unrefer ends what s has named and was told of. Call with the controller's lock held, when nothing is under way for s any more.
func (c *Controller) unrefer(s *session) {
	var unused []*route
	less := func(r *route) {
		if r.users--; r.users == 0 {
			unused = append(unused, r)
		}
	}
	for r := range s.named {
		less(r)
	}
	s.named = nil
	for _, r := range s.introduced {
		less(r)
	}
	s.introduced, s.toldOf, s.told = nil, nil, 0
	c.forget(unused)
}

// forget drops routes that nobody refers to. Who has named a view has named what it is of as well.
func (c *Controller) forget(unused []*route) {
	for _, r := range unused {
		if r.base != nil {
			delete(r.base.views, r.viewKey)
			c.dropRoute(r)
		}
	}
	for _, r := range unused {
		if r.base == nil {
			delete(c.routeIndex, r.routeKey)
			if r.group.remove(r); len(r.group.routes) == 0 && c.groups[r.methodKey] == r.group {
				delete(c.groups, r.methodKey)
			}
			about := c.spoken[r.service]
			if about.routes--; about.routes == 0 {
				c.routeBytes -= len(about.doc)
				delete(c.spoken, r.service)
			}
			c.dropRoute(r)
		}
	}
}

// dropRoute takes r out. Calls that it was called by, and nodes that wait for it by a number that they have guessed, may hold it, but no more of it than its names.
func (c *Controller) dropRoute(r *route) {
	c.routes.drop(r)
	c.routeBytes -= r.cost
	r.text, r.doc = "", nil
	r.provide([]provider{})
}

// add gives r a place among those that are compared.
func (g *group) add(r *route) {
	for g.used.has(r.index) {
		r.index++
	}
	g.used.add(r.index)
	g.routes = append(g.routes, r)
}

// remove frees its place, and forgets what the others know of it.
func (g *group) remove(r *route) {
	g.used.remove(r.index)
	g.routes = slices.DeleteFunc(g.routes, func(other *route) bool {
		other.known.remove(r.index)
		other.reach.remove(r.index)
		return other == r
	})
}

// crowded reports whether s may add no further signature of a method that is compared with the others: one node must not take the places of all.
func (g *group) crowded(s *session) bool {
	if len(g.routes) == maxGroup {
		return true
	}
	n := 0
	for _, r := range g.routes {
		if r.by == s.number {
			n++
		}
	}
	return n == maxGroupBy
}

// service is what is known of a service beside its methods.
type service struct {
	routes int // of it
	doc    string
}
