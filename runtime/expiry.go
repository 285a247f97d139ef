package daffi

import (
	"sync"
	"sync/atomic"
	"time"
)

// expiry ends the calls of a session whose deadlines daffi itself has set, by one timer for all of them: it stands at the earliest deadline, so
// calls that end before cost a comparison.
type expiry struct {
	next atomic.Int64 // when the timer fires, in nanoseconds since start; 0: it does not

	mu     sync.Mutex
	start  time.Time
	timer  *time.Timer
	closed bool
}

// errExpired marks a call that the expiry has ended; its caller makes the error.
var errExpired = &Error{Code: DeadlineExceeded}

// expireAt lets the calls in the table end when their deadlines have passed, of which one is due. It must be in the table already.
func (s *session) expireAt(due time.Time) {
	x := &s.expiry
	if next := x.next.Load(); next != 0 && next <= int64(due.Sub(x.start)) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s.setExpiry(due)
}

// setExpiry sets the timer to due unless it stands at an earlier time. Call with the lock held.
func (s *session) setExpiry(due time.Time) {
	x := &s.expiry
	at := max(int64(due.Sub(x.start)), 1)
	if next := x.next.Load(); x.closed || next != 0 && next <= at {
		return
	}
	x.next.Store(at)
	if x.timer == nil {
		x.timer = time.AfterFunc(time.Until(due), s.expire)
	} else {
		x.timer.Reset(time.Until(due))
	}
}

// expire ends the calls that are due. A call that comes into the table while it looks finds next at 0, and waits for the lock to set it.
func (s *session) expire() {
	x := &s.expiry
	x.mu.Lock()
	x.next.Store(0)
	due, next := s.calls.expired(time.Now())
	if !next.IsZero() {
		s.setExpiry(next)
	}
	x.mu.Unlock()
	for _, p := range due {
		p.fail(errExpired)
	}
}

// close stops the timer. The calls that are left have been ended.
func (x *expiry) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	if x.timer != nil {
		x.timer.Stop()
	}
}
