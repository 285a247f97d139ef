package controller

import (
	"fmt"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

const (
	maxTargets   = transport.MaxCalls // of one question (LIM-25): a node has no slots for more calls at a time
	targetsBytes = 40 << 10           // of numbers and names in one frame
	maxTelling   = 256                // questions of a node for providers that are being answered (LIM-15)
)

// targets answers with the providers of a route at this moment, without the node that asks unless the route's choice says so.
func (s *session) targets(number uint64, q *control.Targets) {
	r := s.c.route(q.Route)
	if r == nil {
		s.answer(number, s.noRoute(q.Route))
		return
	}
	if why := s.mayUse(r, policy.Call); why != nil {
		s.answer(number, why)
		return
	}
	a := &targetsAnswer{s: s, number: number, named: q.Named, self: r.choice.Self, list: *r.providers.Load()}
	n := len(a.list)
	_, self := position(a.list, s.number)
	if self && !a.self {
		n--
	}
	a.skip()
	switch {
	case n > s.c.opts.Limits.Targets:
		s.answer(number, &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Method: r.String(),
			Message: fmt.Sprintf("%d nodes serve it, a call goes to at most %d", n, s.c.opts.Limits.Targets)})
	case n > 0 && int(s.telling.Add(1)) > s.c.opts.Limits.TargetQuestions:
		s.telling.Add(-1)
		s.answer(number, &control.Failure{Code: resourceExhausted, Reason: reasonBusy, Outcome: notRun, Method: r.String(),
			Message: fmt.Sprintf("%d questions of the node for providers are being answered", s.c.opts.Limits.TargetQuestions)})
	case n > 0:
		s.link.EnqueueSource(a)
		s.touched.add(s.link)
	case self:
		s.answer(number, &control.Failure{Code: unavailable, Reason: reasonNoProvider, Outcome: notRun, Method: r.String(),
			Message: fmt.Sprintf("no node serves %s but the caller itself, which is left out; AllowSelf or To names it", r.service)})
	default:
		s.answer(number, s.explain(r, 0))
	}
}

// targetsAnswer is a source of the link of who asked, so that frames are made only as fast as the node takes them: the list of one moment is never
// changed, and all that an answer holds.
type targetsAnswer struct {
	s      *session
	number uint64
	named  bool
	self   bool       // the node that has asked counts like any other
	list   []provider // that were not told of yet
}

// skip leaves out the node that has asked, unless it counts.
func (a *targetsAnswer) skip() {
	if !a.self && len(a.list) > 0 && a.list[0].s == a.s {
		a.list = a.list[1:]
	}
}

// NextFrame tells of as many as fit into a frame.
func (a *targetsAnswer) NextFrame() (f transport.Frame, more, ok bool) {
	var m control.Sessions
	size := 0
	for ; len(a.list) > 0 && size < targetsBytes; a.skip() {
		p := a.list[0].s
		a.list = a.list[1:]
		m.Numbers = append(m.Numbers, p.number)
		size += 5
		if a.named {
			m.Names = append(m.Names, p.name)
			size += 2 + len(p.name)
		}
	}
	f.Header = transport.Header{Kind: transport.Control, Call: a.number}
	if more = len(a.list) > 0; more {
		f.Flags = transport.More
	} else {
		a.s.telling.Add(-1)
	}
	f.Buf = transport.NewBuffer(size + 64)
	var e codec.Encoder
	e.Reset(f.Buf.B)
	m.Append(&e)
	f.Buf.B = e.Bytes()
	f.Payload = f.Buf.B
	return f, more, true
}

// Prompt says that NextFrame takes no time.
func (a *targetsAnswer) Prompt() bool { return true }
