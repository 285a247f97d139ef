package rawpeer

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Feed is a connection to somebody who is made of functions: it is read from and written to by a link, and nobody is at the other end. Nothing of what it brings is
// checked, so it may be any bytes. It works inside a testing/synctest bubble, and costs no goroutine.
type Feed struct {
	// Next returns what comes when all that was pushed was read; nil is the end of the connection. It is called by the goroutine that reads, while Begin has been
	// called and End has not. It may call Push, and must not wait.
	Next func() []byte
	// OnFrame sees what was written, a frame at a time, on the goroutine that writes. It may call Push.
	OnFrame func(f *transport.Frame)

	mu      sync.Mutex
	changed *sync.Cond
	in      []byte // what was pushed and not read
	begun   bool
	ended   bool // the end follows what was pushed
	closed  bool
	readBy  time.Time
	done    chan struct{}

	writing sync.Mutex
	out     []byte // a frame that was written in part
}

// NewFeed returns a connection that is silent, and takes what is written to it.
func NewFeed() *Feed {
	c := &Feed{done: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Push makes bytes come next.
func (c *Feed) Push(b []byte) { c.set(func() { c.in = append(c.in, b...) }) }

// PushFrames makes frames come next.
func (c *Feed) PushFrames(frames ...transport.Frame) {
	for _, f := range frames {
		c.Push(transport.AppendFrame(nil, &f.Header, f.Payload))
	}
}

// Begin lets Next say what comes.
func (c *Feed) Begin() { c.set(func() { c.begun = true }) }

// End ends the connection behind what was pushed, as the other end would.
func (c *Feed) End() { c.set(func() { c.ended = true }) }

// Done is closed when the link has closed the connection.
func (c *Feed) Done() <-chan struct{} { return c.done }

func (c *Feed) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed.Broadcast()
}

func (c *Feed) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case !c.readBy.IsZero() && !time.Now().Before(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(c.in) > 0:
			n := copy(p, c.in)
			c.in = c.in[:copy(c.in, c.in[n:])]
			return n, nil
		case c.ended:
			return 0, io.EOF
		case c.begun && c.Next != nil:
			c.mu.Unlock()
			b := c.Next()
			c.mu.Lock()
			c.in = append(c.in, b...)
			c.ended = c.ended || b == nil
		default:
			c.changed.Wait()
		}
	}
}

func (c *Feed) Write(p []byte) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.out = append(c.out, p...)
	rest := c.out
	for {
		f, r, ok, err := transport.ParseFrame(rest, transport.MaxPayload)
		if err != nil {
			return 0, errors.Join(errors.New("the link has written what no link may write"), err)
		}
		if !ok {
			break
		}
		if rest = r; c.OnFrame != nil {
			c.OnFrame(&f)
		}
	}
	c.out = c.out[:copy(c.out, rest)]
	return len(p), nil
}

func (c *Feed) Close() error {
	c.set(func() {
		if !c.closed {
			close(c.done)
		}
		c.closed = true
	})
	return nil
}

func (c *Feed) SetReadDeadline(t time.Time) error {
	c.set(func() { c.readBy = t })
	if d := time.Until(t); !t.IsZero() && d > 0 {
		time.AfterFunc(d, func() { c.set(func() {}) })
	}
	return nil
}

func (c *Feed) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *Feed) SetWriteDeadline(time.Time) error { return nil } // a write never waits
func (c *Feed) LocalAddr() net.Addr              { return feedAddr{} }
func (c *Feed) RemoteAddr() net.Addr             { return feedAddr{} }

type feedAddr struct{}

func (feedAddr) Network() string { return "mem" }
func (feedAddr) String() string  { return "feed" }
