package transport

// shares keeps one caller from taking all the room that a queue towards a callee has for requests: a caller may not have more in it than what is left free. So one alone
// gets a good half, and whoever comes finds something. Nothing is counted while the queue is less than a quarter full, which is nearly always.
//
// Requests leave the queue among other frames, so that what a caller has in it is not known exactly: two generations of counts are kept, and the older one is
// forgotten when as many frames have left as were queued when the younger one began.
type shares struct {
	young, old map[uint32]share // by the session of the caller
	leaving    int              // frames until the older generation is forgotten
}

type share struct{ frames, bytes int }

// shared reports whether a frame is a request towards a callee, which says who makes it.
func shared(h *Header) bool { return h.Kind == Request && h.Call&Served != 0 }

// admit accounts for a request of size bytes, and reports whether its caller may have it in q. Call with q's lock held.
func (s *shares) admit(q *queue, caller uint32, size int) bool {
	if q.frames < q.limits.QueueFrames/4 && q.bytes < q.limits.QueueBytes/4 {
		if s.young != nil {
			*s = shares{}
		}
		return true
	}
	if s.young == nil {
		s.young, s.leaving = map[uint32]share{}, q.frames
	}
	young, old := s.young[caller], s.old[caller]
	if young.frames+old.frames >= q.limits.QueueFrames-q.frames || young.bytes+old.bytes+size > q.limits.QueueBytes-q.bytes {
		return false
	}
	s.young[caller] = share{young.frames + 1, young.bytes + size}
	return true
}

// taken is told how many frames have left the queue, which q still holds. Call with q's lock held.
func (s *shares) taken(q *queue, frames int) {
	if s.young == nil {
		return
	}
	if s.leaving -= frames; s.leaving <= 0 {
		s.old, s.young, s.leaving = s.young, map[uint32]share{}, q.frames
	}
}
