package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// NewConn returns a link over c, which it owns from now on. The deadlines of c must work, also for a Read or Write that is under way.
func NewConn(c net.Conn, info Info) Link {
	return newConn(c, info, nil)
}

// NewDialed is [NewConn] for the end that has dialed, and can again: only such a link can be resumed from here, see [OffersResume].
func NewDialed(c net.Conn, info Info, redial Redial) Link {
	return newConn(c, info, redial)
}

func newConn(c net.Conn, info Info, redial Redial) *conn {
	l := &conn{c: c, info: info, redial: redial, base: time.Now(), done: make(chan struct{})}
	l.limit.Store(MaxUnproven)
	l.r.resize(restRead)
	l.w.init(l)
	return l
}

// conn is a link over a stream connection: one goroutine reads, and whoever finds the writer idle writes.
type conn struct {
	c       net.Conn // another one after install, which has the locks of the queue and of the turns
	info    Info
	redial  Redial // nil if it was accepted
	keep    atomic.Pointer[keep]
	handler Handler
	limit   atomic.Int64
	heard   atomic.Int64 // time of the last read, in nanoseconds since base
	base    time.Time
	pause   pause
	w       writer
	lender  Lender // the handler, if it is one
	turns   turns

	// Of whoever reads, see turns.
	f      Frame // the one being delivered; here so that it is not allocated for each
	r      intake
	failed error  // how an attendant found the connection
	lost   error  // why reading has failed
	count  uint64 // bytes of whole frames that were delivered, handshake aside
	extra  bool   // something followed the frame that the handler has ended the link for

	closing sync.Once
	done    chan struct{}
}

func (l *conn) Start(h Handler) {
	l.handler = h
	l.lender, _ = h.(Lender)
	l.rouse()
	go l.read()
}

func (l *conn) SetMaxPayload(n int) { l.limit.Store(int64(n)) }
func (l *conn) Silence() time.Duration {
	if k := l.keep.Load(); k != nil && k.down.Load() {
		return 0 // nobody is expected to say anything
	}
	return time.Since(l.base) - time.Duration(l.heard.Load())
}
func (l *conn) Info() Info             { return l.info }
func (l *conn) Enqueue(f Frame) error  { return l.w.enqueue(f) }
func (l *conn) EnqueueSource(s Source) { l.w.enqueueSource(s) }
func (l *conn) Flush()                 { l.w.flush() }
func (l *conn) FlushHere() Work        { l.w.flush(); return nil }
func (l *conn) FlushSoon()             { l.w.flushSoon() }
func (l *conn) Room() <-chan struct{}  { return l.w.q.waitRoom() }
func (l *conn) Wait()                  { <-l.done; l.w.wg.Wait() }
func (l *conn) Finish(err error, d time.Duration) {
	if idle := l.w.waitIdle(); idle != nil {
		l.FlushSoon()
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-idle:
		case <-t.C:
		case <-l.done:
		}
	}
	l.Close(err)
}

// Close makes the reader see the end, and it tells the handler.
func (l *conn) Close(err error) {
	if errors.Is(err, ErrSilent) && l.suspend(err) {
		return
	}
	l.end(err)
}

func (l *conn) end(err error) {
	l.closing.Do(func() {
		l.w.close(err).Close()
		if k := l.keep.Load(); k != nil {
			k.budget.wake()
		}
		l.stopTurns()
	})
}

// fail ends a connection that cannot be written to, and the link unless it is resumed.
func (l *conn) fail(err error) {
	if !l.suspend(err) {
		l.end(err)
	}
}

// read delivers frames until the connection ends, or somebody else reads.
func (l *conn) read() {
	err := l.readFrames()
	for err != nil && l.lost != nil {
		if err = l.revive(l.lost); err == nil {
			err = l.readFrames()
		}
	}
	if err == nil {
		return
	}
	if over, ok := err.(*handOver); ok {
		l.give(over)
	} else {
		l.end(err)
	}
	l.r.buf.Release()
	l.handler.HandleClosed(l.w.reason())
	close(l.done)
}

// Sizes of the read buffer. It begins small, since most links are idle, and grows when a read fills it or a frame needs it. The large one has room
// for the longest frame; a payload that takes most of it goes to the handler with the buffer, and reading goes on in another. A peer that has not shown who it is gets no more than
// its longest frame needs. One that was silent for a while, as between two pings, is back at the least.
const (
	restRead = 512
	idleRead = 4 << 10
	busyRead = frameSize
	calmDown = 256 // small reads in a row after which the large buffer is given back
	restTime = time.Second
)

// intake is what was read from a connection.
type intake struct {
	buf  *Buffer
	b    []byte // of buf, what is read into
	from int    // what was not delivered yet: b[from:to]
	to   int
	calm int // small reads in a row
}

// resize moves what was not delivered to a buffer of that size.
func (r *intake) resize(size int) {
	next := NewBuffer(size)
	b := next.B[:size]
	r.to = copy(b, r.b[r.from:r.to])
	if r.buf != nil {
		r.buf.Release()
	}
	r.buf, r.b, r.from, r.calm = next, b, 0, 0
}

// rest takes the least of buffers, if nothing is in the one that there is.
func (r *intake) rest() {
	if len(r.b) > restRead && r.to == 0 {
		r.resize(restRead)
	}
}

// give hands the buffer over and goes on in another.
func (r *intake) give() *Buffer {
	given := r.buf
	given.B = r.b
	r.buf = nil
	r.resize(busyRead)
	return given
}

// roomy is what the buffer grows to, for a frame of need bytes or since it was full.
func (l *conn) roomy(need int) int {
	if len(l.r.b) < idleRead && need <= idleRead {
		return idleRead
	}
	if l.limit.Load() <= MaxUnproven {
		return HeaderSize + MaxUnproven
	}
	return busyRead
}

// readFrames returns nil when this goroutine is not to read any more.
func (l *conn) readFrames() error {
	if err := l.failed; err != nil {
		return err
	}
	for {
		before := l.heard.Load()
		if err := l.readSome(); err != nil {
			return err
		}
		since := time.Duration(l.heard.Load() - before)
		if since >= restTime {
			l.r.rest()
		}
		if !l.leave(since < briskTime) {
			return nil
		}
	}
}

// readSome reads once and delivers what is complete.
func (l *conn) readSome() (err error) {
	defer func() {
		if r := recover(); r != nil { // a bug of ours that a peer can reach ends this link, not the process
			err = fmt.Errorf("%w: %w", ErrProtocol, &PanicError{Value: r, Stack: debug.Stack()})
		}
	}()
	r := &l.r
	n, err := l.c.Read(r.b[r.to:])
	if n > 0 && !l.hear() { // a slow peer is alive
		l.lost = ErrPaused // the peer says whether it has given the session up
		return ErrPaused
	}
	r.to += n
	full := r.to == len(r.b)
	if err := l.parse(r); err != nil {
		return err
	}
	if err != nil {
		if l.kicked(err) {
			return nil
		}
		if r.to > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		l.lost = err
		return err
	}
	switch {
	case full && len(r.b) < l.roomy(0):
		r.resize(l.roomy(0))
	case n > idleRead/2:
		r.calm = 0
	case len(r.b) > idleRead && r.to == 0:
		if r.calm++; r.calm > calmDown {
			r.resize(idleRead)
		}
	}
	return nil
}

// parse delivers the frames that were read, and makes room for the rest of one that was read in part: who reads may have to do something else before
// that has come.
func (l *conn) parse(r *intake) error {
	batch := false
	need := HeaderSize
	for r.to-r.from >= HeaderSize {
		h, n, err := ParseHeader(r.b[r.from:], int(l.limit.Load()))
		if err != nil {
			return err
		}
		begin, end := r.from+HeaderSize, r.from+HeaderSize+n
		if end > r.to {
			need = HeaderSize + n
			break
		}
		f := &l.f
		*f = Frame{Header: h, Payload: r.b[begin:end:end]}
		if r.from = end; n > busyRead/2 {
			f.Buf = r.give()
		}
		if err := l.deliver(); err != nil {
			l.extra = r.from < r.to
			return err
		}
		batch = batch || h.Kind.Known()
	}
	if batch {
		l.handler.HandleBatch()
	}
	if k := l.keep.Load(); k != nil {
		k.took(l.count)
	}
	if need > len(r.b) {
		r.resize(max(need, l.roomy(need)))
		return nil
	}
	if r.from > 0 { // else it lies there already: a slow peer's bytes come one by one
		r.to = copy(r.b, r.b[r.from:r.to])
		r.from = 0
	}
	return nil
}

// deliver gives f to the handler.
func (l *conn) deliver() (err error) {
	defer l.f.Release()
	k, size := l.f.Kind, HeaderSize+len(l.f.Payload)
	switch {
	case k == Ack && l.keep.Load() != nil:
		err = l.acknowledged(l.f.Arg)
	case k.Known():
		err = l.handler.HandleFrame(&l.f)
	}
	switch {
	case err != nil:
	case k.Handshake(): // what follows it is what counts
		l.count = 0
	case k.numbered():
		l.count += uint64(size)
	}
	return err
}
