package daffi

import (
	"sync"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// assemblies is the room that a session has for large messages that are on their way to it. What is announced waits for its turn
// and holds nothing meanwhile.
//
// A message that is larger than all of the room takes a part of it, for what may be on its way at a time, and memory of its own for the rest. There
// is one of that kind at a time, so that the memory of all is bounded by the room and the largest message.
type assemblies struct {
	mu    sync.Mutex
	free  int
	vast  bool // one that is larger than the room has its turn
	queue []*assembly
	end   bool
}

// assembly is one large message on its way. The reader alone adds to it.
type assembly struct {
	of      *assemblies // set when it is made
	total   int
	flags   transport.Flags
	grant   func(n int) // sends a Grant of n bytes more; called without the assemblies' lock
	granted int         // bytes; protected by of.mu, like what follows
	dropped bool
	buf     *transport.Buffer
	counted *atomic.Int64 // where it counts until it is complete, or dropped; nil for nowhere
}

// count has it count in n until it is complete, or dropped.
func (a *assembly) count(n *atomic.Int64) {
	a.counted = n
	n.Add(1)
}

// uncount is the end of that. Call with the lock held.
func (a *assembly) uncount() {
	if a.counted != nil {
		a.counted.Add(-1)
		a.counted = nil
	}
}

// newAssembly is a message of total bytes that was announced for a call; its Grants go to that call.
func (s *session) newAssembly(call uint64, total int, flags transport.Flags) *assembly {
	return &assembly{of: &s.assemblies, total: total, flags: flags, grant: func(n int) {
		if n == total {
			n = 0 // all of it
		}
		s.send(transport.Frame{Header: transport.Header{Kind: transport.Grant, Call: call, Arg: uint64(n)}})
	}}
}

// vast reports whether the message is larger than all of the room.
func (a *assembly) vast() bool { return a.total > assemblyBudget+maxWrap }

// room is what the message takes of it.
func (a *assembly) room() int {
	if a.vast() {
		return vastStep
	}
	return a.total
}

// reserve queues a for its turn.
func (as *assemblies) reserve(a *assembly) {
	as.mu.Lock()
	if as.end {
		as.mu.Unlock()
		return
	}
	as.queue = append(as.queue, a)
	ready := as.next()
	as.mu.Unlock()
	grantAll(ready)
}

// next takes those that have room now. Call with the lock held.
func (as *assemblies) next() (ready []*assembly) {
	waiting := as.queue[:0]
	for i, a := range as.queue {
		if a.dropped {
			continue
		}
		if a.vast() && as.vast { // those behind it need not wait
			waiting = append(waiting, a)
			continue
		}
		if a.room() > as.free {
			waiting = append(waiting, as.queue[i:]...)
			break
		}
		as.free -= a.room()
		as.vast = as.vast || a.vast()
		a.granted = a.room()
		ready = append(ready, a)
	}
	clear(as.queue[len(waiting):])
	as.queue = waiting
	return ready
}

func grantAll(ready []*assembly) {
	for _, a := range ready {
		a.grant(a.room())
	}
}

// add appends a chunk. last is set when the message is complete; ok is false when it is not what was announced and granted.
func (a *assembly) add(f *transport.Frame) (last, ok bool) {
	more, last, ok := a.append(f.Payload, f.Flags&transport.More != 0)
	if more > 0 {
		a.grant(more)
	}
	return last, ok
}

// append is add without the grant: of more bytes, if there is something to grant.
func (a *assembly) append(chunk []byte, follows bool) (more int, last, ok bool) {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	have := 0
	if a.buf != nil {
		have = len(a.buf.B)
	}
	if a.dropped {
		return 0, false, true
	}
	if len(chunk) > a.granted-have {
		return 0, false, false
	}
	if a.buf == nil {
		a.buf = transport.NewBuffer(a.total)
	}
	a.buf.B = append(a.buf.B, chunk...)
	have = len(a.buf.B)
	if left := a.granted - have; left <= vastStep/2 {
		more = min(a.total-a.granted, vastStep-left)
		a.granted += more
	}
	if follows {
		return more, false, have < a.total
	}
	return 0, true, have == a.total
}

// take hands over the complete message; drop still has to be called when it was decoded.
func (a *assembly) take() *transport.Buffer {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	b := a.buf
	a.buf = nil
	a.uncount()
	return b
}

// drop gives the room back, and the buffer if nobody has taken it. It may be called more than once.
func (a *assembly) drop() {
	as := a.of
	as.mu.Lock()
	if a.dropped {
		as.mu.Unlock()
		return
	}
	a.dropped = true
	a.uncount()
	if a.granted > 0 {
		as.free += a.room()
		if a.vast() {
			as.vast = false
		}
	}
	if a.buf != nil {
		a.buf.Release()
		a.buf = nil
	}
	ready := as.next()
	as.mu.Unlock()
	grantAll(ready)
}

// crowded reports whether less than half of the room is left: then nothing is fetched ahead of its consumer.
func (as *assemblies) crowded(a *assembly) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.free-a.room() < assemblyBudget/2
}

// close drops all that waits.
func (as *assemblies) close() {
	as.mu.Lock()
	as.end = true
	as.queue = nil
	as.mu.Unlock()
}

// largeSender sends one large request or reply in chunks, once it was granted.
type largeSender struct {
	link transport.Link
	head transport.Header // of every chunk
	buf  *transport.Buffer
	done func()

	mu      sync.Mutex
	off     int
	allowed int // up to where it was granted
	closed  bool
	queued  bool
}

// newLarge keeps a reference to buf. done, if it is not nil, is called when the last chunk was taken.
func newLarge(link transport.Link, call uint64, buf *transport.Buffer, done func()) *largeSender {
	return &largeSender{link: link, buf: buf.Retain(), done: done,
		head: transport.Header{Kind: transport.Chunk, Flags: transport.Bulk, Call: call}}
}

// announce enqueues the frame with that header in place of the message.
func (l *largeSender) announce(h transport.Header) error {
	h.Flags |= transport.Large | transport.Bulk
	return l.link.Enqueue(transport.Frame{Header: h, Payload: transport.AppendAnnounced(nil, len(l.buf.B))})
}

// granted lets n bytes more go, or all of them if n is 0.
func (l *largeSender) granted(n uint64) {
	l.mu.Lock()
	if l.closed { // the buffer is another's
		l.mu.Unlock()
		return
	}
	l.allowed = allow(l.allowed, n, len(l.buf.B))
	start := !l.queued && l.off < l.allowed
	l.queued = l.queued || start
	l.mu.Unlock()
	if start {
		l.link.EnqueueSource(l)
		l.link.FlushSoon()
	}
}

// allow is up to where a message may be sent once n bytes more were granted: all size of it if n is 0.
func allow(before int, n uint64, size int) int {
	if n == 0 || n > uint64(size-before) {
		return size
	}
	return before + int(n)
}

// NextFrame implements [transport.Source].
func (l *largeSender) NextFrame() (f transport.Frame, more, ok bool) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return f, false, false
	}
	f, l.off = chunk(l.head, l.buf, l.off, l.allowed)
	more = l.off < l.allowed
	l.queued = more
	last := l.off == len(l.buf.B)
	if last {
		l.closed = true
		l.buf.Release()
	}
	l.mu.Unlock()
	if last && l.done != nil {
		l.done()
	}
	return f, more, true
}

// Prompt says that NextFrame takes no time.
func (l *largeSender) Prompt() bool { return true }

// sent reports whether there is nothing left to be granted.
func (l *largeSender) sent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// chunk is the next piece of what buf holds from off to limit, and the offset behind it.
func chunk(h transport.Header, buf *transport.Buffer, off, limit int) (transport.Frame, int) {
	end := min(off+transport.MaxContent, limit)
	if end < len(buf.B) {
		h.Flags |= transport.More
	}
	return transport.Frame{Header: h, Payload: buf.B[off:end:end], Buf: buf.Retain()}, end
}

// close forgets what was not sent. It may be called more than once.
func (l *largeSender) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.buf.Release()
	}
}

// hint is how large the buffer of the next message of a method is made, after one of that size. A message that was larger than what is reused grew
// into a buffer of its own, and will again.
func hint(size int) int32 {
	if size > maxHint {
		return 0
	}
	return int32(size)
}
