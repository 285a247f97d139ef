package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
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
	control blocks
	small   blocks
	bulk    ring
	queued  uint64 // small frames enqueued so far
	drained uint64 // small frames handed to the system so far
	busy    bool   // somebody writes

	// What drainAll gathers for one write; it runs once at a time, and these are kept so that it does not allocate.
	bufs  net.Buffers
	held  []*Buffer
	heads []byte
}

// blocks is a lane of encoded frames.
type blocks struct {
	list []block
	size int
}

type block struct {
	buf    *Buffer
	since  time.Time // when its first Request came; zero if there is none
	frames int       // all
	counts int       // those that the queue's bound counts
	bytes  int
	credit int // bytes of the others, which credit or a grant covers
}

const blockSize = MaxContent

func (bs *blocks) append(h *Header, payload []byte) {
	size := HeaderSize + len(payload)
	var last *block
	if n := len(bs.list); n > 0 {
		last = &bs.list[n-1]
	}
	switch {
	case last != nil && len(last.buf.B)+size <= cap(last.buf.B):
	case last != nil && cap(last.buf.B) < blockSize && len(last.buf.B)+size <= blockSize:
		big := NewBuffer(blockSize)
		big.B = append(big.B, last.buf.B...)
		last.buf.Release()
		last.buf = big
	case last == nil:
		last = bs.add(max(size, 4<<10))
	default:
		last = bs.add(max(size, blockSize))
	}
	last.buf.B = AppendFrame(last.buf.B, h, payload)
	last.frames++
	bs.size += size
	if h.Kind == Request && last.since.IsZero() {
		last.since = time.Now()
	}
	if credited(h.Kind) {
		last.credit += size
	} else {
		last.counts++
		last.bytes += size
	}
}

func (bs *blocks) add(size int) *block {
	bs.list = append(bs.list, block{buf: NewBuffer(size)})
	return &bs.list[len(bs.list)-1]
}

func (bs *blocks) pop() block {
	b := bs.list[0]
	copy(bs.list, bs.list[1:])
	bs.list[len(bs.list)-1] = block{}
	bs.list = bs.list[:len(bs.list)-1]
	bs.size -= len(b.buf.B)
	return b
}

func (w *writer) init(c *conn) {
	w.conn = c
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
		w.control.append(&f.Header, f.Payload)
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

// inlineWrites is how many blocks a goroutine that flushes writes itself before it leaves the rest to another.
const inlineWrites = 8

// flush writes what is there without waiting. Only bytes are written here: bulk frames and sources, which may have work to do, are left to a
// goroutine of their own.
func (w *writer) flush() {
	w.q.mu.Lock()
	if w.busy || w.q.err != nil || !w.pending() {
		w.q.mu.Unlock()
		return
	}
	w.busy = true
	for range inlineWrites {
		b := w.takeBlock()
		if b.buf == nil {
			break
		}
		w.q.mu.Unlock()
		n, err := w.try.write(b.buf.B)
		if err != nil && !errors.Is(err, errWouldBlock) {
			b.buf.Release()
			w.conn.Close(err)
			w.q.mu.Lock()
			break
		}
		w.q.mu.Lock()
		if n < len(b.buf.B) && w.q.err == nil {
			w.drainFrom(b, n)
			w.q.mu.Unlock()
			return
		}
		w.wrote(b)
	}
	if w.q.err == nil && w.pending() {
		w.wg.Go(w.drainAll)
		w.q.mu.Unlock()
		return
	}
	w.rest()
	w.q.mu.Unlock()
}

// rest ends a round of writing. Call with the lock held.
func (w *writer) rest() {
	w.busy = false
	w.q.rest()
}

// flushSoon is flush on another goroutine.
func (w *writer) flushSoon() {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.busy || w.q.err != nil || !w.pending() {
		return
	}
	w.busy = true
	w.wg.Go(w.drainAll)
}

// takeBlock takes the next block of the control or the small lane; it has no buffer if there is none. Call with the lock held.
func (w *writer) takeBlock() (b block) {
	switch {
	case len(w.control.list) > 0:
		b = w.control.pop()
		b.counts, b.bytes = 0, 0 // the control lane has a bound of its own
	case len(w.small.list) > 0:
		b = w.small.pop()
		w.drained += uint64(b.frames)
		if !b.since.IsZero() {
			if waited := time.Since(b.since); waited > worthSubtracting {
				subtractWait(b.buf.B, waited)
			}
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
		frames = frames[HeaderSize+int(binary.LittleEndian.Uint32(frames)):]
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
		err := w.writeFull(net.Buffers{b.buf.B[written:]})
		w.q.mu.Lock()
		w.wrote(b)
		w.q.mu.Unlock()
		if err != nil {
			w.conn.Close(err)
		}
		w.drainAll()
	})
}

// drainAll writes batches of all lanes until there is nothing left.
func (w *writer) drainAll() {
	for {
		bufs, held, heads := w.bufs[:0], w.held[:0], w.heads[:0]
		frames, bytes, credit := 0, 0, 0
		w.q.mu.Lock()
		if w.q.err != nil || !w.pending() {
			w.try.calm()
			w.rest()
			w.q.mu.Unlock()
			return
		}
		for size := 0; size < writeBatch; {
			b := w.takeBlock()
			if b.buf == nil {
				break
			}
			size += len(b.buf.B)
			bufs, held = append(bufs, b.buf.B), append(held, b.buf)
			frames, bytes, credit = frames+b.counts, bytes+b.bytes, credit+b.credit
		}
		for size := 0; size < writeBatch && w.bulk.len() > 0 && w.bulk.peek().after <= w.drained; {
			e := w.bulk.pop()
			f, more, fromSource := e.frame, false, e.source != nil
			if fromSource {
				var ok bool
				w.q.mu.Unlock()
				f, more, ok = e.source.NextFrame()
				w.q.mu.Lock()
				if more {
					w.bulk.push(bulkEntry{after: w.drained, source: e.source})
				}
				if !ok {
					continue
				}
			}
			n := HeaderSize + len(f.Payload)
			size += n
			if f.Kind == Request && f.Arg != 0 && !e.since.IsZero() {
				f.Arg = shorten(f.Arg, time.Since(e.since))
			}
			if !fromSource {
				if credited(f.Kind) {
					credit += n
				} else {
					frames, bytes = frames+1, bytes+n
				}
			}
			at := len(heads)
			heads = AppendHeader(heads, &f.Header, len(f.Payload))
			bufs = append(bufs, heads[at:len(heads):len(heads)])
			if len(f.Payload) > 0 {
				bufs = append(bufs, f.Payload)
			}
			if f.Buf != nil {
				held = append(held, f.Buf)
			}
		}
		w.q.mu.Unlock()

		w.bufs, w.held, w.heads = bufs, held, heads
		err := w.writeFull(bufs)
		for i, b := range held {
			b.Release()
			held[i] = nil
		}
		clear(w.bufs[:cap(w.bufs)])
		w.q.mu.Lock()
		w.q.taken(frames, bytes, credit)
		w.q.mu.Unlock()
		if err != nil {
			w.conn.Close(err)
		}
	}
}

// writeFull writes all of bufs, waiting for the peer as long as it takes something now and then: looked at twice in StallTimeout.
func (w *writer) writeFull(bufs net.Buffers) error {
	idle := 0
	for len(bufs) > 0 {
		w.conn.c.SetWriteDeadline(time.Now().Add(StallTimeout / 2))
		n, err := bufs.WriteTo(w.conn.c)
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case n > 0:
			idle = 0
		default:
			if idle++; idle == 2 {
				return ErrStalled
			}
		}
	}
	return nil
}

func (w *writer) waitIdle() <-chan struct{} {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.q.err != nil || !w.busy && !w.pending() {
		return nil
	}
	return w.q.waitIdle()
}

// close drops what is queued.
func (w *writer) close(err error) {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if !w.q.end(err) {
		return
	}
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
}

func (w *writer) reason() error {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	return w.q.err
}

var errWouldBlock = errors.New("write would block")

// tryWriter writes to a connection without waiting, where its descriptor can be had.
type tryWriter struct {
	c   net.Conn
	raw syscall.RawConn
	fn  func(fd uintptr) bool // made once, so that a write does not allocate
	b   []byte
	n   int
	err error
}

func (t *tryWriter) init(c net.Conn) {
	t.c = c
	if sc, ok := c.(syscall.Conn); ok && canTryWrite {
		if raw, err := sc.SyscallConn(); err == nil {
			t.raw = raw
			t.fn = func(fd uintptr) bool { t.n, t.err = tryWrite(fd, t.b); return true }
		}
	}
}

// write writes what the system takes now. It returns errWouldBlock with what was not written left to the caller.
func (t *tryWriter) write(b []byte) (int, error) {
	if t.raw == nil {
		return 0, errWouldBlock
	}
	t.b, t.n, t.err = b, 0, nil
	err := t.raw.Write(t.fn)
	t.b = nil
	if err == nil {
		err = t.err
	}
	if err != nil {
		return max(t.n, 0), err
	}
	if t.n < len(b) {
		return t.n, errWouldBlock
	}
	return t.n, nil
}

// calm removes the deadline that waiting writes have set, which would fail a later write that does not wait.
func (t *tryWriter) calm() { t.c.SetWriteDeadline(time.Time{}) }
