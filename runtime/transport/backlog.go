package transport

import "time"

// A Backlog tells how long a link's peer needs for what is held for it. [StallTimeout] is about peers that take nothing at all; one that takes a byte now and then is seen here.
// The zero value is ready to use, for one link.
type Backlog struct {
	since time.Time
	taken uint64 // of the queue, once nothing of what waited then waits any more
	acked uint64 // the offset up to which a link that resumes had sent
}

// Look returns what is held for l's peer, in bytes, and for how long, as seen since the first look, part of it has been waiting at least: for the peer to take it, or to acknowledge it where the link resumes.
func (b *Backlog) Look(l Link, now time.Time) (held int, waits time.Duration) {
	var q *queue
	switch l := l.(type) {
	case *conn:
		q = &l.w.q
	case *pipeEnd:
		q = &l.peer.in
	default:
		return 0, 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	held = q.bytes + q.credit
	taken, acked, sent := q.left, uint64(0), uint64(0)
	if c, ok := l.(*conn); ok && c.w.keep != nil {
		k := c.w.keep
		held += k.bytes
		acked, sent = k.acked, k.sent
	}
	if b.since.IsZero() || taken >= b.taken && acked >= b.acked {
		*b = Backlog{since: now, taken: taken + uint64(q.bytes+q.credit), acked: sent}
	}
	return held, now.Sub(b.since)
}
