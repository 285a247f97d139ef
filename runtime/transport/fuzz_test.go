package transport

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manyReads is a connection whose reads bring as many bytes as it is told, one length after the other.
type manyReads struct {
	net.Conn
	b       []byte
	lengths []byte
}

func (c *manyReads) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := len(c.b)
	if len(c.lengths) > 0 {
		n, c.lengths = 1+int(c.lengths[0]), c.lengths[1:]
	}
	n = copy(p[:min(len(p), n)], c.b)
	c.b = c.b[n:]
	return n, nil
}

func (c *manyReads) Close() error                     { return nil }
func (c *manyReads) SetReadDeadline(time.Time) error  { return nil }
func (c *manyReads) SetWriteDeadline(time.Time) error { return nil }

// FuzzPieces reads bytes in pieces of any length, before and after authentication, on a link that resumes and on one that does not: whatever the pieces, the same frames come,
// and the same end.
func FuzzPieces(f *testing.F) {
	for _, s := range append(sample(), bytes.Join(sample(), nil)) {
		f.Add(s, []byte{0, 1, 2, 30, 31, 32, 3, 0, 255}, uint8(len(s)))
	}
	f.Fuzz(func(t *testing.T, b, lengths []byte, how uint8) {
		read := func(c net.Conn) (*collector, uint64, error) {
			got := &collector{}
			l := &conn{c: c, handler: got}
			l.r.resize(idleRead)
			l.limit.Store(MaxUnproven)
			if how&1 != 0 {
				l.limit.Store(MaxPayload)
			}
			if how&2 != 0 {
				l.keep.Store(&keep{})
			}
			err := l.readFrames()
			l.r.buf.Release()
			return got, l.count, err
		}
		if how&2 != 0 && bytes.IndexByte(b, byte(Ack)) >= 0 {
			return // what an Ack does is another target's
		}
		whole, count, first := read(&manyReads{b: b})
		pieces, again, second := read(&manyReads{b: b, lengths: lengths})
		require.Equal(t, errors.Is(first, ErrProtocol), errors.Is(second, ErrProtocol), "%v, and in pieces %v", first, second)
		require.Equal(t, errors.Is(first, io.EOF), errors.Is(second, io.EOF), "%v, and in pieces %v", first, second)
		require.Equal(t, whole.frames, pieces.frames)
		require.Equal(t, count, again)
	})
}

// FuzzAddr: what is taken as an address is written and taken again, as the same one.
func FuzzAddr(f *testing.F) {
	for _, s := range []string{"", "unix:///run/x.sock", "tcp://127.0.0.1:1", "tcp://[::1]:65535", "tcp://host:0", "tcp://", "unix://relative", "tls://x:1", "tcp://a:b:c", "tcp://[fe80::1%eth0]:1", "unix:///\x00", "tcp://:8888"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "\x00")
			return
		}
		again, err := ParseAddr(a.String())
		require.NoError(t, err, "%q was taken as %v", s, a)
		require.Equal(t, a, again)
	})
}

// FuzzTokenFiles reads the text of a token's file, and of a file of tokens: no error says what may be a secret.
func FuzzTokenFiles(f *testing.F) {
	digits := strings.Repeat("0f", TokenSize)
	for _, s := range []string{"", digits, digits + "\n", digits + " a", "# c\n" + digits + " a-*\n" + digits + " b\n", digits + "  A", digits[1:] + "g a", "\n\n" + digits + " " + strings.Repeat("a", 65), digits + " a b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		secret := func(err error) {
			for _, word := range bytes.Fields(text) {
				if len(word) >= 16 && hexadecimal(word) {
					require.NotContains(t, err.Error(), string(word))
				}
			}
			require.NotContains(t, err.Error(), "\n")
		}
		if token, err := parseToken(text); err != nil {
			secret(err)
		} else {
			require.Equal(t, strings.ToLower(strings.TrimSuffix(string(text), "\n")), hex.EncodeToString(token))
		}
		list, err := parseTokens(text)
		if err != nil {
			secret(err)
			return
		}
		require.LessOrEqual(t, len(list), MaxTokens)
		for _, e := range list {
			require.NoError(t, validPattern(e.name))
			require.NotEmpty(t, e.name)
		}
	})
}

func hexadecimal(b []byte) bool { return len(bytes.Trim(b, "0123456789abcdefABCDEF")) == 0 }

// oneSided is a connection that brings some bytes and then ends, and keeps what is written.
type oneSided struct {
	manyReads
	wrote bytes.Buffer
}

func (c *oneSided) Write(p []byte) (int, error) { return c.wrote.Write(p) }
func (c *oneSided) SetDeadline(time.Time) error { return nil }
func (c *oneSided) LocalAddr() net.Addr         { return &net.TCPAddr{} }
func (c *oneSided) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

// FuzzSecure is what strangers say where TLS is expected, before they have shown who they are: nobody gets in.
func FuzzSecure(f *testing.F) {
	a := newTestAuthority(f)
	controller := open(f, a.issue("controller", true, nil), true, io.Discard)
	node := open(f, a.issue("node", false, nil), false, io.Discard)
	hello := &oneSided{}
	node.shake(f.Context(), hello, "localhost") // its other side says nothing
	require.NotEmpty(f, hello.wrote.Bytes())
	f.Add(hello.wrote.Bytes(), []byte{4, 0, 200})
	f.Add(hello.wrote.Bytes()[:hello.wrote.Len()/2], []byte{})
	f.Add(AppendFrame(nil, &Header{Kind: Hello}, payloads()[Hello]), []byte{})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte{})
	f.Add([]byte{22, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff}, []byte{})
	f.Fuzz(func(t *testing.T, b, lengths []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, info, err := controller.shake(ctx, &oneSided{manyReads: manyReads{b: b, lengths: lengths}}, "")
		require.Error(t, err)
		require.Nil(t, c)
		require.Empty(t, info.Certificate)
		require.NotContains(t, err.Error(), "\n")
	})
}
