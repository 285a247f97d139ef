package controller

import (
	"errors"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/paged"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// calls is what a session has in flight; its session's lock guards it.
type calls struct {
	out    paged.Table[outCall]  // that the node made, by the slot that the node chose
	in     []inCall              // that the node serves, by the slot that the controller chose
	free   uint32                // first free slot of in, plus one
	live   int                   // of out
	served int                   // of in
	known  map[uint32]*session   // callers that the node was introduced to, by number
	met    map[*session]struct{} // nodes that this one was introduced to
	ended  bool                  // the tables are swept: nothing may be added
}

type callFlags uint16

const (
	live       callFlags = 1 << iota
	oneway               // no reply is awaited
	accepted             // of a oneway call: the caller was told so and has no part in it any more
	replyLarge           // the reply was announced: the last chunk ends the call
	bulk                 // a frame went on in the bulk lane, so the last one must as well
	stopped              // the callee wants no more input
	awaited              // of a oneway call: the caller is told when the callee has admitted it
	streaming            // it has a sequence
	moved                // of such a call: something came since rest looked last
	resting              // and nothing does: it does not count as running
	strange              // the callee takes what nobody serves, so that its errors may be those of another node
)

// outCall is the caller's end of a call.
type outCall struct {
	gen   uint64 // the latest in this slot
	id    uint64 // at the callee
	to    *session
	flow  flow // towards the callee
	flags callFlags
}

// inCall is the callee's end.
type inCall struct {
	gen   uint64
	id    uint64 // at the caller
	from  *session
	route *route // that was called, for what is counted by method
	next  uint32 // of the free list
	flags callFlags
	flow  flow   // towards the caller
	since int64  // when it was sent, if its first answer is timed
	speed *speed // nil otherwise, and once it was
}

// forwarded are the flags that travel end to end.
const forwarded = transport.Large | transport.Zstd | transport.Bulk | transport.More | transport.End | transport.Meta | transport.Broken

// outAt returns the live call of that id, or nil. Call with the lock held.
func (t *calls) outAt(id uint64) *outCall {
	e := t.out.At(transport.SlotOf(id))
	if e == nil || e.flags&live == 0 || e.gen != transport.GenerationOf(id) {
		return nil
	}
	return e
}

// inAt is outAt for calls that the node serves.
func (t *calls) inAt(id uint64) *inCall {
	slot := transport.SlotOf(id)
	if uint64(slot) >= uint64(len(t.in)) {
		return nil
	}
	e := &t.in[slot]
	if e.flags&live == 0 || e.gen != transport.GenerationOf(id) {
		return nil
	}
	return e
}

func (t *calls) endOut(e *outCall) outCall {
	was := *e
	*e = outCall{gen: e.gen}
	t.live--
	return was
}

func (t *calls) endIn(id uint64, e *inCall) inCall {
	was := *e
	*e = inCall{gen: e.gen}
	if e.gen < transport.MaxGeneration { // else the slot is used up
		e.next, t.free = t.free, transport.SlotOf(id)+1
	}
	t.served--
	return was
}

// takeIn returns a free slot. ok is false if there is none.
func (t *calls) takeIn() (slot uint32, ok bool) {
	if t.free != 0 {
		slot = t.free - 1
		t.free = t.in[slot].next
		return slot, true
	}
	if len(t.in) >= transport.MaxCalls {
		return 0, false
	}
	t.in = append(t.in, inCall{})
	return uint32(len(t.in) - 1), true
}

// claim opens the call of a Request that the node made, or only notes its id if keep is false. An id that it must not use is a protocol error.
//
// The Cancel of the call that had the slot before may still be on its way in the bulk lane: if that call has not ended, it ends now. ok is
// false if the new call itself was cancelled and its request overtaken.
func (s *session) claim(f *transport.Frame, keep bool) (ok bool, err error) {
	id := f.Call
	slot, gen := transport.SlotOf(id), transport.GenerationOf(id)
	if id&transport.Served != 0 || slot >= transport.MaxCalls {
		return false, protocolError("call id %#x is not one that a node gives", id)
	}
	var over outCall
	defer func() { s.withdraw(over, nil) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.calls
	e := t.out.Make(slot)
	switch {
	case gen == e.gen:
		return false, protocolError("call id %#x was used before", id)
	case gen < e.gen:
		s.c.counts.late.Add(1)
		return false, nil
	case e.flags&live != 0:
		over = t.endOut(e)
	}
	*e = outCall{gen: gen}
	if keep {
		e.flags, e.flow = live, opened(f)
		t.live++
	}
	return true, nil
}

// routed notes where a claimed call went, unless it has ended already.
func (s *session) routed(id uint64, to *session, at uint64, flags callFlags) {
	s.mu.Lock()
	if e := s.calls.outAt(id); e != nil {
		e.to, e.id = to, at
		e.flags |= flags
	}
	s.mu.Unlock()
}

// finish ends a call that the node made. ok is false if it had ended.
func (s *session) finish(id uint64) (call outCall, ok bool) {
	s.mu.Lock()
	if e := s.calls.outAt(id); e != nil {
		call, ok = s.calls.endOut(e), true
	}
	s.mu.Unlock()
	return call, ok
}

// release ends a call that the node serves. ok is false if it had ended.
func (s *session) release(id uint64) (call inCall, ok bool) {
	s.mu.Lock()
	if e := s.calls.inAt(id); e != nil {
		if e.speed != nil {
			e.speed.unanswered(e.since, s.c.clock())
		}
		call, ok = s.endIn(id, e), true
	}
	s.mu.Unlock()
	return call, ok
}

var (
	errDraining = errors.New("node drains")
	errGone     = errors.New("node is gone")
)

// open sends a request to s, the callee. The frame is enqueued under the lock, so that nothing follows the answer to a Drain.
// number is what the callee calls the method; first reports whether it was introduced to the caller. speed is nil unless the call's answer is timed.
func (s *session) open(from *session, f *transport.Frame, r *route, number uint32, flags callFlags, speed *speed) (id uint64, first bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.calls
	switch {
	case t.ended:
		return 0, false, errGone
	case s.draining.Load():
		return 0, false, errDraining
	}
	if _, ok := t.known[from.number]; !ok {
		if t.known == nil {
			t.known = map[uint32]*session{}
		}
		t.known[from.number] = from
		first = true
		h := transport.Header{Kind: transport.Peer, Peer: from.number}
		if from.fires {
			h.Arg = 1
		}
		s.enqueue(transport.Frame{Header: h, Payload: []byte(from.name)})
	}
	slot, ok := t.takeIn()
	if !ok {
		return 0, first, transport.ErrFull
	}
	e := &t.in[slot]
	e.gen++
	e.from, e.id, e.route, e.flags, e.flow = from, f.Call, r, flags|live, answers(f.Mode)
	if speed != nil {
		e.speed, e.since = speed, s.c.clock()
	}
	t.served++
	s.running.Add(1)
	if f.Mode&(transport.Input|transport.Output|transport.Each) != 0 {
		e.flags |= streaming | moved
		s.awake()
	}
	id = transport.Served | transport.CallID(slot, e.gen)
	g := transport.Frame{Payload: f.Payload, Header: transport.Header{
		Kind: transport.Request, Flags: f.Flags & forwarded, Depth: f.Depth, Mode: f.Mode,
		Call: id, Route: number, Peer: from.number, Arg: f.Arg,
	}}
	if f.Buf != nil {
		g.Buf = f.Buf.Retain() // another node may get it if this one has no room
	}
	if err := s.link.Enqueue(g); err != nil {
		s.endIn(id, e)
		return 0, first, err
	}
	return id, first, nil
}

// meet remembers that to was introduced to s, until either ends.
func (s *session) meet(to *session) {
	s.mu.Lock()
	if s.calls.met == nil {
		s.calls.met = map[*session]struct{}{}
	}
	s.calls.met[to] = struct{}{}
	s.mu.Unlock()
	to.mu.Lock()
	ended := to.calls.ended
	to.mu.Unlock()
	if ended { // it may have looked before s remembered
		s.unmeet(to)
	}
}

func (s *session) unmeet(to *session) {
	s.mu.Lock()
	delete(s.calls.met, to)
	s.mu.Unlock()
}

// endCalls ends every call of a session whose link is closed, and what others remember of it.
func (s *session) endCalls(b *batch) {
	s.mu.Lock()
	t := s.calls
	s.calls = calls{ended: true}
	if s.restTimer != nil {
		s.restTimer.Stop()
	}
	s.mu.Unlock()
	s.running.Store(0)

	var lost *control.Failure
	var gone []byte // the cause of the calls that the node made
	for i := range t.in {
		call := &t.in[i]
		switch {
		case call.flags&live == 0:
			continue
		case call.flags&accepted != 0:
			s.c.lose(reasonNodeLost, call.route)
			continue
		}
		if _, ok := call.from.finish(call.id); !ok {
			continue
		}
		if lost == nil {
			lost = &control.Failure{Code: unavailable, Reason: reasonNodeLost, Outcome: mayHaveRun, Node: s.name, Message: "the node is gone"}
		}
		call.from.enqueue(errorFrame(call.id, lost, call.flags&bulk != 0))
		b.add(call.from.link)
	}
	for e := range t.out.All() {
		call := *e
		if call.flags&live == 0 || call.to == nil {
			continue
		}
		if _, ok := call.to.release(call.id); ok {
			if gone == nil {
				gone = encode((&control.Failure{Code: codeCanceled, Reason: reasonNodeLost, Node: s.name, Message: "the node that made the call is gone"}).AppendTo)
			}
			call.to.enqueueCancel(cancelFrame(call, gone))
			b.add(call.to.link)
		}
	}
	for _, caller := range t.known {
		caller.unmeet(s)
	}
	for to := range t.met {
		to.forget(s)
		b.add(to.link)
	}
}

// forget tells a node, after all that the other has asked of it, that the other has left.
func (s *session) forget(who *session) {
	s.mu.Lock()
	_, ok := s.calls.known[who.number]
	delete(s.calls.known, who.number)
	s.mu.Unlock()
	if ok {
		s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Peer, Flags: transport.Bulk, Peer: who.number}})
	}
}
