package transport

import (
	"errors"
	"net"
	"syscall"
	"time"
)

var errWouldBlock = errors.New("write would block")

// encrypter is *secure, which only programs link that use TLS.
type encrypter interface {
	system() net.Conn
	try(t *tryWriter, bufs net.Buffers, size int) (int, error)
	writeFull(bufs net.Buffers, stall time.Duration) error
}

// tryWriter writes to a connection without waiting, where its descriptor can be had.
type tryWriter struct {
	c   net.Conn
	raw syscall.RawConn
	tls encrypter             // nil without TLS
	fn  func(fd uintptr) bool // made once, so that a write does not allocate; fnv as well
	fnv func(fd uintptr) bool
	b   []byte
	bs  net.Buffers
	vec vector
	n   int
	err error
}

func (t *tryWriter) init(c net.Conn) {
	t.c, t.raw = c, nil
	if t.tls, _ = c.(encrypter); t.tls != nil {
		c = t.tls.system()
	}
	if sc, ok := c.(syscall.Conn); ok && canTryWrite {
		if raw, err := sc.SyscallConn(); err == nil {
			t.raw = raw
			t.fn = func(fd uintptr) bool { t.n, t.err = tryWrite(fd, t.b); return true }
			t.fnv = func(fd uintptr) bool { t.n, t.err = tryWritev(fd, t.bs, &t.vec); return true }
		}
	}
}

// write writes what the system takes now. It returns errWouldBlock with what was not written left to the caller; of what has gone into records of TLS nothing is.
func (t *tryWriter) write(b []byte) (int, error) {
	if t.raw == nil {
		return 0, errWouldBlock
	}
	if t.tls != nil {
		return t.tls.try(t, net.Buffers{b}, len(b))
	}
	t.b = b
	n, err := t.do(t.fn, len(b))
	t.b = nil
	return n, err
}

// writev is write for several slices of size bytes together.
func (t *tryWriter) writev(bs net.Buffers, size int) (int, error) {
	if t.tls != nil {
		return t.tls.try(t, bs, size)
	}
	t.bs = bs
	n, err := t.do(t.fnv, size)
	t.bs = nil
	return n, err
}

// vectored reports whether writev may write something.
func (t *tryWriter) vectored() bool { return t.raw != nil && (canTryWritev || t.tls != nil) }

func (t *tryWriter) do(fn func(fd uintptr) bool, size int) (int, error) {
	t.n, t.err = 0, nil
	err := t.raw.Write(fn)
	if err == nil {
		err = t.err
	}
	if err != nil {
		return max(t.n, 0), err
	}
	if t.n < size {
		return t.n, errWouldBlock
	}
	return t.n, nil
}

// calm removes the deadline that waiting writes have set, which would fail a later write that does not wait.
func (t *tryWriter) calm() { t.c.SetWriteDeadline(time.Time{}) }
