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
	l := &conn{c: c, info: info, buf: NewBuffer(idleRead), base: time.Now(), done: make(chan struct{})}
	l.limit.Store(MaxUnproven)
	l.w.init(l)
	return l
}

// conn is a link over a stream connection: one goroutine reads, and whoever finds the writer idle writes.
type conn struct {
	c       net.Conn
	info    Info
	handler Handler
	limit   atomic.Int64
	heard   atomic.Int64 // time of the last read, in nanoseconds since base
	base    time.Time
	w       writer
	lender  Lender // the handler, if it is one
	turns   turns

	// Of whoever reads, see turns.
	f      Frame   // the one being delivered; here so that it is not allocated for each
	buf    *Buffer // what is being read
	have   int     // bytes of it that were not delivered yet
	lacks  int     // bytes of f.Payload that are still to come; 0 if f is delivered
	calm   int     // small reads in a row
	failed error   // how an attendant found the connection

	closing sync.Once
	done    chan struct{}
}

func (l *conn) Start(h Handler) {
	l.handler = h
	l.lender, _ = h.(Lender)
	go l.read()
}

func (l *conn) SetMaxPayload(n int)    { l.limit.Store(int64(n)) }
func (l *conn) Silence() time.Duration { return time.Since(l.base) - time.Duration(l.heard.Load()) }
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
	l.closing.Do(func() {
		l.w.close(err)
		l.c.Close()
		l.stopTurns()
	})
}

// read delivers frames until the connection ends, or somebody else reads.
func (l *conn) read() {
	err := l.readFrames()
	if err == nil {
		return
	}
	l.Close(err)
	if l.lacks > 0 {
		l.f.Release()
	}
	l.buf.Release()
	l.handler.HandleClosed(l.w.reason())
	close(l.done)
}

// Sizes of the read buffer. It begins small, since most links are idle, and grows when a read fills it.
const (
	idleRead = 4 << 10
	busyRead = 64 << 10
	calmDown = 256 // small reads in a row after which the large buffer is given back
)

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
		if !l.leave(l.heard.Load()-before < int64(briskTime)) {
			return nil
		}
	}
}

// readSome reads once and delivers what is complete.
func (l *conn) readSome() (err error) {
	defer func() {
		if r := recover(); r != nil { // a bug of ours that a peer can reach ends this link, not the process
			err = fmt.Errorf("%w: panic while handling a frame: %v\n%s", ErrProtocol, r, debug.Stack())
		}
	}()
	if l.lacks > 0 {
		return l.readRest()
	}
	b := l.buf.B[:cap(l.buf.B)]
	n, err := l.c.Read(b[l.have:])
	if n > 0 {
		l.heard.Store(int64(time.Since(l.base)))
	}
	full := l.have+n == len(b)
	l.have += n
	used, perr := l.parse(b[:l.have])
	if perr != nil {
		return perr
	}
	l.have = copy(b, b[used:l.have])
	if err != nil {
		if l.kicked(err) {
			return nil
		}
		if (l.have > 0 || l.lacks > 0) && errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	switch {
	case full && len(b) < busyRead:
		l.resize(busyRead)
	case n > idleRead/2:
		l.calm = 0
	case len(b) > idleRead && l.have == 0:
		if l.calm++; l.calm > calmDown {
			l.resize(idleRead)
		}
	}
	return nil
}

// resize changes the buffer for one of another size.
func (l *conn) resize(n int) {
	next := NewBuffer(n)
	copy(next.B[:l.have], l.buf.B[:l.have])
	l.buf.Release()
	l.buf, l.calm = next, 0
}

// readRest reads once of a payload that came in part, and delivers its frame when that is all.
func (l *conn) readRest() error {
	b := l.f.Payload
	n, err := l.c.Read(b[len(b)-l.lacks:])
	if n > 0 { // a slow peer is alive
		l.heard.Store(int64(time.Since(l.base)))
	}
	if l.lacks -= n; l.lacks == 0 {
		if err := l.deliver(); err != nil {
			return err
		}
		l.handler.HandleBatch()
		return nil // a failed read fails again
	}
	switch {
	case err == nil || l.kicked(err):
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse delivers the frames in b and returns how much of it they took. A long payload that b holds only in part goes to a buffer of its own, for readRest: who
// reads may have to do something else before the rest has come.
func (l *conn) parse(b []byte) (used int, err error) {
	batch := false
	for {
		rest := b[used:]
		if len(rest) < HeaderSize {
			break
		}
		h, n, err := ParseHeader(rest, int(l.limit.Load()))
		if err != nil {
			return 0, err
		}
		f := &l.f
		*f = Frame{Header: h}
		if len(rest) >= HeaderSize+n {
			end := HeaderSize + n
			f.Payload = rest[HeaderSize:end:end]
			used += end
		} else {
			if n < idleRead/2 { // it is small: the next read brings it with what follows
				break
			}
			if batch {
				l.handler.HandleBatch()
			}
			have := len(rest) - HeaderSize
			f.Buf = NewBuffer(n)
			f.Buf.B = append(f.Buf.B, rest[HeaderSize:]...)[:n]
			f.Payload = f.Buf.B
			l.lacks = n - have
			return len(b), nil
		}
		if err := l.deliver(); err != nil {
			return 0, err
		}
		batch = batch || h.Kind.Known()
	}
	if batch {
		l.handler.HandleBatch()
	}
	return used, nil
}

// deliver gives f to the handler.
func (l *conn) deliver() error {
	defer l.f.Release()
	if !l.f.Kind.Known() {
		return nil
	}
	return l.handler.HandleFrame(&l.f)
}
