package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
)

// endless gives and takes as many bytes as anybody wants.
type endless struct{ net.Conn }

func (endless) Read(b []byte) (int, error)  { return len(b), nil }
func (endless) Write(b []byte) (int, error) { return len(b), nil }

func TestLIM50HandshakeBytes(t *testing.T) {
	w := &wire{Conn: endless{}}
	if n, err := io.ReadFull(w, make([]byte, handshakeBytes)); n != handshakeBytes || err != nil {
		t.Errorf("at the limit: %d, %v", n, err)
	}
	if n, err := w.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errHandshakeBytes) {
		t.Errorf("one past it: %d, %v", n, err)
	}
	w = &wire{Conn: endless{}}
	if n, err := io.ReadFull(w, make([]byte, handshakeBytes+1)); n != handshakeBytes || !errors.Is(err, errHandshakeBytes) {
		t.Errorf("in one read: %d, %v", n, err)
	}
	w.open.Store(true)
	if n, err := w.Read(make([]byte, 1<<20)); n != 1<<20 || err != nil {
		t.Errorf("after the handshake: %d, %v", n, err)
	}

	// A peer that begins a Hello of TLS and does not end it.
	a := newTestAuthority(t)
	controller := open(t, a.issue("controller", true, nil), true, t.Output())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		record := append([]byte{22, 3, 1, 0x10, 0}, make([]byte, 4096)...)
		copy(record[5:], []byte{1, 0, 0xff, 0xff})
		for range 20 {
			c.Write(record)
			record = append([]byte{22, 3, 1, 0x10, 0}, make([]byte, 4096)...)
		}
	}()
	raw, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := controller.shake(t.Context(), raw, ""); err == nil || !strings.Contains(err.Error(), "16 KiB") {
		t.Errorf("%v", err)
	}
}

// A client is held to records of 4 KiB until it is answered, however it cuts what it sends, and refused before package crypto/tls has seen the header of a longer one.
func TestLIM1ClientHello(t *testing.T) {
	header := func(kind byte, n int) []byte { return []byte{kind, 3, 1, byte(n >> 8), byte(n)} }
	record := func(kind byte, n int) []byte { return append(header(kind, n), make([]byte, n)...) }
	for _, c := range []struct {
		name  string
		sends []byte
		gets  int // -1: all of it
	}{
		{"at the limit", record(22, MaxUnproven), -1},
		{"one past it", record(22, MaxUnproven+1), 0},
		{"the largest", header(22, 1<<16-1), 0},
		{"an alert", header(21, MaxUnproven+1), 0},
		{"a second record", append(record(22, 1), header(22, MaxUnproven+1)...), 6},
		{"what is no TLS, which crypto/tls refuses", header(23, 1<<16-1), -1},
		{"empty records", append(bytes.Repeat(header(22, 0), 100), header(22, MaxUnproven+1)...), 500},
	} {
		for _, cut := range []int{1, 3, 1 << 16} {
			sent := bytes.NewReader(c.sends)
			w := &wire{Conn: pieces{from: sent, most: cut}, hello: new(records)}
			got, err := io.ReadAll(w)
			if all := len(got) == len(c.sends); all != (c.gets < 0) || all && err != nil || !all && (!errors.Is(err, errLongHello) || len(got) > c.gets+4) {
				t.Errorf("%s, cut to %d: %d of %d bytes, %v", c.name, cut, len(got), len(c.sends), err)
			}
		}
	}

	a := newTestAuthority(t)
	controller := open(t, a.issue("controller", true, nil), true, t.Output())
	near, far := memconn.Pair()
	go far.Write(header(22, MaxUnproven+1))
	if _, _, err := controller.shake(t.Context(), near, ""); err == nil || !strings.Contains(err.Error(), "a record of more than 4 KiB") {
		t.Errorf("%v", err)
	}
	w := &wire{Conn: endless{}, hello: new(records)}
	w.Write([]byte("the answer"))
	if n, err := w.Read(make([]byte, 100)); n != 100 || err != nil { // certificates may be longer
		t.Errorf("after the answer: %d, %v", n, err)
	}
}

// pieces is a connection that reads a little at a time.
type pieces struct {
	net.Conn
	from io.Reader
	most int
}

func (p pieces) Read(b []byte) (int, error) { return p.from.Read(b[:min(len(b), p.most)]) }

func TestLIM52Encrypted(t *testing.T) {
	w := &wire{Conn: endless{}}
	w.open.Store(true)
	if n, err := w.Write(make([]byte, maxEncrypted)); n != maxEncrypted || err != nil {
		t.Errorf("at the limit: %d, %v", n, err)
	}
	if n, err := w.Write(make([]byte, 1)); n != 0 || !errors.Is(err, ErrFull) {
		t.Errorf("one past it: %d, %v", n, err)
	}
	b := w.take()
	if len(b.B) != maxEncrypted {
		t.Errorf("%d bytes", len(b.B))
	}
	b.Release()
	if b := w.take(); b != nil {
		t.Errorf("%d bytes more", len(b.B))
	}
}

// counted counts the writes that reach the system.
type counted struct {
	net.Conn
	writes int
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes++
	return c.Conn.Write(b)
}

// A batch is written at once, however many slices it has, and arrives as it was.
func TestTLSOneWrite(t *testing.T) {
	a := newTestAuthority(t)
	controller := open(t, a.issue("controller", true, nil), true, t.Output())
	node := open(t, a.issue("worker", false, nil), false, t.Output())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	type end struct {
		c   net.Conn
		err error
	}
	ended := make(chan end, 1)
	go func() {
		c, _, err := controller.shake(ctx, raw, "")
		ended <- end{c, err}
	}()
	n := &counted{Conn: dialed}
	near, _, err := node.shake(ctx, n, "127.0.0.1")
	far := <-ended
	if err != nil || far.err != nil {
		t.Fatal(err, far.err)
	}
	defer near.Close()
	defer far.c.Close()
	var bufs net.Buffers
	var want []byte
	for i := range 100 {
		b := bytes.Repeat([]byte{byte(i)}, i*37)
		if i == 50 {
			b = bytes.Repeat([]byte{50}, 40_000)
		}
		bufs, want = append(bufs, b), append(want, b...)
	}
	n.writes = 0
	go func() {
		if err := near.(*secure).writeFull(bufs, StallTimeout); err != nil {
			t.Error(err)
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far.c, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, equal %v", err, bytes.Equal(got, want))
	}
	if n.writes != 1 {
		t.Errorf("%d writes for %d bytes", n.writes, len(want))
	}
}

// The bound on how long a peer may take nothing is the link's, also with TLS (LIM-14).
func TestTLSStallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAuthority(t)
		controller := open(t, a.issue("controller", true, nil), true, t.Output())
		node := open(t, a.issue("worker", false, nil), false, t.Output())
		defer controller.Close()
		defer node.Close()
		raw, dialed := memconn.Pair()
		done := make(chan error, 1)
		go func() {
			_, _, err := controller.shake(t.Context(), raw, "")
			done <- err
		}()
		near, _, err := node.shake(t.Context(), dialed, "127.0.0.1")
		if err := errors.Join(err, <-done); err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		l := NewConn(near, Info{TLS: true})
		Limit(l, Limits{StallTimeout: time.Minute})
		r := newRecorder()
		l.Start(r)
		begin := time.Now()
		for range 8 {
			if err := l.Enqueue(Frame{Header: Header{Kind: Reply, Flags: Bulk}, Payload: make([]byte, MaxContent)}); err != nil {
				t.Fatal(err)
			}
		}
		l.Flush()
		if err, took := <-r.closed, time.Since(begin); !errors.Is(err, ErrStalled) || took < time.Minute || took > 2*time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		l.Wait()
	})
}
