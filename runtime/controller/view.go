package controller

import (
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// A view is a route for calls with a choice of their own: it has a number like any other, and of the providers of its base those that the choice
// admits. So what a call has chosen costs it nothing, and no frame says it.

// choose is resolve for calls with a choice.
func (s *session) choose(m *control.Select) (message, *control.Failure) {
	if why := validChoice(&m.Choice); why != nil {
		return nil, why
	}
	m.Choice.Sort()
	key := m.Choice.Key()
	var crowded *route
	choices := 0
	answer, why := s.resolveAs(m.Service, m.Methods, func(r *route) *route {
		if v := r.views[key]; v != nil {
			if !s.refer(v) {
				return nil
			}
			return v
		}
		if n := r.crowded(s); n > 0 {
			crowded, choices = r, n
			return nil
		}
		return s.internView(r, m.Choice, key)
	})
	if crowded != nil {
		why = &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Method: crowded.String(), Message: fmt.Sprintf(
			"%v was called with %d different choices of providers already: what varies from call to call is a key (HashKey) or the name of a node (To)", crowded, choices)}
	}
	return answer, why
}

// validChoice refuses what this version does not know, since it would be done by half.
func validChoice(c *control.Choice) *control.Failure {
	switch err := control.CheckLabels(c.Where); {
	case c.Later || !c.Balance.Known():
		return &control.Failure{Code: unimplemented, Outcome: notRun, Message: "the controller does not know all of how the call chooses its provider: the caller is of a later version"}
	case err != nil:
		return &control.Failure{Code: invalidArgument, Reason: reasonLimit, Outcome: notRun, Message: err.Error()}
	}
	return nil
}

// internView makes a view of r, or returns nil if there are too many routes. Call with the lock held, after r.call.
func (s *session) internView(r *route, choice control.Choice, key string) *route {
	c := s.c
	if len(s.named) >= c.opts.Limits.Named || c.routes.full(c.opts.Limits.Routes) || s.interned >= c.opts.Limits.RoutesPerNode || !s.charge(len(key)) {
		return nil
	}
	s.interned++
	v := &route{routeKey: r.routeKey, base: r, choice: choice, viewKey: key, by: s.number, cost: len(key)}
	list := []provider{}
	for _, p := range *r.providers.Load() {
		if v.admits(p.s) {
			list = append(list, p)
		}
	}
	v.provide(list)
	if r.views == nil {
		r.views = map[string]*route{}
	}
	r.views[key] = v
	c.routes.add(v)
	s.refer(v)
	return v
}

// crowded is how many choices calls of r are made with, of all or of s alone, if that is as many as may be, else 0.
func (r *route) crowded(s *session) int {
	most := s.c.opts.Limits.Choices
	if n := len(r.views); n >= most {
		return n
	}
	n := 0
	for _, v := range r.views {
		if v.by == s.number {
			n++
		}
	}
	if n < max(most/maxViewsPart, leastViews) {
		return 0
	}
	return n
}

// admits reports whether calls of a view may go to s.
func (r *route) admits(s *session) bool {
	for _, l := range r.choice.Where {
		if _, ok := slices.BinarySearchFunc(s.labels, l, control.Label.Compare); !ok {
			return false
		}
	}
	return true
}

// awaits reports whether a one-way call by route is answered for when the callee has admitted it.
func (c *Controller) awaits(route uint32) bool {
	r := c.route(route)
	return r != nil && r.choice.Admitted
}

// but leaves out of picked the provider that a call of s went to that is under way, by its slot plus one, and returns how many are left.
func (s *session) but(slot uint32, picked *[2]provider, n int) int {
	s.mu.Lock()
	var to *session
	if e := s.calls.out.At(slot - 1); e != nil && e.flags&live != 0 {
		to = e.to
	}
	s.mu.Unlock()
	if to == nil {
		return n
	}
	left := 0
	for _, p := range picked[:n] {
		if p.s != to {
			picked[left] = p
			left++
		}
	}
	return left
}

// explainView says why no provider of a view can be picked, or not the wanted one: its base has none, or the choice admits none.
func (s *session) explainView(v *route, wanted uint32) *control.Failure {
	c := s.c
	f := &control.Failure{Code: unavailable, Reason: reasonNoProvider, Outcome: notRun, Method: v.String()}
	asked := join(v.choice.Where)
	c.mu.Lock()
	list := *v.base.providers.Load()
	if i, ok := position(list, wanted); ok && !v.admits(list[i].s) {
		s := list[i].s
		c.mu.Unlock()
		f.Node, f.Message = s.name, fmt.Sprintf("node %q serves %s, but it is not one with %s; its labels: %s", s.name, v.service, asked, join(s.labels))
		return f
	}
	there := v.base.labelled(v.choice.Where)
	c.mu.Unlock()
	if v.choice.Apart && len(list) > 0 {
		f.Message = fmt.Sprintf("no other node serves %s than the one that has the call", v.service)
		return f
	}
	if wanted != 0 || len(list) == 0 || len(*v.providers.Load()) > 0 {
		return s.explain(v.base, wanted)
	}
	f.Message = fmt.Sprintf("no node with %s serves %s; those that do, %d, have %s", asked, v.service, len(list), there)
	return f
}

// labelled lists the values that the providers have of the labels that where asks for, each once, as far as a message has room.
func (r *route) labelled(where []control.Label) string {
	const most = 8
	var found []control.Label
	for _, p := range *r.providers.Load() {
		for _, l := range p.s.labels {
			asked := slices.ContainsFunc(where, func(w control.Label) bool { return w.Name == l.Name })
			if i, ok := slices.BinarySearchFunc(found, l, control.Label.Compare); asked && !ok {
				found = slices.Insert(found, i, l)
			}
		}
		if len(found) > most {
			return join(found[:most]) + " and others"
		}
	}
	return join(found)
}
