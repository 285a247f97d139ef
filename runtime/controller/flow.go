package controller

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// flow is what one side of a call may still send of its stream, and of the large message that it has announced. The controller keeps both sides to it: else one
// that floods would fill the queue of the other, and what was granted to others would find no room there.
type flow struct {
	credit int32
	left   uint32 // of the announced message
	due    uint32 // of that, what was granted
	large  bool   // a message is announced
	ended  bool   // no items follow
}

// opened is the flow of a call's caller when it has sent its Request.
func opened(f *transport.Frame) (w flow) {
	if f.Mode&(transport.Input|transport.Each) != 0 {
		w.credit = transport.MinCredit
	}
	if f.Flags&transport.Large != 0 {
		w.announce(f)
	}
	return w
}

// answers is the flow of the callee at that moment.
func answers(m transport.Mode) (w flow) {
	switch {
	case m&transport.Output == 0:
	case m&transport.Wide != 0:
		w.credit = transport.InitialCredit
	default:
		w.credit = transport.MinCredit
	}
	return w
}

func (w *flow) announce(f *transport.Frame) {
	w.large, w.left = true, uint32(transport.AnnouncedLength(f.Payload))
}

// spend accounts for a frame, and reports whether it may be sent.
func (w *flow) spend(f *transport.Frame) bool {
	switch {
	case f.Kind == transport.Chunk:
		n := uint32(len(f.Payload))
		if n == 0 || n > w.due {
			return false
		}
		w.left, w.due = w.left-n, w.due-n
		if f.Flags&transport.More == 0 {
			w.large, w.left, w.due = false, 0, 0
		}
	case f.Flags&transport.Large != 0 && (f.Kind == transport.Data || f.Kind == transport.Reply):
		if w.large || w.ended {
			return false
		}
		w.announce(f)
	case f.Kind == transport.Data:
		cost := int32(max(len(f.Payload), transport.MinCost))
		end := f.Flags&transport.End != 0
		if end && (len(f.Payload) == 0 || f.Flags&transport.Broken != 0) {
			cost = 0
		}
		if w.ended || cost > w.credit {
			return false
		}
		w.credit -= cost
		w.ended = end
	}
	return true
}

// allow accounts for a Credit or a Grant of the other side. What it gives is its own to keep.
func (w *flow) allow(f *transport.Frame) {
	switch {
	case f.Kind == transport.Credit:
		const most = 1 << 30
		w.credit = min(w.credit+int32(min(f.Arg, transport.MaxCredit)), most)
	case f.Kind == transport.Grant && w.large:
		if more := uint64(w.left - w.due); f.Arg != 0 && f.Arg < more {
			w.due += uint32(f.Arg)
		} else {
			w.due = w.left
		}
	}
}

// allow is that of a call that s has made or serves, before the frame goes on: what it allows may come at once.
func (s *session) allow(id uint64, f *transport.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id&transport.Served != 0 {
		if e := s.calls.inAt(id); e != nil {
			e.flow.allow(f)
			s.move(e)
		}
	} else if e := s.calls.outAt(id); e != nil {
		e.flow.allow(f)
	}
}

// overspent is the failure of a call of which one side has sent more than the other has granted.
func overspent(kind transport.Kind, node string) *control.Failure {
	return &control.Failure{Code: internal, Reason: reasonProtocol, Outcome: mayHaveRun, Node: node,
		Message: fmt.Sprintf("%s has sent a %v that the other side of the call has not granted", node, kind)}
}
