// Package memconn makes connections in memory that misbehave on request. They work inside a testing/synctest bubble, which real sockets
// do not.
package memconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is what a direction holds before a write waits, as a socket's buffer does.
const bufferSize = 64 << 10

// Conn is one end of a connection.
type Conn struct {
	in, out *half
	addr    addr
}

// Pair returns the two ends of a connection.
func Pair() (a, b *Conn) {
	x, y := newHalf(), newHalf()
	return &Conn{in: x, out: y, addr: "a"}, &Conn{in: y, out: x, addr: "b"}
}

// half is one direction.
type half struct {
	mu       sync.Mutex
	buf      []byte
	changed  chan struct{} // closed and replaced with every change
	closed   bool          // the writer's end
	broken   bool          // the reader's end
	stalled  bool
	oneByte  bool
	cutAfter int // bytes that may still be written before the connection is cut; -1: no end
	readBy   time.Time
	writeBy  time.Time
}

func newHalf() *half { return &half{changed: make(chan struct{}), cutAfter: -1} }

func (h *half) change() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// set changes h under its lock.
func (h *half) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.change()
}

// Stall makes everything stay where it is, in both directions, as on a cut cable, until it is called again with false.
func (c *Conn) Stall(on bool) {
	c.out.set(func() { c.out.stalled = on })
	c.in.set(func() { c.in.stalled = on })
}

// OneByte makes every read of c bring one byte.
func (c *Conn) OneByte() { c.in.set(func() { c.in.oneByte = true }) }

// CutAfter cuts the connection, in both directions, when c has written n more bytes; what was written before still arrives.
func (c *Conn) CutAfter(n int) { c.out.set(func() { c.out.cutAfter = n }) }

// Cut reports whether CutAfter has had its effect.
func (c *Conn) Cut() bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.cutAfter == 0 && c.out.closed
}

// wait waits for a change or the deadline. Call with the lock held; it is held again afterwards.
func (h *half) wait(by time.Time) error {
	changed := h.changed
	h.mu.Unlock()
	defer h.mu.Lock()
	var timeout <-chan time.Time
	if !by.IsZero() {
		d := time.Until(by)
		if d <= 0 {
			return os.ErrDeadlineExceeded
		}
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-changed:
	case <-timeout:
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *Conn) Read(p []byte) (int, error) {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.broken:
			return 0, net.ErrClosed
		case len(p) == 0:
			return 0, nil
		case len(h.buf) > 0 && !h.stalled:
			if h.oneByte {
				p = p[:1]
			}
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			h.change()
			return n, nil
		case h.closed && !h.stalled:
			return 0, io.EOF
		}
		if err := h.wait(h.readBy); err != nil {
			return 0, err
		}
	}
}

func (c *Conn) Write(p []byte) (n int, err error) {
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		switch {
		case h.closed:
			return n, net.ErrClosed
		case h.broken:
			return n, io.ErrClosedPipe
		case h.cutAfter == 0:
			h.closed = true
			h.change()
			go c.in.set(func() { c.in.closed = true })
			return n, io.ErrClosedPipe
		}
		room := bufferSize - len(h.buf)
		if h.cutAfter > 0 {
			room = min(room, h.cutAfter)
		}
		if room == 0 {
			if err := h.wait(h.writeBy); err != nil {
				return n, err
			}
			continue
		}
		m := min(room, len(p))
		h.buf = append(h.buf, p[:m]...)
		if h.cutAfter > 0 {
			h.cutAfter -= m
		}
		p, n = p[m:], n+m
		h.change()
	}
	return n, nil
}

// Close ends both directions: the other end reads what was written before, then the end.
func (c *Conn) Close() error {
	c.out.set(func() { c.out.closed = true })
	c.in.set(func() { c.in.broken = true })
	return nil
}

func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}
func (c *Conn) SetReadDeadline(t time.Time) error { c.in.set(func() { c.in.readBy = t }); return nil }
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.set(func() { c.out.writeBy = t })
	return nil
}
func (c *Conn) LocalAddr() net.Addr  { return c.addr }
func (c *Conn) RemoteAddr() net.Addr { return c.addr }

type addr string

func (addr) Network() string  { return "mem" }
func (a addr) String() string { return string(a) }
