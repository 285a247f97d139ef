package transport

import (
	"sync"
	"time"
)

// queue is what a link has to send: the bound of LIM-14, and the sources of the bulk lane. Its lock is never held across a write, a
// handler or a source.
type queue struct {
	mu      sync.Mutex
	limits  Limits
	meter   *Meter        // nil where nobody wants to know
	metered int           // what it knows of
	frames  int           // that no credit covers
	bytes   int           // of those
	credit  int           // bytes that credit or a grant covers
	left    uint64        // bytes of both kinds that were taken out
	shares  shares        // who has requests in it
	room    chan struct{} // closed when there is room again; nil when nobody waits
	idle    chan struct{} // closed when everything was sent; nil when nobody waits
	err     error         // why the link was closed
}

// admit accounts for a frame, or says why it must not be queued. Call with mu held.
func (q *queue) admit(h *Header, payload int) error {
	if q.err != nil {
		return q.err
	}
	size := HeaderSize + payload
	if credited(h.Kind) {
		size = charge(payload)
		if q.credit+size > CreditBytes {
			return ErrFull
		}
		q.credit += size
		q.measure()
		return nil
	}
	frames, bytes := q.limits.QueueFrames, q.limits.QueueBytes
	if h.Kind != Request && (h.Kind != Cancel || payload == 0) { // an answer that is refused would leave a call without its end
		frames, bytes = max(AnswerFrames, frames), 2*bytes
		if window(h.Kind) { // in a pipe, which has no lane for it
			frames, bytes = frames/4*3, bytes/4*3
		}
	}
	if q.frames+1 > frames || q.bytes+size > bytes || shared(h) && !q.shares.admit(q, h.Peer, size) {
		return ErrFull
	}
	q.frames++
	q.bytes += size
	q.measure()
	return nil
}

// taken gives back what admit accounted for. Call with mu held.
func (q *queue) taken(frames, bytes, credit int) {
	q.frames -= frames
	q.bytes -= bytes
	q.credit -= credit
	q.left += uint64(bytes + credit)
	q.measure()
	q.shares.taken(q, frames)
	if q.room != nil && q.roomy() {
		close(q.room)
		q.room = nil
	}
}

// roomy reports whether half of the room is free. Call with mu held.
func (q *queue) roomy() bool {
	return q.frames <= q.limits.QueueFrames/2 && q.bytes <= q.limits.QueueBytes/2
}

// waitRoom is [Link.Room].
func (q *queue) waitRoom() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.room == nil {
		q.room = make(chan struct{})
		if q.err != nil || q.roomy() {
			c := q.room
			close(c)
			q.room = nil
			return c
		}
	}
	return q.room
}

// end records why the link is closed, once, and wakes who waits for room. Call with mu held.
func (q *queue) end(err error) bool {
	if q.err != nil {
		return false
	}
	if err == nil {
		err = ErrClosed
	}
	q.err = err
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	q.rest()
	return true
}

// rest wakes who waits for everything to be sent. Call with mu held.
func (q *queue) rest() {
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// waitIdle returns the channel that rest closes. Call with mu held.
func (q *queue) waitIdle() <-chan struct{} {
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	return q.idle
}

// bulkEntry is one frame or one source in the bulk lane.
type bulkEntry struct {
	after  uint64 // small frames that must be taken first
	source Source
	frame  Frame
	since  time.Time // when a Request came
}

// ring is a first-in-first-out list of bulk entries that keeps its memory.
type ring struct {
	items []bulkEntry
	head  int
}

func (r *ring) len() int { return len(r.items) - r.head }

func (r *ring) push(e bulkEntry) {
	if r.head > 0 && len(r.items) == cap(r.items) {
		n := copy(r.items, r.items[r.head:])
		clear(r.items[n:])
		r.items, r.head = r.items[:n], 0
	}
	r.items = append(r.items, e)
}

func (r *ring) peek() *bulkEntry { return &r.items[r.head] }

func (r *ring) pop() bulkEntry {
	e := r.items[r.head]
	r.items[r.head] = bulkEntry{}
	if r.head++; r.head == len(r.items) {
		r.items, r.head = r.items[:0], 0
		if cap(r.items) > 1024 { // a burst is over
			r.items = nil
		}
	}
	return e
}
