package controller

import (
	"cmp"
	"maps"
	"slices"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// registration is what one node serves of a service, in parts that it registers and unregisters by themselves.
type registration struct {
	methods map[string]method
	parts   []uint32
}

type method struct {
	route   *route
	number  uint32
	part    uint32
	balance control.Balance
}

// serviceWords and methodWords are how many bytes a name takes in a row of the table, about.
func serviceWords(name string) int { return len(name) + 8 }
func methodWords(name string) int  { return len(name) + 2 }

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
		for len(reg.parts) > 0 {
			c.dropPart(s, name, reg, reg.parts[0])
		}
	}
	for prefix := range s.caught {
		c.uncatch(s, prefix)
	}
	if i, ok := c.sessionAt(s.number); ok {
		c.sessions = slices.Delete(c.sessions, i, i+1)
	}
	delete(c.watchers, s)
	s.unawaitAll()
	c.changed(s.number)
}

// dropPart takes a part out of the tables, and the service with its last one. Call with the lock held.
func (c *Controller) dropPart(s *session, name string, reg *registration, part uint32) {
	for word, m := range reg.methods {
		if m.part != part {
			continue
		}
		c.retract(m.route, s)
		delete(reg.methods, word)
		s.methods--
		s.words -= methodWords(word)
	}
	s.parts--
	if reg.parts = slices.DeleteFunc(reg.parts, func(p uint32) bool { return p == part }); len(reg.parts) > 0 {
		return
	}
	delete(s.services, name)
	s.words -= serviceWords(name)
	delete(c.services[name], s)
	if len(c.services[name]) == 0 {
		delete(c.services, name)
	}
}

// rowOf is what a watcher is told of a node; ok is false if that is nothing. Call with the lock held.
func (s *session) rowOf(other *session) (n control.Node, ok bool) {
	if !s.sees(other) {
		return n, false
	}
	n = other.row()
	p := s.c.access.enforced()
	if p == nil || s.name == other.name {
		return n, true
	}
	for i := range n.Services {
		service := &n.Services[i]
		service.Methods = slices.DeleteFunc(service.Methods, func(method string) bool { return !allows(p, s.name, service.Name, method, knowing...) })
	}
	n.Services = slices.DeleteFunc(n.Services, func(service control.Service) bool { return len(service.Methods) == 0 })
	return n, true
}

// row is all that watchers may be told of s. Call with the lock held.
func (s *session) row() control.Node {
	n := control.Node{Session: s.number, Name: s.name, Labels: s.labels}
	if s.draining.Load() { // nobody can be routed to it
		return n
	}
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		n.Services = append(n.Services, control.Service{Name: name, Methods: slices.Sorted(maps.Keys(s.services[name].methods))})
	}
	return n
}
