package controller

import "sync"

// remarks are lines for the log that are due while a lock is held. The log is the user's: what it calls may need that lock, and nobody should wait for it. So they are written when the lock is
// let go, which guards them.
type remarks []func()

func (r *remarks) add(write func()) { *r = append(*r, write) }

// unlock lets the lock go and writes them.
func (r *remarks) unlock(mu *sync.Mutex) {
	list := *r
	*r = nil
	mu.Unlock()
	for _, write := range list {
		write()
	}
}

// unlock is what ends a critical section in which there may be remarks.
func (c *Controller) unlock() { c.remarks.unlock(&c.mu) }

func (q *scheduler) unlock() { q.remarks.unlock(&q.mu) }
