package controller

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a controller and the peers of one test.
type world struct {
	testing.TB
	*Controller
	conn  bool // peers come over connections instead of memory
	peers []*rawpeer.Peer
}

// start returns a controller whose tables must be empty when the test has ended and every peer is closed.
func start(t testing.TB, o Options) *world {
	w := &world{TB: t, Controller: New(o)}
	t.Cleanup(w.end)
	return w
}

// end closes the peers, and then expects nothing to be left of them.
func (w *world) end() {
	for _, p := range w.peers {
		p.Close()
	}
	w.eventually(func(st Stats) bool { return st.Links == 0 && st.Serving == 0 }, "links are left")
	st := w.Stats()
	st.Routes, st.Late, st.Refused, st.Dropped, st.Slow, st.Failed, st.Barred, st.Resumed, st.Ejected, st.Denied, st.Shed, st.Lost, st.LostMethods = 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, nil, nil // what it remembers on purpose
	require.Equal(w, Stats{}, st)
	require.Empty(w, w.served)
	for r := range w.routes.all() {
		require.Empty(w, *r.providers.Load(), "%v %s", r, r.print)
		require.Empty(w, r.awaited, "%v %s", r, r.print)
	}
	require.NoError(w, w.Close())
}

// eventually waits for the tables to be as ok wants them.
func (w *world) eventually(ok func(Stats) bool, what string) {
	w.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok(w.Stats()) {
			return
		}
	}
	require.FailNow(w, what, "%+v", w.Stats())
}

// link returns the node's end of a new link.
func (w *world) link() transport.Link {
	w.Helper()
	if !w.conn {
		l, err := w.Attach()
		require.NoError(w, err)
		return l
	}
	a, b := w.wires()
	w.Serve(b, nil)
	return a
}

// wires returns the two ends of a link over a connection.
func (w *world) wires() (a, b transport.Link) {
	x, y := net.Pipe()
	info := transport.Info{Network: "tcp", Remote: "test", Local: true, UID: -1}
	return transport.NewConn(x, info), transport.NewConn(y, info)
}

// peer returns a started peer that has not joined.
func (w *world) peer() *rawpeer.Peer {
	w.Helper()
	p := rawpeer.New(w.link()).Start()
	w.peers = append(w.peers, p)
	return p
}

// join returns a peer that has joined.
func (w *world) join(name string) *rawpeer.Peer {
	w.Helper()
	return w.peer().Join(w, name)
}

// over runs a test over memory and over connections.
func over(t *testing.T, f func(t *testing.T, w *world)) {
	for _, conn := range []bool{false, true} {
		name := "memory"
		if conn {
			name = "connection"
		}
		t.Run(name, func(t *testing.T) {
			w := start(t, Options{})
			w.conn = conn
			f(t, w)
		})
	}
}

// onlyNight skips a test of figures, which the race detector would falsify.
func onlyNight(t *testing.T) {
	t.Helper()
	testkit.OnlyNight(t)
	if raceEnabled {
		t.Skip("figures are taken without the race detector")
	}
}
