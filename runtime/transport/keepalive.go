package transport

import (
	"sync"
	"time"
)

// Keepalive pings a silent peer and closes the link of a dead one (LIM-17). Both sides of a link have one.
type Keepalive struct {
	link Link
	o    KeepaliveOptions

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	asked   time.Time // when the last Ping was sent, zero before
}

// KeepaliveOptions of a link. Whoever keeps many alive gives them the same Grid.
type KeepaliveOptions struct {
	Ping time.Duration // of silence, after which the peer is asked
	Dead time.Duration // of silence, after which it is dead
	Stop time.Duration // of this process, after which the peer may hold it for dead
	Grid time.Duration // at whose multiples the peer is asked, so that one waking of the process serves many links: by so much later at the most. 0 for none
}

// NewKeepalive watches l from now on: it sends a Ping whenever nothing was received for o.Ping, unless one is unanswered, and closes the link with
// [ErrSilent] when nothing was received for o.Dead, or this process did not run for o.Stop. It needs no goroutine; the handler stops it when the link is closed.
func NewKeepalive(l Link, o KeepaliveOptions) *Keepalive {
	k := &Keepalive{link: l, o: o}
	l.Awake(o.Stop)
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
	d := k.o.Ping - silence
	if d <= 0 {
		d = k.o.Ping
	}
	if k.o.Grid > 0 {
		if over := time.Duration(time.Now().Add(d).UnixNano()) % k.o.Grid; over > 0 {
			d += k.o.Grid - over
		}
	}
	return max(min(d, k.o.Dead-silence), time.Millisecond)
}

func (k *Keepalive) tick() {
	silence := k.link.Silence()
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		return
	}
	if silence >= k.o.Dead {
		c, resumes := resumable(k.link)
		if resumes { // it goes on, if it does not end
			k.timer.Reset(k.o.Ping)
		} else {
			k.stopped = true
		}
		k.mu.Unlock()
		if resumes {
			c.silent(k.o.Dead)
		} else {
			k.link.Close(ErrSilent)
		}
		return
	}
	ask := silence >= k.o.Ping && (k.asked.IsZero() || silence <= time.Since(k.asked))
	if ask {
		k.asked = time.Now()
	}
	k.timer.Reset(k.next(silence))
	k.mu.Unlock()
	k.link.Awake(k.o.Stop)
	if !ask {
		return
	}
	if err := k.link.Enqueue(Frame{Header: Header{Kind: Ping}}); err == ErrFull {
		k.link.Close(err)
		return
	}
	k.link.Flush()
}
