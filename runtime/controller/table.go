package controller

import (
	"cmp"
	"maps"
	"slices"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// registration is a service of one node.
type registration struct {
	methods map[string]method
	words   int
}

type method struct {
	route  *route
	number uint32
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
