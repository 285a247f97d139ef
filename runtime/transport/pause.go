package transport

import (
	"fmt"
	"sync/atomic"
	"time"
)

// ErrPaused: this process has not run for so long that the peer may hold it for dead.
var ErrPaused = fmt.Errorf("%w, or this process was stopped: it has not run for too long", ErrSilent)

// pause tells a connection that its process was stopped, by a signal or with its machine. What came meanwhile lies in the buffers of the system, and must not be handled
// when the process goes on: the peer has given the session up, and told callers so (SEM-5).
//
// Whoever keeps the link alive says now and then that the process runs. A read that comes long after that, and after the read before, is taken for one after a stop.
type pause struct {
	awake atomic.Int64 // when the process was last said to run, in nanoseconds since the connection's base
	most  atomic.Int64 // how long after that a read may come; 0: nobody says that it runs
	slept atomic.Bool  // it was found to have been stopped: nothing more is taken from this connection
}

// Awake implements [Link].
func (l *conn) Awake(most time.Duration) {
	now := time.Since(l.base)
	if l.overslept(now) {
		l.Close(ErrPaused)
		return
	}
	l.pause.awake.Store(int64(now))
	l.pause.most.Store(int64(most))
}

// overslept reports whether the process was stopped for too long, from then on for the whole connection.
func (l *conn) overslept(now time.Duration) bool {
	if l.pause.slept.Load() {
		return true
	}
	most := l.pause.most.Load()
	if most == 0 || int64(now)-max(l.pause.awake.Load(), l.heard.Load()) <= most {
		return false
	}
	l.pause.slept.Store(true)
	return true
}

// hear notes that something was read, unless it was read too late.
func (l *conn) hear() bool {
	now := time.Since(l.base)
	if l.overslept(now) {
		return false
	}
	l.heard.Store(int64(now))
	return true
}

// rouse begins to read from a connection.
func (l *conn) rouse() {
	l.pause.awake.Store(int64(time.Since(l.base)))
	l.pause.slept.Store(false)
}
