package controller

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

const (
	maxTargets   = transport.MaxCalls // of one question (LIM-25): a node has no slots for more calls at a time
	targetsFrame = 8192               // session numbers in one frame, of at most 5 bytes each
)

// targets answers with the providers of a route at this moment, without the node that asks.
func (s *session) targets(number uint64, route uint32) {
	r := s.c.route(route)
	if r == nil {
		s.answer(number, unknownRoute(route))
		return
	}
	list := *r.providers.Load()
	var sessions []uint32
	for _, p := range list {
		if p.s != s {
			sessions = append(sessions, p.s.number)
		}
	}
	switch {
	case len(sessions) > maxTargets:
		s.answer(number, &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Method: r.String(),
			Message: fmt.Sprintf("%d nodes serve it, a call goes to at most %d", len(sessions), maxTargets)})
	case len(sessions) > 0:
		for len(sessions) > 0 {
			n := min(len(sessions), targetsFrame)
			m := control.Sessions{Numbers: sessions[:n]}
			h := transport.Header{Kind: transport.Control, Call: number}
			if sessions = sessions[n:]; len(sessions) > 0 {
				h.Flags = transport.More
			}
			s.send(transport.Frame{Header: h, Payload: encode(m.Append)})
		}
	case len(list) > 0:
		s.answer(number, &control.Failure{Code: unavailable, Reason: reasonNoProvider, Outcome: notRun, Method: r.String(),
			Message: fmt.Sprintf("no node serves %s but the caller itself, which is left out; To names it", r.service)})
	default:
		s.answer(number, s.c.explain(r, 0))
	}
}
