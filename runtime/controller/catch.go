package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

const (
	maxCaught     = 256     // prefixes of one node
	maxIntroduced = 4096    // methods that one node is told of because of its prefixes, and that are not forgotten
	maxTold       = 2 << 20 // bytes of their names and signatures (LIM-71); nodes remember twice as many
)

// told is a method that a node was told of.
type told struct {
	number uint32
	size   int // of its names and signature
}

// ownPrefix begins the names of services that are the runtime's own: no prefix takes them.
const ownPrefix = "daffi."

// catch notes that the node takes what nobody serves under a prefix.
func (s *session) catch(m *control.Catch) *control.Failure {
	if m.Prefix != "" {
		if why := validWord("prefix", m.Prefix); why != nil {
			return why
		}
	}
	if why := s.authorizeBelow(m.Prefix, policy.Serve); why != nil {
		return why
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch _, again := s.caught[m.Prefix]; {
	case again:
		return &control.Failure{Code: alreadyExists, Outcome: notRun, Node: s.name, Message: fmt.Sprintf("node %q takes unknown methods of %q already", s.name, m.Prefix)}
	case len(s.caught) == maxCaught:
		return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Node: s.name,
			Message: fmt.Sprintf("a node takes unknown methods of at most %d prefixes", maxCaught)}
	}
	if s.caught == nil {
		s.caught = map[string]bool{}
	}
	s.caught[m.Prefix] = c.access.catches(s.name, m.Prefix)
	list := c.catchers[m.Prefix]
	i, _ := position(list, s.number)
	c.catchers[m.Prefix] = append(list[:i:i], append([]provider{{s: s}}, list[i:]...)...)
	c.catching.Add(1)
	c.changed(s.number) // for those who may know of nodes by what they take
	c.tell(&s.touched)
	return nil
}

// uncatch is the end of that. Call with the lock held; [Controller.tell] follows.
func (c *Controller) uncatch(s *session, prefix string) {
	if _, ok := s.caught[prefix]; !ok {
		return
	}
	delete(s.caught, prefix)
	list := c.catchers[prefix]
	i, _ := position(list, s.number)
	if list = append(list[:i:i], list[i+1:]...); len(list) == 0 {
		delete(c.catchers, prefix)
	} else {
		c.catchers[prefix] = list
	}
	c.catching.Add(-1)
	c.changed(s.number)
}

// unserved picks among the nodes that take calls of a method that nobody serves, by its key or at random, and introduces them to it. Who serves
// the method with another signature, or elsewhere than the call may go, serves it. It returns how many were picked.
func (s *session) unserved(r *route, f *transport.Frame, wanted uint32, to *[2]provider) (int, *control.Failure) {
	const stream = transport.Input | transport.Output | transport.Each
	c := s.c
	if c.catching.Load() == 0 || f.Mode&stream != 0 || strings.HasPrefix(r.service+".", ownPrefix) {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.route(r.number) != r || r.unasked() { // s has guessed its number: whoever had named it has left meanwhile, or has not said yet what its signature is
		return 0, unknownRoute(r.number)
	}
	list := c.catchersOf(r, wanted)
	if len(list) == 0 {
		return 0, nil
	}
	n := 0
	if f.Mode&transport.Keyed != 0 {
		n = rank(list, len(list), f.Peer, to)
	} else {
		n = s.pickCatcher(list, to)
	}
	if r.base != nil {
		r = r.base
	}
	for i, p := range to[:n] {
		p.s.introduce(r)
		to[i] = provider{s: p.s, number: r.introduction()}
		s.touched.add(p.s.link)
	}
	return n, nil
}

// pickCatcher picks two at random, the less busy one first, and the caller itself only if there is no other.
func (s *session) pickCatcher(list []provider, to *[2]provider) int {
	if i, ok := position(list, s.number); ok && len(list) > 1 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 1 {
		to[0] = list[0]
		return 1
	}
	i, j := rand.IntN(len(list)), rand.IntN(len(list)-1)
	if j >= i {
		j++
	}
	if to[0], to[1] = list[i], list[j]; to[1].s.running.Load() < to[0].s.running.Load() {
		to[0], to[1] = to[1], to[0]
	}
	return 2
}

// catchersOf are the nodes with the longest prefix of a method that nobody serves. Call with the lock held.
func (c *Controller) catchersOf(r *route, wanted uint32) []provider {
	for s, reg := range c.services[r.service] {
		if reg.methods[r.method].route != nil && !s.draining.Load() && (wanted == 0 || s.number == wanted) {
			return nil
		}
	}
	for prefix, more := r.String(), true; more; {
		prefix, more = shorter(prefix)
		var list []provider
		for _, p := range c.catchers[prefix] {
			if p.s.caught[prefix] && !p.s.draining.Load() && r.admits(p.s) && (wanted == 0 || p.s.number == wanted) {
				list = append(list, p)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// shorter is a name without its last part, and whether there is a shorter one.
func shorter(name string) (string, bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", false
	}
	return name[:i], true
}

// introduction is the number by which nodes that do not serve a method are told of it. Unlike the route's own it is not another's soon after the route is forgotten: an introduction overtakes the calls that
// wait for a node, which would then be taken for calls of what is introduced.
func (r *route) introduction() uint32 { return control.Introduced | uint32(r.serial) }

// introduce tells the node of a method, before it gets the first call of it. Of many the one that it was told of first is forgotten, and introduced anew if it is called again: callers name methods as
// they like, and none of them shall stand in the way of others. Call with the controller's lock held.
func (s *session) introduce(r *route) {
	number := r.introduction()
	was := s.introduced[number]
	if was == r || s.is(gone) {
		return
	}
	if was != nil { // of 2³¹ routes ago
		s.untell(slices.IndexFunc(s.toldOf, func(t told) bool { return t.number == number }))
	}
	sig, _ := r.signature()
	m := control.Introduce{Number: number, Service: r.service, Method: r.method, Sig: sig}
	size := len(m.Service) + len(m.Method) + len(m.Sig)
	for len(s.toldOf) > 0 && (len(s.toldOf) == maxIntroduced || s.told+size > maxTold) {
		s.untell(0)
	}
	if s.introduced == nil {
		s.introduced = map[uint32]*route{}
	}
	s.introduced[number] = r
	s.toldOf = append(s.toldOf, told{number, size})
	s.told += size
	r.users++
	s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Control}, Payload: encode(m.Append)})
}

// untell forgets that the node was told of a method. Call with the controller's lock held.
func (s *session) untell(i int) {
	t := s.toldOf[i]
	r := s.introduced[t.number]
	delete(s.introduced, t.number)
	s.told -= t.size
	copy(s.toldOf[1:], s.toldOf[:i])
	s.toldOf = s.toldOf[1:]
	if r.users--; r.users == 0 {
		s.c.forget([]*route{r})
	}
}
