package controller

import "time"

// restAfter is how long nothing may come from the callee of a stream until the stream weighs nothing: a stream that waits for something to happen is no load, and who holds
// many of them can take calls like any other.
const restAfter = time.Second

// move notes a frame of the callee's, or one that lets it go on. Call with the session's lock held.
func (s *session) move(e *inCall) {
	if e.flags&streaming == 0 {
		return
	}
	e.flags |= moved
	if e.flags&resting != 0 {
		e.flags &^= resting
		s.running.Add(1)
		s.awake()
	}
}

// awake has somebody look for streams that rest. Call with the session's lock held.
func (s *session) awake() {
	if s.watched {
		return
	}
	s.watched = true
	if s.restTimer == nil {
		s.restTimer = time.AfterFunc(restAfter, s.rest)
	} else {
		s.restTimer.Reset(restAfter)
	}
}

// rest takes the weight off streams of which nothing has come since it looked last, until there is none that moves.
func (s *session) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = false
	for i := range s.calls.in {
		e := &s.calls.in[i]
		switch {
		case e.flags&(live|streaming|resting) != live|streaming:
		case e.flags&moved != 0:
			e.flags &^= moved
			s.awake()
		default:
			e.flags |= resting
			s.running.Add(-1)
		}
	}
}

// endIn ends a call that the node serves. Call with the session's lock held.
func (s *session) endIn(id uint64, e *inCall) inCall {
	if e.flags&resting == 0 {
		s.running.Add(-1)
	}
	return s.calls.endIn(id, e)
}
