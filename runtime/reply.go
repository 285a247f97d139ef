package daffi

import (
	"errors"
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// callFrame takes a frame of a call that this node has made.
func (s *session) callFrame(f *transport.Frame) error {
	switch f.Kind {
	case transport.Reply:
		if f.Flags&transport.Large != 0 {
			return s.largeReply(f)
		}
		p := s.calls.remove(f.Call)
		if p == nil {
			s.node.lates.Add(1)
			return nil
		}
		p.flags = f.Flags
		if len(f.Payload) > 0 {
			p.reply = f.Own()
		}
		p.end()
	case transport.Accepted:
		if p := s.calls.remove(f.Call); p != nil {
			p.end()
		}
	case transport.Error:
		if p := s.calls.remove(f.Call); p != nil {
			e := readFailure(f.Payload)
			if e.Reason == ReasonStaleRoute {
				s.finding.Clear()
			}
			p.fail(e)
		} else {
			s.node.lates.Add(1)
		}
	case transport.Chunk:
		return s.callChunk(f)
	case transport.Grant:
		if l := s.calls.large(f.Call); l != nil && !l.sent() {
			l.granted(f.Arg)
		} else if st := s.calls.stream(f.Call); st != nil && st.send != nil {
			st.send.grant(f.Arg)
		}
	case transport.Data:
		if st := s.calls.stream(f.Call); st != nil && st.recv != nil {
			if err := st.recv.push(f); err != nil {
				s.breakCall(f.Call, err)
			}
		} else {
			s.node.lates.Add(1)
		}
	case transport.Credit:
		if st := s.calls.stream(f.Call); st != nil && st.send != nil {
			st.send.grow(f.Arg)
		}
	case transport.Stop:
		if st := s.calls.stream(f.Call); st != nil && st.send != nil {
			st.send.abort(nil, nil)
		}
	default:
		return fmt.Errorf("%w: a callee sends no %v", transport.ErrProtocol, f.Kind)
	}
	return nil
}

// breakCall ends a call whose callee broke the rules.
func (s *session) breakCall(id uint64, err error) {
	p := s.calls.remove(id)
	if p == nil {
		return
	}
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Flags: transport.Bulk, Call: id}})
	p.fail(asProtocol(err))
}

// largeReply makes room for a reply that was announced.
func (s *session) largeReply(f *transport.Frame) error {
	id := f.Call
	total := transport.AnnouncedLength(f.Payload)
	limit := s.node.opts.MaxMessage
	if f.Flags&transport.Meta != 0 {
		limit += maxWrap
	}
	if total > int64(limit) {
		s.breakCall(id, &Error{Code: ResourceExhausted, Reason: ReasonReplyTooLarge, Outcome: Ran,
			Message: fmt.Sprintf("results of %d bytes are over the limit of %d; raise Options.MaxMessage of both nodes and the controller", total, limit)})
		return nil
	}
	a := s.newAssembly(id, int(total), f.Flags)
	if s.calls.assembly(id, nil) != nil {
		s.breakCall(id, errors.New("the callee announced two replies"))
		return nil
	}
	if s.calls.assembly(id, a) == nil {
		s.node.lates.Add(1)
		return nil
	}
	s.assemblies.reserve(a)
	return nil
}

// callChunk takes a piece of a large reply, or of a large item.
func (s *session) callChunk(f *transport.Frame) error {
	a := s.calls.assembly(f.Call, nil)
	if a == nil {
		st := s.calls.stream(f.Call)
		if st == nil || st.recv == nil {
			s.node.lates.Add(1)
		} else if err := st.recv.chunk(f); err != nil {
			s.breakCall(f.Call, err)
		}
		return nil
	}
	last, ok := a.add(f)
	switch {
	case !ok:
		s.breakCall(f.Call, errors.New("the callee sent other chunks than it had announced"))
	case last:
		s.largeReplied(f.Call, a)
	}
	return nil
}

// largeReplied ends a call with its large reply, which is complete, unless its caller leaves at this moment.
func (s *session) largeReplied(id uint64, a *assembly) {
	flags, b := a.flags, a.take()
	if p := s.calls.remove(id); p != nil {
		p.flags, p.reply = flags, b
		p.end()
	} else {
		release(b)
	}
}
