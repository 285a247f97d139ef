package controller

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// dial returns a peer at a real socket, and the token that it needs.
func dial(t *testing.T, addr string) (*rawpeer.Peer, []byte) {
	t.Helper()
	a, err := transport.ParseAddr(addr)
	require.NoError(t, err)
	conn, info, token, err := transport.Dial(t.Context(), a, transport.DialOptions{})
	require.NoError(t, err)
	p := rawpeer.New(transport.NewConn(conn, info)).Start()
	t.Cleanup(p.Close)
	return p, token
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	for _, addr := range []string{"", "tcp://127.0.0.1:0", "unix://" + filepath.Join(dir, "x.sock")} {
		t.Run(addr, func(t *testing.T) {
			c, err := Listen(t.Context(), Options{Addr: addr, Name: "ctl"})
			require.NoError(t, err)
			defer c.Close()
			require.Contains(t, c.Addr(), "://")
			require.NotContains(t, c.Addr(), ":0")

			callee, token := dial(t, c.Addr())
			require.Equal(t, strings.HasPrefix(addr, "tcp"), token != nil)
			require.Equal(t, transport.Welcome, callee.Hello(t, hello("callee", 1, 1), token).Kind)
			callee.Register(t, "Svc", "M")
			caller, token := dial(t, c.Addr())
			require.Equal(t, transport.Welcome, caller.Hello(t, hello("caller", 2, 1), token).Kind)
			route := caller.Route(t, "Svc", "M", "sig")
			for i := range uint64(100) {
				caller.Call(route, 0, i+1, "x")
				callee.Reply(callee.Served(t).Call, "y")
				caller.Expect(t, transport.Reply)
			}
			if token != nil {
				bad, _ := dial(t, c.Addr())
				require.Equal(t, transport.Refuse, bad.Hello(t, hello("bad", 2, 1), []byte("not the token")).Kind)
			}

			_, err = Listen(t.Context(), Options{Addr: c.Addr()})
			require.ErrorIs(t, err, transport.ErrInUse)
			require.NoError(t, c.Shutdown(t.Context()))
			caller.Expect(t, transport.Goodbye)
			again, err := Listen(t.Context(), Options{Addr: c.Addr()})
			require.NoError(t, err)
			require.NoError(t, again.Close())
		})
	}
	left, err := filepath.Glob(filepath.Join(dir, "daffi", "*.token"))
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = os.Stat(filepath.Join(dir, "x.sock"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Addr: "udp://127.0.0.1:1"}, {Addr: "tcp://192.0.2.1:1"}, {Name: "Not A Name"}, {MaxNodes: -1}, {MaxPending: -1},
		{PingInterval: 10, DeadInterval: 5}, {MaxMessage: -1}, {HandshakeTimeout: -1},
	} {
		_, err := Listen(t.Context(), o)
		require.Error(t, err, "%+v", o)
	}
	require.Panics(t, func() { New(Options{MaxNodes: -1}) })
}

// TestD74Log wants joins, leaves and offences in the log, without control characters of a peer and without payloads.
func TestD74Log(t *testing.T) {
	var text syncBuffer
	c := New(Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
	attach := func() *rawpeer.Peer {
		l, err := c.Attach()
		require.NoError(t, err)
		return rawpeer.New(l).Start()
	}
	p := attach().Join(t, "node")
	p.Send(frame{Header: header{Kind: transport.Goodbye}})
	require.Error(t, p.Closed(t))
	p = attach().Join(t, "rogue")
	p.Send(frame{Header: header{Kind: 77}, Payload: []byte("s3cret")})
	require.Error(t, p.Closed(t))
	p = attach()
	evil := hello("a\nlevel=ERROR \x1b[2J"+strings.Repeat("x", 40), 1, 1)
	require.Equal(t, transport.Refuse, p.Hello(t, evil, nil).Kind)
	p.Close()
	require.NoError(t, c.Close())
	out := text.String()
	for _, want := range []string{`msg="node joined" node=node session=1`, `msg="node left" node=node session=1 reason=goodbye`, `level=ERROR msg="node broke the protocol" node=rogue`, `msg="node refused"`} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "s3cret")
	require.NotContains(t, out, "\x1b")
	for line := range strings.Lines(out) {
		require.True(t, strings.HasPrefix(line, "time="), "%q", line)
		require.Less(t, len(line), 1000)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestWords holds the codes and reasons to those of package daffi.
func TestWords(t *testing.T) {
	for code, want := range map[uint8]daffi.Code{
		invalidArgument: daffi.InvalidArgument, alreadyExists: daffi.AlreadyExists, resourceExhausted: daffi.ResourceExhausted,
		failedPrecondition: daffi.FailedPrecondition, unimplemented: daffi.Unimplemented, internal: daffi.Internal,
		unavailable: daffi.Unavailable, unauthenticated: daffi.Unauthenticated,
	} {
		require.Equal(t, want, daffi.Code(code))
	}
	for reason, want := range map[string]daffi.Reason{
		reasonNoProvider: daffi.ReasonNoProvider, reasonSchema: daffi.ReasonSchema, reasonBusy: daffi.ReasonBusy,
		reasonNodeLost: daffi.ReasonNodeLost, reasonDraining: daffi.ReasonDraining, reasonStaleRoute: daffi.ReasonStaleRoute,
		reasonDepth: daffi.ReasonDepth, reasonProtocol: daffi.ReasonProtocol, reasonShape: daffi.ReasonShape, reasonClosed: daffi.ReasonClosed,
	} {
		require.EqualValues(t, want, reason)
	}
	for outcome, want := range map[uint8]daffi.Outcome{mayHaveRun: daffi.MayHaveRun, notRun: daffi.NotRun, ran: daffi.Ran} {
		require.Equal(t, want, daffi.Outcome(outcome))
	}
	require.LessOrEqual(t, len(cut(strings.Repeat("x", 1000))), 256)
}
