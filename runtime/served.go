package daffi

import (
	"fmt"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// refuse answers a request that will not run.
func (s *session) refuse(id uint64, e *Error) error {
	e.Outcome, e.Node = NotRun, s.node.opts.Name
	return s.answer(transport.Frame{Header: transport.Header{Kind: transport.Error, Call: id}, Payload: appendFailure(e)})
}

// request takes a new call from the reader.
func (s *session) request(f *transport.Frame) error {
	if f.Call&transport.Served == 0 {
		return fmt.Errorf("%w: request with a caller's id", transport.ErrProtocol)
	}
	over, late, err := s.served.claim(f.Call)
	switch {
	case err != nil:
		return err
	case late:
		s.node.lates.Add(1)
		return nil
	case over.id != 0:
		over.abandon(errCallGone)
	}
	m := s.node.services.method(f.Route)
	if m == nil {
		m = s.caught(f.Route)
	}
	switch {
	case m == nil:
		return s.refuse(f.Call, &Error{Code: Unimplemented, Message: "the node does not serve this method any more"})
	case int(f.Depth) > s.node.opts.Limits.CallDepth:
		return s.refuse(f.Call, tooDeep(m.full, s.node.opts.Limits.CallDepth))
	case f.Mode.Unknown() != 0:
		return s.refuse(f.Call, &Error{Code: FailedPrecondition, Reason: ReasonShape, Method: m.full, Message: fmt.Sprintf(
			"the call has the mode %d, which this node does not know: the caller is of a later version", f.Mode.Unknown())})
	}
	const whole = transport.Input | transport.Output
	if m.stream != (f.Mode&whole != 0 && f.Mode&transport.Each == 0) {
		return s.refuse(f.Call, &Error{Code: FailedPrecondition, Reason: ReasonShape, Method: m.full, Message: "the method was called in another shape than it has"})
	}
	p := s.peers[f.Peer]
	switch {
	case p == nil && s.crowded:
		return s.refuse(f.Call, &Error{Code: ResourceExhausted, Reason: ReasonBusy, Method: m.full, Message: fmt.Sprintf("more than %d nodes call this one; Limits.Callers is the bound", s.node.opts.Limits.Callers)})
	case p == nil: // it has left between its call and now
		p = new(peer)
	}
	in, _ := s.node.incomings.Get().(*Incoming)
	if in == nil {
		in = new(Incoming)
	}
	in.node, in.session, in.id, in.mode, in.flags, in.method, in.peer = s.node, s, f.Call, f.Mode, f.Flags, m, p
	in.args.SetScope(&s.node.scope)
	in.out.SetScope(&s.node.scope)
	in.ctx = &callCtx{method: m.full, from: p.name, node: s.node, depth: f.Depth, fired: p.fired}
	if f.Arg > 0 {
		if s.now.IsZero() {
			s.now = time.Now()
		}
		in.ctx.deadline = s.now.Add(time.Duration(min(f.Arg, 1<<62)))
	}
	if f.Mode&(transport.Input|transport.Each) != 0 {
		if in.recv = newReceiver(s, f.Call, transport.MinCredit); in.recv == nil {
			in.release()
			return s.refuse(f.Call, &Error{Code: ResourceExhausted, Reason: ReasonBusy, Method: m.full, Message: "the node receives as many streams as it may already"})
		}
		in.recv.in = in
	}
	if f.Mode&transport.Output != 0 {
		credit := transport.MinCredit
		if f.Mode&transport.Wide != 0 {
			credit = transport.InitialCredit
		}
		in.send = newSender(s, f.Call, credit, s.packer(&m.worth, f.Flags&transport.Zstd != 0))
	}
	c := servedCall{id: f.Call, ctx: in.ctx, recv: in.recv, send: in.send, method: m}
	if f.Flags&transport.Large == 0 {
		in.payload = f.Own()
		if err := s.served.add(c); err != nil {
			in.release()
			return err
		}
		return s.admit(in)
	}
	total := transport.AnnouncedLength(f.Payload)
	if total > int64(s.node.opts.MaxMessage+maxWrap) {
		if in.recv != nil {
			in.recv.close()
		}
		in.release()
		return s.refuse(f.Call, tooLarge(int(total), s.node.opts.MaxMessage, m.full))
	}
	if s.announced.Load() >= s.node.opts.mostCalls() {
		if in.recv != nil {
			in.recv.close()
		}
		in.release()
		return s.refuse(f.Call, tooBusy())
	}
	in.asm = s.newAssembly(f.Call, int(total), f.Flags)
	in.asm.count(&s.announced)
	c.asm, c.in = in.asm, in
	if err := s.served.add(c); err != nil {
		c.in = nil
		in.release()
		return err
	}
	s.assemblies.reserve(c.asm)
	return nil
}

// servedFrame takes a frame of a call that was opened before.
func (s *session) servedFrame(f *transport.Frame) error {
	if f.Kind == transport.Cancel {
		c := s.served.remove(f.Call)
		if c.id == 0 {
			s.node.lates.Add(1)
			return nil
		}
		c.abandon(readCause(f.Payload))
		return nil
	}
	c := s.served.get(f.Call)
	if c.id == 0 {
		s.node.lates.Add(1)
		return nil
	}
	var err error
	switch f.Kind {
	case transport.Data:
		if c.recv != nil {
			err = c.recv.push(f)
		}
	case transport.Chunk:
		if c.in != nil {
			return s.requestChunk(&c, f)
		}
		if c.recv != nil {
			err = c.recv.chunk(f)
		}
	case transport.Credit:
		if c.send != nil {
			c.send.grow(f.Arg)
		}
	case transport.Grant:
		switch {
		case c.reply != nil:
			c.reply.granted(f.Arg)
		case c.send != nil:
			c.send.grant(f.Arg)
		}
	default:
		return fmt.Errorf("%w: a caller sends no %v", transport.ErrProtocol, f.Kind)
	}
	if err != nil {
		s.breakServed(f.Call, err)
	}
	return nil
}

// breakServed ends a call whose caller broke the rules of its stream.
func (s *session) breakServed(id uint64, err error) {
	c := s.served.remove(id)
	if c.id == 0 {
		return
	}
	e := asProtocol(err)
	e.Method, e.Node = c.method.full, s.node.opts.Name
	c.abandon(e)
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Error, Flags: transport.Bulk, Call: id}, Payload: appendFailure(e)})
}

// asProtocol is err as what it is, or as a breach of the protocol.
func asProtocol(err error) *Error {
	if e, ok := err.(*Error); ok {
		x := *e
		return &x
	}
	return &Error{Code: Internal, Reason: ReasonProtocol, Outcome: Ran, Message: err.Error(), cause: err}
}

// requestChunk takes a piece of a large request.
func (s *session) requestChunk(c *servedCall, f *transport.Frame) error {
	last, ok := c.asm.add(f)
	if !ok {
		s.breakServed(f.Call, fmt.Errorf("the caller sent other chunks than it had announced"))
		return nil
	}
	if !last {
		return nil
	}
	in := c.in
	if !s.served.update(f.Call, func(c *servedCall) { c.in, c.asm = nil, nil }) {
		return nil
	}
	in.payload = in.asm.take()
	return s.admit(in)
}

// admit lets a call run, wait, or be refused (LIM-11).
func (s *session) admit(in *Incoming) error {
	id, oneway, m := in.id, in.mode&transport.Oneway != 0, in.method
	e := in.readTag()
	if e == nil {
		e = s.node.admission.enter(in)
	}
	if oneway { // afterwards, lest Drain finds it nowhere
		s.served.remove(id) // from here on nobody can cancel it
	}
	if e == nil {
		if oneway {
			return s.answer(transport.Frame{Header: transport.Header{Kind: transport.Reply, Call: id}})
		}
		return nil
	}
	s.served.remove(id)
	if in.recv != nil {
		in.recv.close()
	}
	in.release()
	e.Method = m.full
	return s.refuse(id, e)
}

// packer returns what compresses a stream's frames, nil if nothing does.
func (s *session) packer(w *transport.Worth, wanted bool) func([]byte) (*transport.Buffer, bool) {
	if !s.compresses(wanted) {
		return nil
	}
	return func(b []byte) (*transport.Buffer, bool) { return s.node.compress(b, w) }
}

// compresses reports whether messages are to be compressed: remote says that they leave the host further on.
func (s *session) compresses(remote bool) bool {
	switch {
	case !s.zstd || s.node.opts.Compression == CompressOff:
		return false
	case s.node.opts.Compression == CompressOn:
		return true
	}
	return remote || !s.link.Info().Local
}
