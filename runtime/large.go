package daffi

import (
	"sync"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// assemblies is the room that a session has for large messages that are on their way to it. What is announced waits for its turn
// and holds nothing meanwhile.
type assemblies struct {
	mu    sync.Mutex
	free  int
	queue []*assembly
	end   bool
}

// assembly is one large message on its way. The reader alone adds to it.
type assembly struct {
	of      *assemblies // set when it is made
	total   int
	flags   transport.Flags
	grant   func() // sends the Grant; called without a lock, once
	granted bool
	dropped bool // protected by of.mu
	buf     *transport.Buffer
}

// newAssembly is a message of total bytes that was announced for a call; its Grant goes to that call.
func (s *session) newAssembly(call uint64, total int, flags transport.Flags) *assembly {
	return &assembly{of: &s.assemblies, total: total, flags: flags, grant: func() {
		s.send(transport.Frame{Header: transport.Header{Kind: transport.Grant, Call: call}})
	}}
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
	for len(as.queue) > 0 && (as.queue[0].dropped || as.queue[0].total <= as.free) {
		a := as.queue[0]
		as.queue = as.queue[1:]
		if a.dropped {
			continue
		}
		as.free -= a.total
		a.granted = true
		ready = append(ready, a)
	}
	return ready
}

func grantAll(ready []*assembly) {
	for _, a := range ready {
		a.grant()
	}
}

// add appends a chunk. last is set when the message is complete; ok is false when it is not what was announced.
func (a *assembly) add(f *transport.Frame) (last, ok bool) {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	have := 0
	if a.buf != nil {
		have = len(a.buf.B)
	}
	if a.dropped {
		return false, true
	}
	if !a.granted || len(f.Payload) > a.total-have {
		return false, false
	}
	if a.buf == nil {
		a.buf = transport.NewBuffer(a.total)
	}
	a.buf.B = append(a.buf.B, f.Payload...)
	if f.Flags&transport.More != 0 {
		return false, len(a.buf.B) < a.total
	}
	return true, len(a.buf.B) == a.total
}

// take hands over the complete message; drop still has to be called when it was decoded.
func (a *assembly) take() *transport.Buffer {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	b := a.buf
	a.buf = nil
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
	if a.granted {
		as.free += a.total
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
func (as *assemblies) crowded(total int) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.free-total < assemblyBudget/2
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

	mu     sync.Mutex
	off    int
	closed bool
	queued bool
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

// granted lets the chunks go.
func (l *largeSender) granted() {
	l.mu.Lock()
	start := !l.closed && !l.queued
	l.queued = true
	l.mu.Unlock()
	if start {
		l.link.EnqueueSource(l)
		l.link.FlushSoon()
	}
}

// NextFrame implements [transport.Source].
func (l *largeSender) NextFrame() (f transport.Frame, more, ok bool) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return f, false, false
	}
	f, l.off = chunk(l.head, l.buf, l.off)
	more = l.off < len(l.buf.B)
	if !more {
		l.closed = true
		l.buf.Release()
	}
	l.mu.Unlock()
	if !more && l.done != nil {
		l.done()
	}
	return f, more, true
}

// sent reports whether there is nothing left to be granted.
func (l *largeSender) sent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// chunk is the next piece of buf from off, and the offset behind it.
func chunk(h transport.Header, buf *transport.Buffer, off int) (transport.Frame, int) {
	end := min(off+transport.MaxContent, len(buf.B))
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
