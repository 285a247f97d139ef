package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of connections with TLS.
const (
	handshakeBytes = 16 << 10        // that a peer may send before its handshake is over (LIM-50): certificates of three authorities on the way fit
	recordSize     = 16 << 10        // plain bytes of one record, by RFC 8446
	maxEncrypted   = 8 * writeBatch  // that wait to be written; more comes of a peer that asks for new keys without end
	lingerTime     = time.Second / 4 // for a peer to read why its handshake has failed
	tlsTime        = 5 * time.Second // for the handshake of the end that dials (LIM-2)
)

var (
	errHandshakeBytes = errors.New("the peer has sent more than 16 KiB before its handshake was over")
	errLongHello      = errors.New("the peer has begun its handshake with a record of more than 4 KiB")
)

// wire is what a tls.Conn takes for the connection. After the handshake nothing that is written to it waits for the peer: it is collected until somebody takes it.
type wire struct {
	net.Conn

	open     atomic.Bool // the handshake is over
	received int         // before that
	hello    *records    // of a client, until it is answered

	mu  sync.Mutex // the reader may write, too: it answers for new keys
	out *Buffer
}

func (w *wire) Read(b []byte) (int, error) {
	if w.open.Load() {
		return w.Conn.Read(b)
	}
	if w.received >= handshakeBytes {
		return 0, errHandshakeBytes
	}
	n, err := w.Conn.Read(b[:min(len(b), handshakeBytes-w.received)])
	w.received += n
	if w.hello != nil && !w.hello.take(b[:n]) {
		return 0, errLongHello
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	if !w.open.Load() {
		w.hello = nil
		return w.Conn.Write(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		w.out = NewBuffer(len(b))
	}
	if len(w.out.B)+len(b) > maxEncrypted {
		return 0, ErrFull
	}
	w.out.B = append(w.out.B, b...)
	return len(b), nil
}

// records follows those of a client that nobody has answered yet. When package crypto/tls sees the header of one it reserves room for all of it, so a stranger is held to what it may send in a frame (LIM-1).
type records struct {
	head [5]byte
	have int // of it
	left int // of the record
}

// take reports whether b may follow.
func (r *records) take(b []byte) bool {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			b, r.left = b[n:], r.left-n
			continue
		}
		n := copy(r.head[r.have:], b)
		b, r.have = b[n:], r.have+n
		if r.have < len(r.head) {
			return true
		}
		r.have, r.left = 0, int(r.head[3])<<8|int(r.head[4])
		if r.left > MaxUnproven && r.isTLS() {
			return false
		}
	}
	return true
}

// isTLS reports whether package crypto/tls goes on behind that header: a handshake, or an alert, of any version.
func (r *records) isTLS() bool { return (r.head[0] == 21 || r.head[0] == 22) && r.head[1] < 0x10 }

// reserve makes room for what will be written.
func (w *wire) reserve(n int) {
	w.mu.Lock()
	if w.out == nil {
		w.out = NewBuffer(n)
	}
	w.mu.Unlock()
}

// take returns what was collected, nil if nothing.
func (w *wire) take() *Buffer {
	w.mu.Lock()
	b := w.out
	w.out = nil
	w.mu.Unlock()
	if b != nil && len(b.B) == 0 {
		b.Release()
		return nil
	}
	return b
}

// secure is a connection with TLS. One goroutine at a time may write, another read.
type secure struct {
	net.Conn // of TLS: read from it, and ask it for addresses and deadlines
	tls      *tls.Conn
	wire     *wire
	alert    func(error) error // explains what reading ends with

	// Of whoever writes.
	left *Buffer // encrypted, and not all written: from at
	at   int
}

func newSecure(t *tls.Conn, w *wire, alert func(error) error) *secure {
	w.open.Store(true)
	return &secure{Conn: t, tls: t, wire: w, alert: alert}
}

func (s *secure) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil && err != io.EOF {
		err = s.alert(err)
	}
	return n, err
}

// Write is for what is said before a link has the connection, or in place of one: it waits as long as the deadline lets it.
func (s *secure) Write(b []byte) (int, error) {
	if err := s.encrypt(net.Buffers{b}, len(b)); err != nil {
		return 0, err
	}
	for s.next() {
		n, err := s.wire.Conn.Write(s.left.B[s.at:])
		s.wrote(n)
		if err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Close does not say goodbye as TLS has it, for which it might have to wait: that a connection was not cut is known from the frame Goodbye.
func (s *secure) Close() error { return s.wire.Conn.Close() }

// encrypt makes records of bufs, which hold size bytes, as few as there can be.
func (s *secure) encrypt(bufs net.Buffers, size int) error {
	if size == 0 {
		return nil
	}
	s.wire.reserve(size + (size/recordSize+1)*64)
	if len(bufs) == 1 {
		_, err := s.tls.Write(bufs[0])
		return err
	}
	whole := NewBuffer(min(size, recordSize))
	defer whole.Release()
	stage := whole.B[:0]
	for _, b := range bufs {
		for len(b) > 0 {
			if len(stage) == 0 && len(b) >= recordSize {
				n := len(b) - len(b)%recordSize
				if _, err := s.tls.Write(b[:n]); err != nil {
					return err
				}
				b = b[n:]
				continue
			}
			n := min(len(b), recordSize-len(stage))
			stage = append(stage, b[:n]...)
			b = b[n:]
			if len(stage) == recordSize {
				if _, err := s.tls.Write(stage); err != nil {
					return err
				}
				stage = stage[:0]
			}
		}
	}
	if len(stage) == 0 {
		return nil
	}
	_, err := s.tls.Write(stage)
	return err
}

// next reports whether something is left to be written.
func (s *secure) next() bool {
	if s.left != nil {
		return true
	}
	s.left, s.at = s.wire.take(), 0
	return s.left != nil
}

// wrote notes that n bytes of what is left were written.
func (s *secure) wrote(n int) {
	if s.at += max(n, 0); s.at == len(s.left.B) {
		s.left.Release()
		s.left = nil
	}
}

// system is the connection under TLS.
func (s *secure) system() net.Conn { return s.wire.Conn }

// try encrypts bufs, which hold size bytes, and writes what the system takes now. errWouldBlock says that something is left, which is none of bufs any more.
func (s *secure) try(t *tryWriter, bufs net.Buffers, size int) (int, error) {
	if err := s.encrypt(bufs, size); err != nil {
		return 0, err
	}
	for s.next() {
		t.b = s.left.B[s.at:]
		n, err := t.do(t.fn, len(t.b))
		t.b = nil
		s.wrote(n)
		if err != nil {
			return size, err
		}
	}
	return size, nil
}

// writeFull is the writer's: it waits for the peer as long as that takes something now and then, looked at each time that half of what stall allows is over.
func (s *secure) writeFull(bufs net.Buffers, stall time.Duration) error {
	if err := s.drain(stall); err != nil {
		return err
	}
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	if err := s.encrypt(bufs, size); err != nil {
		return err
	}
	return s.drain(stall)
}

// drain writes what is left.
func (s *secure) drain(stall time.Duration) error {
	var taken progress
	for s.next() {
		s.SetWriteDeadline(time.Now().Add(stall / 2))
		n, err := s.wire.Conn.Write(s.left.B[s.at:])
		s.wrote(n)
		if err := taken.after(int64(n), err); err != nil {
			return err
		}
	}
	return nil
}

// shake makes a handshake over raw, which it closes if that fails.
func (c *credentials) shake(ctx context.Context, raw net.Conn, host string) (net.Conn, Info, error) {
	state := c.state.Load()
	w := &wire{Conn: raw}
	var t *tls.Conn
	if c.controller {
		w.hello = new(records)
		t = tls.Server(w, state.config)
	} else {
		config := state.config.Clone()
		config.ServerName = host
		t = tls.Client(w, config)
	}
	if err := t.HandshakeContext(ctx); err != nil {
		if c.controller {
			c.linger(w, err)
		}
		raw.Close()
		return nil, Info{}, c.explain(err)
	}
	info := Info{TLS: true}
	if chain := t.ConnectionState().PeerCertificates; len(chain) > 0 {
		if who, err := identityOf(chain[0], !c.controller); err == nil {
			info.Certificate = who.String()
		}
	}
	return newSecure(t, w, c.alert), info, nil
}

// linger gives a peer the time to read why its handshake has failed: when a connection is closed with something unread, what was sent last gets lost.
func (c *credentials) linger(w *wire, err error) {
	var notTLS tls.RecordHeaderError
	w.SetDeadline(time.Now().Add(lingerTime))
	if errors.As(err, &notTLS) && Kind(notTLS.RecordHeader[4]).opens() {
		w.Conn.Write(appendNeedsTLS(nil))
	}
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	var scrap [512]byte
	for n := 0; n < handshakeBytes; {
		m, err := w.Conn.Read(scrap[:])
		if err != nil {
			return
		}
		n += m
	}
}

// opens reports whether a node begins with a frame of kind k.
func (k Kind) opens() bool { return k == Hello || k == Resume }

// appendNeedsTLS appends what a node without TLS is told, in a frame that it understands.
func appendNeedsTLS(b []byte) []byte {
	const failedPrecondition = 8 // of the errors of package daffi
	payload := AppendRefuse(nil, &RefusePayload{Code: failedPrecondition, Reason: "tls", Message: "the controller speaks TLS: set Options.TLS"})
	return append(AppendHeader(b, &Header{Kind: Refuse}, len(payload)), payload...)
}
