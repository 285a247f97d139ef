package controller

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// request routes a call that the node makes.
func (s *session) request(f *transport.Frame) error {
	post, large := f.Mode&transport.Oneway != 0, f.Flags&transport.Large != 0
	until := post && s.c.awaits(f.Route) // it is admitted
	keep := !post || large || until
	if ok, err := s.claim(f, keep); !ok {
		return err
	}
	var flags callFlags // of the callee's end
	if post {
		flags |= oneway
		if !keep {
			flags |= accepted
		}
	}
	to, id, why := s.place(f, flags)
	if why != nil {
		s.finish(f.Call)
		s.send(errorFrame(f.Call, why, false))
		return nil
	}
	s.touched.add(to.link)
	if !keep {
		s.send(transport.Frame{Header: transport.Header{Kind: transport.Accepted, Call: f.Call}})
		return nil
	}
	flags &= oneway
	if until {
		flags |= awaited
	}
	if f.Flags&transport.Bulk != 0 {
		flags |= bulk
	}
	s.routed(f.Call, to, id, flags)
	return nil
}

// place finds a provider that takes the request, or says why there is none.
func (s *session) place(f *transport.Frame, flags callFlags) (to *session, id uint64, why *control.Failure) {
	if int(f.Depth) > s.c.opts.Limits.CallDepth {
		return nil, 0, &control.Failure{Code: resourceExhausted, Reason: reasonDepth, Outcome: notRun,
			Message: fmt.Sprintf("calls within calls are nested %d deep, at most %d are allowed", f.Depth, s.c.opts.Limits.CallDepth)}
	}
	if f.Depth == 0 && s.c.draining.Load() { // what handlers call must go on, so that they end
		return nil, 0, &control.Failure{Code: unavailable, Reason: reasonDraining, Outcome: notRun, Message: "the controller is shutting down"}
	}
	r := s.c.route(f.Route)
	if r == nil {
		return nil, 0, s.noRoute(f.Route)
	}
	if why := s.permits(r); why != nil {
		return nil, 0, why
	}
	if level := s.c.memory.level.Load(); level != watched && !s.c.memory.takes(level, f.Depth > 0) {
		return nil, 0, overloaded(r.String())
	}
	if m := f.Mode.Unknown(); m != 0 {
		return nil, 0, &control.Failure{Code: failedPrecondition, Reason: reasonShape, Outcome: notRun, Method: r.String(),
			Message: fmt.Sprintf("the call has the mode %d, which this controller does not know: the caller is of a later version", m)}
	}
	const stream = transport.Input | transport.Output | transport.Each
	if f.Mode&transport.Oneway != 0 && f.Mode&stream != 0 {
		return nil, 0, &control.Failure{Code: failedPrecondition, Reason: reasonShape, Outcome: notRun, Method: r.String(),
			Message: "a call with a stream cannot be one-way"}
	}
	var picked [2]provider
	var n int
	var wanted uint32
	keyed := f.Mode&transport.Keyed != 0
	switch {
	case keyed:
		n = r.rank(f.Peer, &picked)
	case r.choice.Apart:
		n = s.but(f.Peer, &picked, r.pick(s, rand.Uint64(), &picked))
	case f.Peer != 0:
		wanted = f.Peer
		n = r.find(wanted, &picked)
	default:
		n = r.pick(s, rand.Uint64(), &picked)
	}
	if n == 0 {
		if n, why = s.unserved(r, f, wanted, &picked); why != nil {
			return nil, 0, why
		}
		if r.choice.Apart && !keyed {
			n = s.but(f.Peer, &picked, n)
		}
		if n == 0 {
			return nil, 0, s.explain(r, wanted)
		}
	}
	var err error
	for _, p := range picked[:n] {
		var first bool
		if p.number >= control.Introduced {
			flags |= strange
		}
		id, first, err = p.s.open(s, f, r, p.number, flags, r.timed(p))
		if first {
			s.touched.add(p.s.link)
			s.meet(p.s)
		}
		if err == nil {
			return p.s, id, nil
		}
		if keyed && errors.Is(err, transport.ErrFull) { // the next in rank has other keys
			picked[0], n = p, 1
			break
		}
	}
	why = &control.Failure{Code: unavailable, Outcome: notRun, Method: r.String()}
	if n == 1 {
		why.Node = picked[0].s.name
	}
	switch {
	case errors.Is(err, transport.ErrFull):
		why.Code, why.Reason, why.Message = resourceExhausted, reasonBusy, "the queue of the node is full"
	case errors.Is(err, errDraining):
		why.Reason, why.Message = reasonDraining, "the node is shutting down"
	default:
		why.Reason, why.Message = reasonNodeLost, "the node is gone"
	}
	return nil, 0, why
}

// unknownRoute is the answer that makes a node resolve its routes again.
func unknownRoute(number uint32) *control.Failure {
	return &control.Failure{Code: unavailable, Reason: reasonStaleRoute, Outcome: notRun,
		Message: fmt.Sprintf("route %d is not known to this controller", number)}
}

// pass gives a frame of a call to the other side, under the name that the call has there.
func (s *session) pass(to *session, f *transport.Frame, id uint64) error {
	g := transport.Frame{Payload: f.Payload, Buf: f.Buf, Header: transport.Header{
		Kind: f.Kind, Flags: f.Flags & forwarded, Call: id, Arg: f.Arg,
	}}
	f.Payload, f.Buf = nil, nil // they are the link's now
	s.touched.add(to.link)
	return to.link.Enqueue(g)
}

// fromCaller passes on Data, Chunk, Credit and Grant of a call that the node made.
func (s *session) fromCaller(f *transport.Frame) error {
	s.mu.Lock()
	e := s.calls.outAt(f.Call)
	if e == nil || e.to == nil {
		s.mu.Unlock()
		s.c.counts.late.Add(1)
		return nil
	}
	if f.Flags&transport.Bulk != 0 {
		e.flags |= bulk
	}
	allowed := e.flow.spend(f)
	call := *e
	s.mu.Unlock()

	kind, last := f.Kind, f.Kind == transport.Chunk && f.Flags&transport.More == 0
	if !allowed {
		s.endBoth(f.Call, call, overspent(kind, s.name))
		return nil
	}
	if window(kind) {
		call.to.allow(call.id, f)
	}
	if err := s.pass(call.to, f, call.id); errors.Is(err, transport.ErrFull) {
		s.endBoth(f.Call, call, overrun(kind, call.to.name))
		return nil
	}
	if last && call.flags&(oneway|awaited) == oneway && call.to.accept(call.id) { // the whole message is on its way
		if _, ok := s.finish(f.Call); ok {
			s.send(transport.Frame{Header: transport.Header{Kind: transport.Accepted, Call: f.Call}})
		}
	}
	return nil
}

// endBoth ends a call that the node has made at both ends, unless it has ended.
func (s *session) endBoth(id uint64, call outCall, why *control.Failure) {
	if _, ok := s.finish(id); ok {
		s.send(errorFrame(id, why, true))
		s.withdraw(call, encode(why.AppendTo))
	}
}

// window reports whether a frame says what the other side may send.
func window(k transport.Kind) bool { return k == transport.Credit || k == transport.Grant }

// overrun is the failure of a call of which a frame found no room that there must be: one side sends more than its call allows, or the other
// takes nothing. That may be the fault of either, so the call ends and both links go on.
func overrun(kind transport.Kind, node string) *control.Failure {
	f := &control.Failure{Code: resourceExhausted, Reason: reasonBusy, Outcome: mayHaveRun, Node: node}
	switch kind {
	case transport.Credit, transport.Grant, transport.Stop:
		f.Message = "the other side does not take what it is told of credit"
	default:
		f.Message = "the other side does not take what it has given credit for"
	}
	return f
}

// accept notes that the caller has no part in a oneway call any more. It reports false if the call has ended here: whoever ended it tells the
// caller.
func (s *session) accept(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.calls.inAt(id)
	if e != nil {
		e.flags |= accepted
	}
	return e != nil
}

// cancel ends a call that the node made.
func (s *session) cancel(f *transport.Frame) {
	call, ok := s.finish(f.Call)
	if !ok {
		s.c.counts.late.Add(1)
		return
	}
	if f.Flags&transport.Bulk != 0 {
		call.flags |= bulk
	}
	s.withdraw(call, bytes.Clone(f.Payload))
}

// withdraw ends the callee's end of a call that has ended at its caller. why is the cause as the callee is told it, nil for none.
func (s *session) withdraw(call outCall, why []byte) {
	if call.to == nil {
		return
	}
	if _, ok := call.to.release(call.id); ok {
		s.touched.add(call.to.link)
		call.to.enqueueCancel(cancelFrame(call, why))
	}
}

// maxCause bounds what a Cancel may say of its cause: nodes say less.
const maxCause = 1 << 10

func cancelFrame(call outCall, why []byte) transport.Frame {
	f := transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: call.id}}
	if call.flags&bulk != 0 { // not before what it cancels
		f.Flags = transport.Bulk
	}
	if len(why) <= maxCause {
		f.Payload = why
	}
	return f
}

// enqueueCancel enqueues f with its cause, or, where there is no room for that, without.
func (s *session) enqueueCancel(f transport.Frame) {
	if len(f.Payload) > 0 && s.link.Enqueue(f) == nil {
		return
	}
	s.enqueue(transport.Frame{Header: f.Header})
}

// fromCallee passes on a frame of a call that the node serves.
func (s *session) fromCallee(f *transport.Frame) error {
	s.mu.Lock()
	e := s.calls.inAt(f.Call)
	if e == nil {
		s.mu.Unlock()
		s.c.counts.late.Add(1)
		return nil
	}
	last := false
	switch f.Kind {
	case transport.Reply:
		if last = f.Flags&transport.Large == 0 || e.flags&oneway != 0; !last {
			again := e.flags&replyLarge != 0
			if e.flags |= replyLarge; again {
				s.mu.Unlock()
				return protocolError("two replies to a call were announced")
			}
		}
	case transport.Stop:
		again := e.flags&stopped != 0
		if e.flags |= stopped; again {
			s.mu.Unlock()
			s.c.counts.late.Add(1)
			return nil
		}
	case transport.Error:
		last = true
	case transport.Chunk:
		last = e.flags&replyLarge != 0 && f.Flags&transport.More == 0
	}
	if f.Flags&transport.Bulk != 0 {
		e.flags |= bulk
	}
	allowed := e.flow.spend(f)
	last = last && allowed
	if e.speed != nil && (f.Kind == transport.Reply || f.Kind == transport.Data) {
		e.speed.answered(e.since, s.c.clock())
		e.speed = nil
	}
	s.move(e)
	call := *e
	if last {
		s.endIn(f.Call, e)
	}
	s.mu.Unlock()

	switch {
	case f.Kind == transport.Error && call.flags&strange != 0:
	case f.Kind == transport.Error:
		s.judge(call.from.nameHash, f.Payload)
	case (f.Kind == transport.Reply || f.Kind == transport.Data) && call.flags&oneway == 0: // that it was admitted is no answer of the handler
		s.well(call.from.nameHash)
	}
	if call.flags&accepted != 0 {
		switch {
		case !last:
			s.c.counts.late.Add(1)
		case f.Kind == transport.Error:
			s.c.lose(lostReason(f.Payload), call.route)
		}
		return nil
	}
	if last {
		if _, ok := call.from.finish(call.id); !ok {
			s.c.counts.late.Add(1)
			return nil
		}
		if call.flags&oneway != 0 && f.Kind == transport.Reply {
			s.sendTo(call.from, transport.Frame{Header: transport.Header{Kind: transport.Accepted, Call: call.id}})
			return nil
		}
	}
	kind, large := f.Kind, f.Flags&transport.Large != 0
	if !allowed {
		s.breakOff(f.Call, call, overspent(kind, s.name))
		return nil
	}
	if window(kind) {
		call.from.allow(call.id, f)
	}
	if err := s.pass(call.from, f, call.id); errors.Is(err, transport.ErrFull) {
		s.stuck(kind, large, f.Call, call, last)
	}
	return nil
}

// stuck deals with a caller whose queue has no room for a frame of the callee.
func (s *session) stuck(kind transport.Kind, large bool, id uint64, call inCall, last bool) {
	switch {
	case kind == transport.Reply && !large:
		s.sendTo(call.from, errorFrame(call.id, &control.Failure{Code: resourceExhausted, Reason: reasonBusy, Outcome: ran, Node: s.name,
			Message: "the queue of the caller is full, so the result was lost"}, call.flags&bulk != 0))
	case kind == transport.Error:
		call.from.link.Close(transport.ErrFull)
	case last:
		s.sendTo(call.from, errorFrame(call.id, overrun(kind, s.name), true))
	default:
		s.breakOff(id, call, overrun(kind, s.name))
	}
}

// breakOff ends a call that the node serves at both ends, unless it has ended.
func (s *session) breakOff(id uint64, call inCall, why *control.Failure) {
	if was, ok := s.release(id); ok {
		if was.flags&accepted != 0 {
			s.c.lose(reasonBusy, was.route)
		}
		s.send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: id, Flags: transport.Bulk}})
	}
	if _, ok := call.from.finish(call.id); ok {
		s.sendTo(call.from, errorFrame(call.id, why, true))
	}
}
