package daffi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// services is what a node serves.
type services struct {
	mu      sync.Mutex
	all     []*Registration                 // in order of registration
	parts   uint32                          // the last number that a part has got
	methods atomic.Pointer[[]*servedMethod] // by number; a number is never used again

	catchers atomic.Pointer[[]*Registration] // of HandleUnknown, those with longer prefixes first
}

// none reports whether nothing was ever registered.
func (ss *services) none() bool { return ss.methods.Load() == nil && ss.catchers.Load() == nil }

// servedMethod is one method of a registration.
type servedMethod struct {
	full    string // "Service.Method"
	name    string
	sig     string
	doc     control.Description // what is published of it, without the signature
	number  uint32
	index   int // among the service's handlers
	stream  bool
	service dispatcher
	turn    *turn        // of a serial method, else nil
	hint    atomic.Int32 // size of the last results
	worth   transport.Worth
	pace    pace
	reg     *Registration
	over    *servedMethod // that this one stands in for, under its number; nil for none

	interceptors []Interceptor // the node's and the registration's; nil for none
}

// dispatcher runs the i-th handler of a service.
type dispatcher interface {
	serve(ctx context.Context, i int, c *Incoming) error
	errors(i int) func() []KnownError
}

type bound[T any] struct {
	svc  *Service[T]
	impl T
}

func (b *bound[T]) serve(ctx context.Context, i int, c *Incoming) error {
	return b.svc.Handlers[i].Serve(ctx, b.impl, c)
}

func (b *bound[T]) errors(i int) func() []KnownError {
	if own := b.svc.Handlers[i].Errors; own != nil {
		return own
	}
	return b.svc.Errors
}

// errors is the table of errors that keep their identity, nil if there is none.
func (m *servedMethod) errors() func() []KnownError { return m.service.errors(m.index) }

// Registration is one service on one node, or a part of one, until Close.
type Registration struct {
	node    *Node
	service string
	part    uint32 // 0 for a service as Register takes it; parts have methods of their own, and numbers that are never used again
	doc     string
	balance Balance
	methods []*servedMethod
	subs    []*Registration // of the services below it
	catch   *catcher        // of HandleUnknown, whose prefix is the service; else nil
	once    sync.Once
	running int // calls, also those whose callers have gone; the node's admission guards it

	turn   chan struct{} // of who tells a session about it, or that it is closed
	known  *session      // which was told; protected by turn, like closed
	closed bool
}

// Service is the service's name on the wire.
func (r *Registration) Service() string { return r.service }

// Close stops serving, also the services below this one: calls that are running go on, further ones are refused. It may be called more
// than once.
func (r *Registration) Close() error {
	var err error
	r.once.Do(func() { err = errors.Join(r.node.services.remove(r), closeAll(r.subs)) })
	return err
}

// Register serves impl at r until the registration is closed or the node is. On a node that has joined, it returns when the controller knows
// of it; on one that has not, at once, and the service is there from the moment the node is. A node serves a name once.
func Register[T any](r Registrar, s *Service[T], impl T, opts ...ServeOption) (*Registration, error) {
	so := serveOptions{as: s.Name}
	for _, o := range opts {
		o.apply(&so)
	}
	if p, ok := r.(*below); ok {
		so.as = p.service
	}
	if any(impl) == nil {
		return nil, &Error{Code: InvalidArgument, Outcome: NotRun, Message: "register " + so.as + ": the implementation is nil"}
	}
	if so.override {
		return nil, &Error{Code: InvalidArgument, Outcome: NotRun, Message: "register " + so.as + ": Override is for Handle"}
	}
	if err := checkUnreserved(so.as); err != nil {
		return nil, err
	}
	n := r.registrar()
	reg := &Registration{node: n, service: so.as, doc: clip(s.Doc, control.MaxDoc), balance: so.balance, turn: make(chan struct{}, 1)}
	d := &bound[T]{s, impl}
	around := so.around(n)
	serial := s.Serial || slices.ContainsFunc(s.Handlers, func(h Handler[T]) bool { return h.Serial })
	_, lower := r.(*below)
	if err := so.check(serial, lower); err != nil {
		return nil, &Error{Code: InvalidArgument, Outcome: NotRun, Message: "register " + so.as + ": " + err.Error()}
	}
	shared := so.turn(so.as, s.Serial)
	for i := range s.Handlers {
		h := &s.Handlers[i]
		turn := shared
		if h.Serial && (turn == nil || turn.places > 1) {
			turn = so.turn(so.as+"."+h.Name, true)
		}
		for _, name := range append([]string{h.Name}, h.Aliases...) {
			m := &servedMethod{full: so.as + "." + name, name: name, sig: h.Sig, index: i, stream: h.Stream, service: d, turn: turn, reg: reg, interceptors: around}
			if err := checkSignature(m.full, m.sig); err != nil {
				return nil, err
			}
			m.doc = description(control.Description{Name: name, Params: h.Params, Results: h.Results, Doc: h.Doc, Oneway: h.Oneway})
			if name != h.Name {
				m.doc.Alias = h.Name
			}
			reg.methods = append(reg.methods, m)
		}
	}
	var err error
	if reg.subs, err = registerSubs(n, s, so.as, impl, opts); err != nil { // first, so that who sees the service sees those below it
		return nil, err
	}
	if err := n.services.add(n, reg, false); err != nil {
		return nil, errors.Join(err, closeAll(reg.subs))
	}
	return reg, nil
}

// reservedPrefix begins the names of services that are daffi's own.
const reservedPrefix = "daffi."

// checkUnreserved refuses the names of services that are daffi's own.
func checkUnreserved(service string) error {
	if service+"." != reservedPrefix && !strings.HasPrefix(service, reservedPrefix) {
		return nil
	}
	return &Error{Code: InvalidArgument, Outcome: NotRun, Message: fmt.Sprintf(
		"service %s cannot be registered: names that begin with %s are daffi's own; register it As another name", service, reservedPrefix)}
}

// overlap finds the method that reg has in common with what is registered, or says that reg's service is there as a whole. Call with the lock held.
func (ss *services) overlap(reg *Registration) (*servedMethod, error) {
	for _, other := range ss.all {
		if other.service != reg.service || (other.catch == nil) != (reg.catch == nil) {
			continue
		}
		if reg.catch != nil {
			return nil, &Error{Code: AlreadyExists, Outcome: NotRun, Node: reg.node.opts.Name, Message: fmt.Sprintf(
				"unknown methods of the prefix %q are handled on this node already; close that registration first", reg.service)}
		}
		if other.part == 0 && reg.part == 0 {
			return nil, &Error{Code: AlreadyExists, Outcome: NotRun, Node: reg.node.opts.Name, Message: fmt.Sprintf(
				"service %s is registered on this node already; close that registration first, or register it As another name", reg.service)}
		}
		for _, m := range other.methods {
			for _, mine := range reg.methods {
				if m.name == mine.name && m.over == nil {
					return m, nil
				}
			}
		}
	}
	return nil, nil
}

// standsIn makes m, a method that is a registration of its own, take the calls of was. Call with the lock held.
func (m *servedMethod) standsIn(was *servedMethod, ms []*servedMethod) error {
	switch {
	case ms[was.number] != was:
		return &Error{Code: AlreadyExists, Outcome: NotRun, Method: m.full, Message: fmt.Sprintf("%s is overridden on this node already; close that registration first", m.full)}
	case was.sig != m.sig || was.stream:
		return &Error{Code: InvalidArgument, Reason: ReasonSchema, Outcome: NotRun, Method: m.full, Message: fmt.Sprintf(
			"%s has the signature %s; what overrides it must have the same, not %s", m.full, was.sig, m.sig)}
	}
	m.over, m.number = was, was.number
	return nil
}

// number gives reg's methods their numbers: further ones, or with override that of the method that it stands in for.
func (ss *services) number(reg *Registration, override bool) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	was, err := ss.overlap(reg)
	if err != nil {
		return err
	}
	if was != nil && !override {
		return &Error{Code: AlreadyExists, Outcome: NotRun, Node: reg.node.opts.Name, Method: was.full, Message: fmt.Sprintf(
			"%s is registered on this node already; close that registration first, or Handle it with Override", was.full)}
	}
	if reg.catch != nil {
		ss.all = append(ss.all, reg)
		ss.setCatchers()
		return nil
	}
	ms := []*servedMethod{nil} // number 0 is none
	if p := ss.methods.Load(); p != nil {
		ms = slices.Clone(*p)
	}
	if was != nil {
		if err := reg.methods[0].standsIn(was, ms); err != nil {
			return err
		}
		ms[was.number] = reg.methods[0]
	} else {
		for _, m := range reg.methods {
			m.number = uint32(len(ms))
			ms = append(ms, m)
		}
	}
	ss.methods.Store(&ms)
	ss.all = append(ss.all, reg)
	return nil
}

// nextPart is the number of another part.
func (ss *services) nextPart() uint32 {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.parts++
	return ss.parts
}

// add numbers the methods and makes the service known. With override, reg is a part of one method, which may be there already.
func (ss *services) add(n *Node, reg *Registration, override bool) error {
	if err := reg.balance.check(reg.service); err != nil {
		return err
	}
	n.mu.Lock() // either the session that comes has reg on its list, or reg sees the session
	err := ss.number(reg, override)
	s := n.current.Load()
	n.mu.Unlock()
	if err != nil {
		return err
	}
	if s == nil {
		return nil // announced when a session joins
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := reg.announce(ctx, s); err != nil {
		if errors.Is(err, &Error{Code: Unavailable, Reason: ReasonLinkLost}) {
			return nil // the next session announces it
		}
		ss.forget(reg)
		return err
	}
	return nil
}

// method is the one of that number, nil if it is not served.
func (ss *services) method(number uint32) *servedMethod {
	p := ss.methods.Load()
	if p == nil || uint64(number) >= uint64(len(*p)) {
		return nil
	}
	return (*p)[number]
}

// list is everything that is served.
func (ss *services) list() []*Registration {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return slices.Clone(ss.all)
}

// announceAll tells a session what is served and what it does not know yet.
func announceAll(ctx context.Context, s *session, all []*Registration) error {
	for _, reg := range all {
		if err := reg.announce(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// overrides reports whether r stands in for a method of another registration, so that the controller need not know of it.
func (r *Registration) overrides() bool { return len(r.methods) == 1 && r.methods[0].over != nil }

// announce tells one session of one service, once.
func (r *Registration) announce(ctx context.Context, s *session) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return contextError(ctx, "")
	}
	if r.known == s || r.closed || r.overrides() {
		return nil
	}
	if r.catch != nil {
		q := control.Catch{Prefix: r.service}
		_, _, err := s.exchange(ctx, q.Append)
		if err == nil {
			r.known = s
		}
		return r.unlessWithdrawn(err)
	}
	q := control.Register{Service: r.service, Part: r.part, Balance: control.Balance(r.balance)}
	for _, m := range r.methods {
		q.Methods = append(q.Methods, control.Method{Name: m.name, Sig: signature.Fingerprint(m.sig), Number: m.number})
	}
	describe := func(indexes []uint32, sig func(i int) string) error {
		rows, err := rowsOf(indexes, len(r.methods), func(i int) control.Description {
			row := r.methods[i].doc
			row.Sig = sig(i)
			return row
		})
		if err != nil {
			return err
		}
		return s.describe(ctx, control.Describe{Service: r.service, Doc: r.doc, Served: true}, rows)
	}
	_, d, err := s.agree(ctx, q.Append, func(missing []uint32) error {
		return describe(missing, func(i int) string { return r.methods[i].sig })
	})
	if err != nil {
		return r.unlessWithdrawn(err)
	}
	r.known = s
	var a control.Registered
	if err := a.Read(d); err != nil {
		return badAnswer("a registration", err)
	}
	// The service is there. What nobody has documented is documented besides: calls do without.
	if err := describe(a.Describe, func(i int) string { return q.Methods[i].Sig }); err != nil {
		r.node.log.Warn("the controller does not take the documentation", "service", r.service, "error", err)
	}
	return nil
}

// unlessWithdrawn is err, unless a controller has taken the registration before and now its policy does not let the node serve it: then the node does without, as it
// would if it had not lost its connection, and asks again when it joins again. Call in turn.
func (r *Registration) unlessWithdrawn(err error) error {
	if e, ok := err.(*Error); ok && e.Reason == ReasonPolicy && r.known != nil {
		r.node.log.Error("the controller does not let the node serve any more what it has served", "service", r.service, "error", err)
		return nil
	}
	return err
}

// forget removes a registration from the tables.
func (ss *services) forget(reg *Registration) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.all = slices.DeleteFunc(ss.all, func(r *Registration) bool { return r == reg })
	if reg.catch != nil {
		ss.setCatchers()
		return
	}
	ms := slices.Clone(*ss.methods.Load())
	for _, m := range reg.methods {
		switch {
		case m.over == nil:
			ms[m.number] = nil // also what stands in for it
		case ms[m.number] == m:
			ms[m.number] = m.over
		}
	}
	ss.methods.Store(&ms)
}

// remove stops serving: first at the controller, then here.
func (ss *services) remove(reg *Registration) error {
	defer ss.forget(reg)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	select {
	case reg.turn <- struct{}{}:
		defer func() { <-reg.turn }()
	case <-ctx.Done():
		return contextError(ctx, "")
	}
	reg.closed = true
	s := reg.known // which may have ended, or only be about to join
	if s == nil {
		return nil
	}
	q := (&control.Unregister{Service: reg.service, Part: reg.part}).Append
	if reg.catch != nil {
		q = (&control.Uncatch{Prefix: reg.service}).Append
	}
	_, _, err := s.exchange(ctx, q)
	if errors.Is(err, &Error{Code: Unavailable, Reason: ReasonLinkLost}) || errors.Is(err, &Error{Code: Unavailable, Reason: ReasonClosed}) {
		return nil
	}
	return err
}
