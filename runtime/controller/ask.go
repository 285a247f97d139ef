package controller

import (
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// control answers a message of the node at once (LIM-15). One that does not parse closes the link.
func (s *session) control(f *transport.Frame) error {
	var d codec.Decoder
	d.Reset(f.Payload)
	op := control.ReadOp(&d)
	switch op {
	case control.OpRegister:
		var m control.Register
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		answer, why := s.register(&m)
		if why != nil {
			answer = why
		}
		s.say(f.Call, answer.Append)
	case control.OpUnregister:
		var m control.Unregister
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.unregister(m.Service, m.Part)
		s.answer(f.Call, nil)
	case control.OpResolve:
		var m control.Resolve
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		answer, why := s.resolve(&m)
		if why != nil {
			answer = why
		}
		s.say(f.Call, answer.Append)
	case control.OpAbout:
		var m control.About
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.answer(f.Call, s.about(&m))
	case control.OpSelect:
		var m control.Select
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		answer, why := s.choose(&m)
		if why != nil {
			answer = why
		}
		s.say(f.Call, answer.Append)
	case control.OpDescribe:
		var m control.Describe
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.answer(f.Call, s.describe(&m))
	case control.OpCatch:
		var m control.Catch
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.answer(f.Call, s.catch(&m))
	case control.OpUncatch:
		var m control.Uncatch
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.c.mu.Lock()
		s.c.uncatch(s, m.Prefix)
		s.c.tell(&s.touched)
		s.c.mu.Unlock()
		s.answer(f.Call, nil)
	case control.OpInspect:
		var m control.Inspect
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		page, why := s.inspect(&m)
		if why != nil {
			s.answer(f.Call, why)
			return nil
		}
		s.say(f.Call, page.Append)
	case control.OpFind:
		var m control.Find
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		found := s.find(m.Node)
		s.say(f.Call, found.Append)
	case control.OpTargets:
		var m control.Targets
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.targets(f.Call, &m)
	case control.OpAwait:
		var m control.Await
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.await(f.Call, &m)
	case control.OpForget:
		var m control.Forget
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.c.mu.Lock()
		s.unawait(m.Number)
		s.c.mu.Unlock()
		s.c.schedules.forgetWaiter(s, m.Number)
	case control.OpStop:
		var m control.Stop
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.refuses(&m)
	case control.OpWatch:
		if err := d.Close(); err != nil {
			return malformed(op, err)
		}
		s.watch(f.Call)
	case control.OpSchedule, control.OpTasks, control.OpTaskControl, control.OpAwaitRuns:
		return s.onTasks(op, f.Call, &d)
	default:
		if err := d.Close(); err != nil {
			return malformed(op, err)
		}
		if op.Known() {
			return protocolError("control message %d, which a node does not send", op)
		}
		if f.Call != 0 { // a node of a later version asks
			s.answer(f.Call, &control.Failure{Code: unimplemented, Outcome: notRun, Message: fmt.Sprintf("the controller does not know the control message %d", op)})
		}
	}
	return nil
}

func malformed(op control.Op, err error) error {
	return protocolError("control message %d: %v", op, err)
}

// say answers the message of that number.
func (s *session) say(number uint64, fill func(*codec.Encoder)) {
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: number}, Payload: encode(fill)})
}

// answer says OK, or why not.
func (s *session) answer(number uint64, why *control.Failure) {
	if why != nil {
		s.say(number, why.Append)
		return
	}
	s.say(number, plainly(control.OpOK))
}

// plainly appends a message without fields.
func plainly(op control.Op) func(*codec.Encoder) {
	return func(e *codec.Encoder) { control.AppendPlain(e, op) }
}

// message is an answer.
type message interface{ Append(*codec.Encoder) }

// validWord says what is wrong with the name of a service or method (LIM-10). A name may have parts separated by dots.
func validWord(what, name string) *control.Failure {
	err := transport.ValidWord(name)
	if err == nil {
		return nil
	}
	return &control.Failure{Code: invalidArgument, Outcome: notRun, Message: fmt.Sprintf("%s name %q %v", what, name[:min(len(name), transport.MaxWord)], err)}
}

// intern notes what the node registers or resolves. Call with the lock held.
func (s *session) intern(service string, methods []control.Method) ([]*route, *control.Failure) {
	routes := make([]*route, len(methods))
	for i := range methods {
		m := &methods[i]
		if !signature.ValidFingerprint(m.Sig) {
			return nil, &control.Failure{Code: invalidArgument, Outcome: notRun, Method: service + "." + m.Name, Message: fmt.Sprintf(
				"the fingerprint of %s.%s, of %d bytes, is neither a short signature nor # and a hash", service, m.Name, len(m.Sig))}
		}
		if routes[i] = s.c.intern(s, routeKey{methodKey{service, m.Name}, m.Sig}); routes[i] == nil {
			return nil, tooManyRoutes()
		}
	}
	return routes, nil
}

// register adds a service of the node, or a part of one, once the signatures of all its methods are known. The answer is a Registered or a Missing.
func (s *session) register(m *control.Register) (message, *control.Failure) {
	if why := validWord("service", m.Service); why != nil {
		return nil, why
	}
	named := make(map[string]bool, len(m.Methods))
	for i := range m.Methods {
		name := m.Methods[i].Name
		if why := validWord("method", name); why != nil {
			return nil, why
		}
		if named[name] {
			return nil, &control.Failure{Code: invalidArgument, Outcome: notRun, Message: fmt.Sprintf("method %s.%s is named twice", m.Service, name)}
		}
		if number := m.Methods[i].Number; number >= control.Introduced { // what it answers would count as that of another
			return nil, &control.Failure{Code: invalidArgument, Outcome: notRun, Message: fmt.Sprintf("method %s.%s has the number %d: those from %d on are the controller's", m.Service, name, number, uint32(control.Introduced))}
		}
		named[name] = true
	}
	for i := range m.Methods {
		if why := s.authorize(m.Service, m.Methods[i].Name, policy.Serve); why != nil {
			return nil, why
		}
	}
	if !m.Balance.Known() { // of a later version, which wishes it and does not rely on it
		m.Balance = control.BalanceDefault
	}
	c := s.c
	c.mu.Lock()
	defer c.unlock()
	if why := s.room(m); why != nil {
		return nil, why
	}
	routes, why := s.intern(m.Service, m.Methods)
	if why != nil {
		return nil, why
	}
	if missing, why := s.missing(routes, asking{sig: 1, doc: 1}); why != nil || len(missing) > 0 {
		return &control.Missing{Methods: missing}, why
	}
	if why := s.settle(routes, (*route).unsettledTo); why != nil {
		return nil, why
	}
	if not, ok := c.access.serves(s.name, m); !ok { // another policy came meanwhile
		return nil, s.forbidden(policy.Serve, not)
	}
	if why := s.room(m); why != nil { // and has put back what was withheld
		return nil, why
	}
	s.enter(m, routes)
	c.tell(&s.touched)
	return &control.Registered{Describe: s.undocumented(routes)}, nil
}

// room says what stands against a part that the node registers. Call with the lock held.
func (s *session) room(m *control.Register) *control.Failure {
	if reg := s.services[m.Service]; reg != nil {
		if why := s.overlap(reg, m); why != nil {
			return why
		}
	}
	if s.methods+len(m.Methods) > s.c.opts.Limits.Methods || s.parts >= s.c.opts.Limits.Methods { // parts may be without methods
		return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Node: s.name,
			Message: fmt.Sprintf("a node serves at most %d methods", s.c.opts.Limits.Methods)}
	}
	if s.words+s.wordsOf(m) > tableBytes {
		return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Node: s.name,
			Message: fmt.Sprintf("the names of what a node serves take at most %d bytes", tableBytes)}
	}
	return nil
}

// wordsOf is how many bytes a part adds to the node's row of the table. Call with the lock held.
func (s *session) wordsOf(m *control.Register) (n int) {
	if s.services[m.Service] == nil {
		n = serviceWords(m.Service)
	}
	for i := range m.Methods {
		n += methodWords(m.Methods[i].Name)
	}
	return n
}

// enter puts a part into the tables, for which there is room and whose signatures are settled. Call with the lock held.
func (s *session) enter(m *control.Register, routes []*route) {
	c := s.c
	words := s.wordsOf(m)
	reg := s.services[m.Service]
	if reg == nil {
		reg = &registration{methods: make(map[string]method, len(m.Methods))}
		if s.services == nil {
			s.services = map[string]*registration{}
		}
		s.services[m.Service] = reg
		if c.services[m.Service] == nil {
			c.services[m.Service] = map[*session]*registration{}
		}
		c.services[m.Service][s] = reg
	}
	reg.parts = append(reg.parts, m.Part)
	s.parts++
	c.compareBalance(s, routes, m.Balance)
	s.methods += len(routes)
	s.words += words
	for i, r := range routes {
		number := m.Methods[i].Number
		reg.methods[m.Methods[i].Name] = method{route: r, number: number, part: m.Part, balance: m.Balance}
		if !s.draining.Load() {
			c.offer(r, provider{s: s, number: number, balance: m.Balance, speed: new(speed)})
		}
	}
	c.changed(s.number)
}

func tooManyRoutes() *control.Failure {
	return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Message: "too many different methods and signatures were named and described"}
}

// overlap says what the node serves already of a part that it registers, nil if that is nothing.
func (s *session) overlap(reg *registration, m *control.Register) *control.Failure {
	why := &control.Failure{Code: alreadyExists, Outcome: notRun, Node: s.name}
	if slices.Contains(reg.parts, m.Part) {
		why.Message = fmt.Sprintf("node %q serves %s already", s.name, m.Service)
		return why
	}
	for i := range m.Methods {
		if name := m.Methods[i].Name; reg.methods[name].route != nil {
			why.Message = fmt.Sprintf("node %q serves %s.%s already", s.name, m.Service, name)
			return why
		}
	}
	return nil
}

// unregister removes a service, or a part of it; calls that are under way go on.
func (s *session) unregister(service string, part uint32) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s.withheld = slices.DeleteFunc(s.withheld, func(m *control.Register) bool { return m.Service == service && m.Part == part })
	if reg := s.services[service]; reg != nil && slices.Contains(reg.parts, part) {
		c.dropPart(s, service, reg, part)
		c.changed(s.number)
		c.tell(&s.touched)
	}
}

// resolve gives numbers to what the node wants to call, whether or not anybody serves it, once all signatures are known. The answer is a
// Routes or a Missing. What the node may not know of has [control.NoRoute].
func (s *session) resolve(m *control.Resolve) (message, *control.Failure) {
	return s.resolveAs(m.Service, m.Methods, func(r *route) *route { return r })
}

// resolveAs answers with what see makes of each route. Call see with the lock held; it returns nil if there are too many routes.
func (s *session) resolveAs(service string, methods []control.Method, see func(*route) *route) (message, *control.Failure) {
	if why := validWord("service", service); why != nil {
		return nil, why
	}
	if len(methods) > maxResolved {
		return nil, &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun,
			Message: fmt.Sprintf("at most %d methods can be resolved at a time", maxResolved)}
	}
	for i := range methods {
		if why := validWord("method", methods[i].Name); why != nil {
			return nil, why
		}
	}
	left, at := s.mayKnow(service, methods)
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	routes, why := s.intern(service, left)
	if why != nil {
		return nil, why
	}
	if missing, why := s.missing(routes, asking{sig: 1}); why != nil || len(missing) > 0 {
		for i, m := range missing {
			if at != nil {
				missing[i] = at[m]
			}
		}
		return &control.Missing{Methods: missing}, why
	}
	if why := s.settle(routes, (*route).unsettled); why != nil {
		return nil, why
	}
	answer := control.Routes{Routes: make([]control.Route, len(methods))}
	for i := range answer.Routes {
		answer.Routes[i].Number = control.NoRoute
	}
	for i, r := range routes {
		r.call()
		if r = see(r); r == nil {
			return nil, tooManyRoutes()
		}
		if at != nil {
			i = int(at[i])
		}
		answer.Routes[i] = control.Route{Number: r.number, Remote: r.remote()}
	}
	return &answer, nil
}

// find returns the session of a node that this one may know of.
func (s *session) find(name string) control.Found {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.names[name]; other != nil && s.visible(other.number) != nil { // else it is about to leave
		return control.Found{Session: other.number}
	}
	return control.Found{}
}
