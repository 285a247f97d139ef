package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// writer sends frames over a connection. Whoever enqueues only appends to a block of bytes under a short lock; whoever finds the writer
// idle writes for all. A write that would wait is left to a goroutine that ends when there is nothing more to write, so a caller that must leave
// can leave, and a reader never waits for another connection.
type writer struct {
	conn *conn
	try  tryWriter
	wg   sync.WaitGroup

	q       queue
	keep    *keep // of a resumable link, else nil; with its own state guarded by q.mu
	control blocks
	small   blocks
	bulk    ring
	queued  uint64 // small frames enqueued so far
	drained uint64 // small frames handed to the system so far
	busy    bool   // somebody writes

	// Whoever is busy has these. They are kept so that a write does not allocate.
	load  load
	left  net.Buffers // what writeFull has to write
	spare net.Buffers // the memory of left
}

func (w *writer) init(c *conn) {
	w.conn = c
	w.q.limits.setDefaults()
	w.try.init(c.c)
}

func (w *writer) enqueue(f Frame) error {
	defer f.Release()
	if len(f.Payload) > MaxPayload {
		return ErrTooLong
	}
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	ln := laneOf(&f.Header)
	if ln == controlLane {
		if w.q.err != nil {
			return w.q.err
		}
		limit := ControlBytes
		if window(f.Kind) {
			limit = WindowBytes
		}
		if w.control.size > limit {
			return ErrFull
		}
		if f.Kind.Handshake() {
			w.control.addApart(&f.Header, f.Payload)
		} else {
			w.control.append(&f.Header, f.Payload)
		}
		return nil
	}
	if err := w.q.admit(&f.Header, len(f.Payload)); err != nil {
		return err
	}
	if ln == smallLane {
		w.small.append(&f.Header, f.Payload)
		w.queued++
		return nil
	}
	e := bulkEntry{after: w.queued, frame: f}
	if f.Kind == Request {
		e.since = time.Now()
	}
	if f.Buf == nil && len(f.Payload) > 0 {
		e.frame.Buf = NewBuffer(len(f.Payload))
		e.frame.Buf.B = append(e.frame.Buf.B, f.Payload...)
		e.frame.Payload = e.frame.Buf.B
	}
	f.Buf = nil // the entry has it
	w.bulk.push(e)
	return nil
}

func (w *writer) enqueueSource(s Source) {
	w.q.mu.Lock()
	if w.q.err == nil {
		w.bulk.push(bulkEntry{after: w.queued, source: s})
	}
	w.q.mu.Unlock()
}

// pending reports whether there is something to write. Call with the lock held.
func (w *writer) pending() bool {
	return len(w.control.list) > 0 || len(w.small.list) > 0 || w.bulk.len() > 0
}

// ready reports whether something may be written now. Call with the lock held.
func (w *writer) ready() bool {
	if w.keep == nil {
		return w.pending()
	}
	return w.keep.ready()
}

// How many blocks, and turns of the bulk lane, a goroutine that flushes writes itself before it leaves the rest to another.
const (
	inlineWrites = 8
	inlineTurns  = 2
)

// flush writes what is there without waiting. Sources that may have work to do are left to a goroutine of their own.
func (w *writer) flush() {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.busy || w.q.err != nil || !w.ready() {
		return
	}
	w.busy = true
	if !w.flushBlocks() || w.bulk.len() > 0 && w.try.vectored() && !w.flushBulk() {
		return // somebody else goes on
	}
	if w.q.err == nil && w.ready() {
		w.wg.Go(w.drainAll)
		return
	}
	w.rest()
}

// flushBlocks writes blocks of the control and the small lane. It reports false when a goroutine has taken over. Call with the lock held and busy;
// it is released meanwhile.
func (w *writer) flushBlocks() bool {
	for range inlineWrites {
		b := w.takeBlock()
		if b.buf == nil {
			break
		}
		w.q.mu.Unlock()
		n, err := w.try.write(b.buf.B)
		if err != nil && !errors.Is(err, errWouldBlock) {
			w.conn.fail(err)
			w.q.mu.Lock()
			w.wrote(b)
			break
		}
		w.q.mu.Lock()
		if err != nil && w.q.err == nil {
			w.drainFrom(b, n)
			return false
		}
		w.wrote(b)
	}
	return true
}

// flushBulk is flushBlocks for the bulk lane.
func (w *writer) flushBulk() bool {
	for range inlineTurns {
		if w.q.err != nil || !w.gather(true) {
			break
		}
		w.q.mu.Unlock()
		n, err := w.try.writev(w.load.bufs, w.load.size())
		if err != nil && !errors.Is(err, errWouldBlock) {
			w.conn.fail(err)
		}
		w.q.mu.Lock()
		if err != nil && w.q.err == nil {
			w.wg.Go(func() {
				w.writeTurn(n)
				w.drainAll()
			})
			return false
		}
		w.settle()
	}
	return true
}

// rest ends a round of writing. Call with the lock held.
func (w *writer) rest() {
	w.busy = false
	if w.keep != nil && !w.keep.rest() {
		return
	}
	w.q.rest()
}

// flushSoon is flush on another goroutine.
func (w *writer) flushSoon() {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.busy || w.q.err != nil || !w.ready() {
		return
	}
	w.busy = true
	w.wg.Go(w.drainAll)
}

// takeBlock takes the next block of the control or the small lane; it has no buffer if there is none. Call with the lock held.
func (w *writer) takeBlock() block {
	if w.keep == nil {
		return w.takeQueued()
	}
	return w.keep.takeBlock()
}

func (w *writer) takeQueued() (b block) {
	switch {
	case len(w.control.list) > 0:
		b = w.control.pop()
		b.counts, b.bytes = 0, 0 // the control lane has a bound of its own
	case len(w.small.list) > 0:
		b = w.small.pop()
		w.drained += uint64(b.frames)
		if !b.since.IsZero() {
			waited := time.Since(b.since)
			if waited > worthSubtracting {
				subtractWait(b.buf.B, waited)
			}
			b.since = b.since.Add(waited)
		}
	}
	return b
}

// worthSubtracting is how long a request must have waited here for its remaining time to be corrected (SEM-5).
const worthSubtracting = time.Millisecond

// subtractWait takes the time that frames have waited off the remaining time of the requests among them.
func subtractWait(frames []byte, waited time.Duration) {
	for len(frames) >= HeaderSize {
		if Kind(frames[4]) == Request {
			if left := binary.LittleEndian.Uint64(frames[24:]); left != 0 {
				binary.LittleEndian.PutUint64(frames[24:], shorten(left, waited))
			}
		}
		frames = frames[min(HeaderSize+int(binary.LittleEndian.Uint32(frames)), len(frames)):] // of what is kept, the last may be a header alone
	}
}

// shorten is what is left of a remaining time, at least a nanosecond: 0 would be none at all.
func shorten(left uint64, waited time.Duration) uint64 {
	if left <= uint64(waited) {
		return 1
	}
	return left - uint64(waited)
}

// wrote gives a block's room back. Call with the lock held.
func (w *writer) wrote(b block) {
	w.q.taken(b.counts, b.bytes, b.credit)
	b.buf.Release()
}

// drainFrom leaves what remains of b, and all that follows, to a goroutine.
func (w *writer) drainFrom(b block, written int) {
	w.wg.Go(func() {
		err := w.writeFull(net.Buffers{b.buf.B}, written)
		w.q.mu.Lock()
		w.wrote(b)
		w.q.mu.Unlock()
		if err != nil {
			w.conn.fail(err)
		}
		w.drainAll()
	})
}

// load is what was gathered for one write: batches of all lanes.
type load struct {
	bufs   net.Buffers
	held   []*Buffer
	heads  []byte
	frames int // what the queue's bounds get back
	bytes  int
	credit int
}

// size is how many bytes were gathered.
func (t *load) size() (n int) {
	for _, b := range t.bufs {
		n += len(b)
	}
	return n
}

// gather takes batches of all lanes, or of the bulk lane what can be had at once. Call with the lock held and busy; the lock is released while a
// source is asked. ok is false if there is nothing.
func (w *writer) gather(atOnce bool) (ok bool) {
	t := &w.load
	t.bufs, t.held, t.heads = t.bufs[:0], t.held[:0], t.heads[:0]
	t.frames, t.bytes, t.credit = 0, 0, 0
	for size := 0; size < writeBatch; {
		b := w.takeBlock()
		if b.buf == nil {
			break
		}
		size += len(b.buf.B)
		t.bufs, t.held = append(t.bufs, b.buf.B), append(t.held, b.buf)
		t.frames, t.bytes, t.credit = t.frames+b.counts, t.bytes+b.bytes, t.credit+b.credit
	}
	for size := 0; size < writeBatch && w.bulk.len() > 0 && w.bulk.peek().after <= w.drained && (w.keep == nil || w.keep.flows()); {
		if s := w.bulk.peek().source; s != nil && atOnce && !prompt(s) {
			break
		}
		e := w.bulk.pop()
		f := e.frame
		if e.source != nil {
			var more, ok bool
			w.q.mu.Unlock()
			f, more, ok = e.source.NextFrame()
			w.q.mu.Lock()
			if w.q.err != nil { // nothing may be added to what close has dropped
				f.Release()
				break
			}
			if more {
				w.bulk.push(bulkEntry{after: w.drained, source: e.source})
			}
			if !ok {
				continue
			}
		}
		at := len(t.heads)
		size += t.add(&f, &e)
		if w.keep != nil {
			w.keep.addFrame(t.heads[at:], &f)
		}
	}
	return len(t.bufs) > 0
}

// prompt reports whether a source has its next frame at hand.
func prompt(s Source) bool {
	p, ok := s.(interface{ Prompt() bool })
	return ok && p.Prompt()
}

// add takes a frame of the bulk lane and returns its size.
func (t *load) add(f *Frame, e *bulkEntry) int {
	n := HeaderSize + len(f.Payload)
	if f.Kind == Request && f.Arg != 0 && !e.since.IsZero() {
		f.Arg = shorten(f.Arg, time.Since(e.since))
	}
	switch {
	case e.source != nil:
	case credited(f.Kind):
		t.credit += charge(len(f.Payload))
	default:
		t.frames, t.bytes = t.frames+1, t.bytes+n
	}
	at := len(t.heads)
	t.heads = AppendHeader(t.heads, &f.Header, len(f.Payload))
	t.bufs = append(t.bufs, t.heads[at:len(t.heads):len(t.heads)])
	if len(f.Payload) > 0 {
		t.bufs = append(t.bufs, f.Payload)
	}
	if f.Buf != nil {
		t.held = append(t.held, f.Buf)
	}
	return n
}

// settle gives back what was gathered, once it was written or there is no use in it. Call with the lock held.
func (w *writer) settle() {
	t := &w.load
	for i, b := range t.held {
		b.Release()
		t.held[i] = nil
	}
	clear(t.bufs[:cap(t.bufs)])
	w.q.taken(t.frames, t.bytes, t.credit)
}

// drainAll writes batches of all lanes until there is nothing left.
func (w *writer) drainAll() {
	for {
		w.q.mu.Lock()
		if w.q.err != nil || !w.ready() {
			w.try.calm()
			w.rest()
			w.q.mu.Unlock()
			return
		}
		w.gather(false)
		w.q.mu.Unlock()
		w.writeTurn(0)
	}
}

// writeTurn writes what was gathered, but for the bytes that are written already.
func (w *writer) writeTurn(written int) {
	err := w.writeFull(w.load.bufs, written)
	w.q.mu.Lock()
	w.settle()
	w.q.mu.Unlock()
	if err != nil {
		w.conn.fail(err)
	}
}

// writeFull writes what bufs hold behind the bytes that are written already, waiting for the peer as long as it takes something now and then: looked
// at twice in the limit for that.
func (w *writer) writeFull(bufs net.Buffers, written int) error {
	if t := w.try.tls; t != nil {
		if written > 0 { // or rather encrypted, and that is all or nothing
			bufs = nil
		}
		return t.writeFull(bufs, w.q.limits.StallTimeout)
	}
	w.left = append(w.spare[:0], bufs...)
	w.spare = w.left
	for written > 0 {
		n := min(written, len(w.left[0]))
		if w.left[0] = w.left[0][n:]; len(w.left[0]) == 0 {
			w.left = w.left[1:]
		}
		written -= n
	}
	defer clear(w.spare)
	var taken progress
	for len(w.left) > 0 {
		w.conn.c.SetWriteDeadline(time.Now().Add(w.q.limits.StallTimeout / 2))
		if err := taken.after(w.left.WriteTo(w.conn.c)); err != nil {
			return err
		}
	}
	return nil
}

// progress tells a peer that takes something now and then from one that is stalled: it is looked at twice in the limit for that.
type progress struct{ idle int }

// after is why no write follows one that ended like this, at the latest after half of the limit; nil if one does.
func (p *progress) after(n int64, err error) error {
	switch {
	case err == nil:
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case n > 0:
		p.idle = 0
	default:
		if p.idle++; p.idle == 2 {
			return ErrStalled
		}
	}
	return nil
}

func (w *writer) waitIdle() <-chan struct{} {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.q.err != nil || !w.busy && !w.pending() && (w.keep == nil || !w.keep.down.Load()) {
		return nil
	}
	return w.q.waitIdle()
}

// close drops what is queued and returns the connection that is left to close.
func (w *writer) close(err error) net.Conn {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	w.q.end(err)
	w.q.unmeasure()
	for _, bs := range []*blocks{&w.control, &w.small} {
		for _, b := range bs.list {
			b.buf.Release()
		}
		*bs = blocks{}
	}
	for w.bulk.len() > 0 {
		e := w.bulk.pop()
		e.frame.Release()
	}
	if w.keep != nil {
		w.keep.close()
	}
	return w.conn.c
}

func (w *writer) reason() error {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	return w.q.err
}
