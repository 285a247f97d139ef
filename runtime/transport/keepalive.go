package transport

import (
	"sync"
	"time"
)

// Keepalive pings a silent peer and closes the link of a dead one (LIM-17). Both sides of a link have one.
type Keepalive struct {
	link       Link
	ping, dead time.Duration
	stop       time.Duration // of this process, after which the peer may hold it for dead

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	asked   time.Time // when the last Ping was sent, zero before
}

// NewKeepalive watches l from now on: it sends a Ping whenever nothing was received for ping, unless one is unanswered, and closes the link with
// [ErrSilent] when nothing was received for dead, or this process did not run for stop. It needs no goroutine; the handler stops it when the link is closed.
func NewKeepalive(l Link, ping, dead, stop time.Duration) *Keepalive {
	k := &Keepalive{link: l, ping: ping, dead: dead, stop: stop}
	l.Awake(stop)
	k.mu.Lock()
	k.timer = time.AfterFunc(k.next(l.Silence()), k.tick)
	k.mu.Unlock()
	return k
}

// Stop ends it. It does not wait for a tick that is under way, so a handler may call it.
func (k *Keepalive) Stop() {
	k.mu.Lock()
	k.stopped = true
	k.timer.Stop()
	k.mu.Unlock()
}

// next is the time until there is something to look at again.
func (k *Keepalive) next(silence time.Duration) time.Duration {
	d := k.ping - silence
	if d <= 0 {
		d = min(k.ping, k.dead-silence)
	}
	return max(d, time.Millisecond)
}

func (k *Keepalive) tick() {
	silence := k.link.Silence()
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		return
	}
	if silence >= k.dead {
		c, resumes := resumable(k.link)
		if resumes { // it goes on, if it does not end
			k.timer.Reset(k.ping)
		} else {
			k.stopped = true
		}
		k.mu.Unlock()
		if resumes {
			c.silent(k.dead)
		} else {
			k.link.Close(ErrSilent)
		}
		return
	}
	ask := silence >= k.ping && (k.asked.IsZero() || silence <= time.Since(k.asked))
	if ask {
		k.asked = time.Now()
	}
	k.timer.Reset(k.next(silence))
	k.mu.Unlock()
	k.link.Awake(k.stop)
	if !ask {
		return
	}
	if err := k.link.Enqueue(Frame{Header: Header{Kind: Ping}}); err == ErrFull {
		k.link.Close(err)
		return
	}
	k.link.Flush()
}
