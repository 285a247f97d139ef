package transport

import (
	"sync/atomic"
	"time"
)

// Limits bound what waits in a link for its peer (LIM-14), and what is kept for one that resumes (LIM-27). Zero stands for the default.
type Limits struct {
	QueueBytes   int           // of everything that no credit covers
	QueueFrames  int           // the same, counted
	KeptBytes    int           // until the peer has acknowledged it
	StallTimeout time.Duration // for which the peer may take nothing
	Meter        *Meter        // gets what is queued; nil for none
}

func (l *Limits) setDefaults() {
	or(&l.QueueBytes, QueueBytes)
	or(&l.QueueFrames, QueueFrames)
	or(&l.KeptBytes, KeepLink)
	or(&l.StallTimeout, StallTimeout)
}

func or[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// Limit sets the limits of what l sends. It is called before Start; links that are not of this package keep their own.
func Limit(l Link, to Limits) {
	to.setDefaults()
	switch l := l.(type) {
	case *conn:
		l.w.q.limits, l.w.q.meter = to, to.Meter
	case *pipeEnd:
		in := &l.peer.in
		in.mu.Lock()
		in.limits, in.meter = to, to.Meter
		in.mu.Unlock()
	}
}

// A Meter adds up what the queues that share it hold, with payloads and headers. A queue tells of what it holds in steps of 64 KiB, so that small ones cost nothing: the
// sum is too low by less than that for each.
type Meter struct {
	held  atomic.Int64
	above int64
	tell  func()
}

// NewMeter returns one that calls tell, which must not block or take a link's lock, each time that a queue that has grown finds more than that many bytes altogether.
func NewMeter(above int64, tell func()) *Meter { return &Meter{above: above, tell: tell} }

// Held is the sum in bytes.
func (m *Meter) Held() int64 { return m.held.Load() }

const meterStep = 64 << 10

// measure tells the meter of what is queued, if that has changed by a step. Call with mu held.
func (q *queue) measure() {
	if q.meter == nil {
		return
	}
	now := q.bytes + q.credit
	if d := now - q.metered; d >= meterStep || d <= -meterStep || d < 0 && now == 0 {
		q.tellMeter(now)
	}
}

func (q *queue) tellMeter(now int) {
	grown := now > q.metered
	held := q.meter.held.Add(int64(now - q.metered))
	q.metered = now
	if grown && held > q.meter.above {
		q.meter.tell()
	}
}

// unmeasure takes what is left off the meter, of a queue that is given up. Call with mu held.
func (q *queue) unmeasure() {
	if q.meter != nil && q.metered != 0 {
		q.tellMeter(0)
	}
	q.meter = nil
}
