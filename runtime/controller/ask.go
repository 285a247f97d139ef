package controller

import (
	"fmt"

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
		s.answer(f.Call, s.register(&m))
	case control.OpUnregister:
		var m control.Unregister
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.unregister(m.Service)
		s.answer(f.Call, nil)
	case control.OpResolve:
		var m control.Resolve
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		routes, why := s.resolve(&m)
		if why != nil {
			s.answer(f.Call, why)
			return nil
		}
		s.say(f.Call, routes.Append)
	case control.OpFind:
		var m control.Find
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		found := s.c.find(m.Node)
		s.say(f.Call, found.Append)
	case control.OpTargets:
		var m control.Targets
		if err := m.Read(&d); err != nil {
			return malformed(op, err)
		}
		s.targets(f.Call, m.Route)
	case control.OpWatch:
		if err := d.Close(); err != nil {
			return malformed(op, err)
		}
		s.watch(f.Call)
	default:
		if err := d.Err(); err != nil {
			return malformed(op, err)
		}
		return protocolError("control message %d", op)
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
	s.say(number, func(e *codec.Encoder) { control.AppendPlain(e, control.OpOK) })
}

// validWord says what is wrong with the name of a service or method (LIM-10). A name may have parts separated by dots.
func validWord(what, name string) *control.Failure {
	fail := func(why string) *control.Failure {
		if len(name) > maxWord {
			name = name[:maxWord]
		}
		return &control.Failure{Code: invalidArgument, Outcome: notRun, Message: fmt.Sprintf("%s name %q %s", what, name, why)}
	}
	if name == "" || len(name) > maxWord {
		return fail(fmt.Sprintf("has %d bytes: a name has 1 to %d", len(name), maxWord))
	}
	part := false // the part before has a letter
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			part = true
		case c == '.' && part:
			part = false
		default:
			return fail("is not made of ASCII letters, digits, _ and -, in parts separated by dots")
		}
	}
	if !part {
		return fail("ends with a dot")
	}
	return nil
}

// register adds a service of the node.
func (s *session) register(m *control.Register) *control.Failure {
	if why := validWord("service", m.Service); why != nil {
		return why
	}
	reg := &registration{methods: make(map[string]method, len(m.Methods)), words: len(m.Service) + 8}
	for i := range m.Methods {
		name := m.Methods[i].Name
		if why := validWord("method", name); why != nil {
			return why
		}
		if _, ok := reg.methods[name]; ok {
			return &control.Failure{Code: invalidArgument, Outcome: notRun, Message: fmt.Sprintf("method %s.%s is named twice", m.Service, name)}
		}
		reg.methods[name] = method{}
		reg.words += len(name) + 2
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.services[m.Service] != nil {
		return &control.Failure{Code: alreadyExists, Outcome: notRun, Node: s.name,
			Message: fmt.Sprintf("node %q serves %s already", s.name, m.Service)}
	}
	if s.methods+len(reg.methods) > maxMethods {
		return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Node: s.name,
			Message: fmt.Sprintf("a node serves at most %d methods", maxMethods)}
	}
	if s.words+reg.words > tableBytes {
		return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Node: s.name,
			Message: fmt.Sprintf("the names of what a node serves take at most %d bytes", tableBytes)}
	}
	for i := range m.Methods {
		r := c.intern(s, routeKey{m.Service, m.Methods[i].Name, m.Methods[i].Sig})
		if r == nil {
			return tooManyRoutes()
		}
		reg.methods[m.Methods[i].Name] = method{route: r, number: m.Methods[i].Number}
	}
	if s.services == nil {
		s.services = map[string]*registration{}
	}
	s.services[m.Service] = reg
	s.methods += len(reg.methods)
	s.words += reg.words
	if c.services[m.Service] == nil {
		c.services[m.Service] = map[*session]*registration{}
	}
	c.services[m.Service][s] = reg
	if !s.draining.Load() {
		for _, m := range reg.methods {
			m.route.add(provider{s: s, number: m.number})
		}
	}
	c.changed(s.number)
	c.tell(&s.touched)
	return nil
}

func tooManyRoutes() *control.Failure {
	return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Message: "too many different methods and signatures were named"}
}

// unregister removes a service; calls that are under way go on.
func (s *session) unregister(service string) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if reg := s.services[service]; reg != nil {
		c.dropService(s, service, reg)
		c.changed(s.number)
		c.tell(&s.touched)
	}
}

// resolve gives numbers to what the node wants to call, whether or not anybody serves it.
func (s *session) resolve(m *control.Resolve) (control.Routes, *control.Failure) {
	var answer control.Routes
	if why := validWord("service", m.Service); why != nil {
		return answer, why
	}
	if len(m.Methods) > maxResolved {
		return answer, &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun,
			Message: fmt.Sprintf("at most %d methods can be resolved at a time", maxResolved)}
	}
	for i := range m.Methods {
		if why := validWord("method", m.Methods[i].Name); why != nil {
			return answer, why
		}
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range m.Methods {
		r := c.intern(s, routeKey{m.Service, m.Methods[i].Name, m.Methods[i].Sig})
		if r == nil {
			return answer, tooManyRoutes()
		}
		answer.Routes = append(answer.Routes, control.Route{Number: r.number, Remote: r.remote()})
	}
	return answer, nil
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

// find returns the session of a node.
func (c *Controller) find(name string) control.Found {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.names[name]; s != nil {
		if _, ok := c.sessionAt(s.number); ok { // else it is about to leave
			return control.Found{Session: s.number}
		}
	}
	return control.Found{}
}
