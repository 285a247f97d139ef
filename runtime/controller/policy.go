package controller

import (
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/internal/watchfile"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// openPolicy reads the policy of the options, if there is one. What comes after it may fail: only [Controller.watchPolicy] starts something.
func (c *Controller) openPolicy() error {
	a := &c.access
	a.log, a.dry = c.log, c.opts.PolicyDryRun
	if c.opts.Policy == "" {
		return nil
	}
	a.files = watchfile.New([]string{c.opts.Policy}, watchfile.Options{})
	p, err := readPolicy(c.opts.Policy)
	if err != nil {
		return fmt.Errorf("%w: Policy: %w", errBadOption, err)
	}
	a.current.Store(p)
	return nil
}

// readPolicy reads a policy that nobody else could have written.
func readPolicy(file string) (*policy.Policy, error) {
	if err := watchfile.CheckWriters("policy", file); err != nil {
		return nil, err
	}
	return policy.Read(file)
}

func (c *Controller) sayPolicy(p *policy.Policy) {
	mode := "enforced"
	if c.access.dry {
		mode = "dry run: nothing is refused"
	}
	c.log.Info("policy", "file", c.opts.Policy, "rules", p.Rules(), "mode", mode)
}

// watchPolicy says who may do what now that the controller begins, and has changes of the file taken up.
func (c *Controller) watchPolicy() {
	if c.access.files == nil {
		c.log.Info("no policy: every node may call, serve and schedule everything")
		return
	}
	c.sayPolicy(c.access.current.Load())
	c.access.files.Start(c.rereadPolicy)
}

// rereadPolicy takes up another policy, if the file has one, and keeps the old one otherwise.
func (c *Controller) rereadPolicy() {
	p, err := readPolicy(c.opts.Policy)
	if err != nil {
		c.log.Error("the policy stays what it was, since its file cannot be used", "reason", cut(err.Error()))
		return
	}
	c.access.forgive()
	c.sayPolicy(p)
	c.mu.Lock()
	c.access.current.Store(p)
	sessions := slices.Clone(c.sessions)
	c.mu.Unlock()
	if c.access.dry {
		return
	}
	var b batch
	for _, s := range sessions {
		c.mu.Lock()
		if c.session(s.number) == s {
			s.restore()
			s.withhold()
			s.review(&b)
		}
		c.tell(&b)
		c.unlock()
		b.flush()
	}
}

// serves reports whether a node may serve all of a part, and otherwise what not.
func (a *access) serves(who string, m *control.Register) (not string, ok bool) {
	p := a.enforced()
	for i := range m.Methods {
		if !allows(p, who, m.Service, m.Methods[i].Name, policy.Serve) {
			return m.Service + "." + m.Methods[i].Name, false
		}
	}
	return "", true
}

// catches reports whether a node may take what nobody serves below a prefix.
func (a *access) catches(who, prefix string) bool {
	p := a.enforced()
	return p == nil || p.Everything(who, policy.Serve, prefix).Allowed
}

// withhold takes out of the tables what the node may not serve any more. Calls that run go on. Call with the controller's lock held.
func (s *session) withhold() {
	c := s.c
	for service, reg := range s.services {
		for _, part := range slices.Clone(reg.parts) {
			m := reg.part(service, part)
			not, ok := c.access.serves(s.name, m)
			if ok {
				continue
			}
			c.remarks.add(func() {
				c.log.Warn("the policy does not let a node serve any more what it serves", "node", s.name, "session", s.number, "service", service, "method", not)
			})
			c.dropPart(s, service, reg, part)
			s.withheld = append(s.withheld, m)
			c.changed(s.number)
		}
	}
	for prefix, could := range s.caught {
		if may := c.access.catches(s.name, prefix); may != could {
			s.caught[prefix] = may
			c.changed(s.number)
		}
	}
}

// part is what the node has registered as that part of the service. Call with the controller's lock held.
func (reg *registration) part(service string, part uint32) *control.Register {
	m := &control.Register{Service: service, Part: part}
	for name, at := range reg.methods {
		if at.part == part {
			m.Methods = append(m.Methods, control.Method{Name: name, Sig: at.route.print, Number: at.number})
			m.Balance = at.balance
		}
	}
	return m
}

// restore puts back what the node may serve again. Call with the controller's lock held, which is let go while signatures are compared.
func (s *session) restore() {
	c := s.c
	for _, m := range slices.Clone(s.withheld) {
		if _, ok := c.access.serves(s.name, m); !ok {
			continue
		}
		routes, why := s.intern(m.Service, m.Methods) // they are there
		if why == nil {
			why = s.settle(routes, (*route).unsettledTo)
		}
		if c.session(s.number) != s { // it has left meanwhile: what it named now would be named for ever
			return
		}
		i := slices.Index(s.withheld, m)
		if i < 0 { // it does not serve it any more
			continue
		}
		if why == nil {
			why = s.room(m) // what it has registered meanwhile may be in the way
		}
		s.withheld = slices.Delete(s.withheld, i, i+1)
		if why != nil {
			c.remarks.add(func() {
				c.log.Warn("what a node may serve again has no room", "node", s.name, "session", s.number, "service", m.Service, "reason", cut(why.Message))
			})
			continue
		}
		c.remarks.add(func() {
			c.log.Info("the policy lets a node serve again", "node", s.name, "session", s.number, "service", m.Service)
		})
		s.enter(m, routes)
	}
}

// review has a node told what has become of the table for it, and of methods that it waits for and may not know of any more. Call with the controller's lock held.
func (s *session) review(b *batch) {
	c := s.c
	if w := c.watchers[s]; w != nil {
		w.restart()
		b.add(s.link)
	}
	for number, w := range s.awaits {
		if !w.known() {
			s.unawait(number)
			b.add(s.link)
			s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: number}, Payload: encode(s.forbidden(knowing[0], thisMethod).Append)})
		}
	}
}
