package daffi_test

import (
	"context"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// wires is a connection of the system's, on which a writer feels how fast the other side reads.
func wires(t *testing.T) (a, b net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wire") // short, since the path of a socket has little room
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	defer ln.Close()
	a, err = net.Dial("unix", ln.Addr().String())
	require.NoError(t, err)
	b, err = ln.Accept()
	require.NoError(t, err)
	return a, b
}

// wired is a controller that nodes reach over such connections.
type wired struct {
	t   *testing.T
	ctl *controller.Controller
}

var wireInfo = transport.Info{Network: "unix", Remote: "test", Local: true, UID: -1}

// dial returns the node's end of a connection.
func (w wired) dial() net.Conn {
	w.t.Helper()
	a, b := wires(w.t)
	w.ctl.Serve(transport.NewConn(b, wireInfo), nil)
	return a
}

func (w wired) Attach() (transport.Link, error) { return transport.NewConn(w.dial(), wireInfo), nil }

func (w wired) node(name string) *daffi.Node {
	w.t.Helper()
	n, err := daffi.Connect(w.t.Context(), daffi.Options{Name: name, Controller: w})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { n.Close() })
	return n
}

// attacker is a peer without manners, which has joined.
type attacker struct {
	*rawpeer.Peer
	conn  net.Conn
	rough atomic.Bool       // what it is sent is only counted, from now on
	got   [256]atomic.Int64 // frames by kind
	deaf  sync.Mutex        // held while it reads nothing, and by the reader while it takes a frame

	paused bool // deaf is held by pause
}

// pause lets it read nothing any more, and resume ends that, if it is so. Both are for the test's own goroutine.
func (a *attacker) pause() {
	a.deaf.Lock()
	a.paused = true
}

func (a *attacker) resume() {
	if a.paused {
		a.paused = false
		a.deaf.Unlock()
	}
}

func (w wired) attacker(name string) *attacker {
	w.t.Helper()
	a := &attacker{conn: w.dial()}
	a.Peer = rawpeer.New(transport.NewConn(a.conn, wireInfo))
	a.OnFrame = func(f *transport.Frame) bool {
		a.deaf.Lock()
		defer a.deaf.Unlock()
		if a.rough.Load() {
			a.got[f.Kind].Add(1)
		}
		return a.rough.Load()
	}
	a.Start().Join(w.t, name)
	w.t.Cleanup(func() {
		a.resume()
		a.Close()
	})
	return a
}

// flood writes n frames past the link, which would bound what is on its way, as fast as the other side reads. It returns how many it has written until the connection ended.
func (a *attacker) flood(n int, make func(i int) transport.Frame) int {
	a.rough.Store(true)
	var b []byte
	for i := range n {
		f := make(i)
		if b = transport.AppendFrame(b, &f.Header, f.Payload); len(b) < 32<<10 && i < n-1 {
			continue
		}
		if _, err := a.conn.Write(b); err != nil {
			return i
		}
		b = b[:0]
	}
	return n
}

func (w wired) eventually(ok func(controller.Stats) bool, what string) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok(w.ctl.Stats()) {
			return
		}
	}
	require.FailNow(w.t, what, "%+v", w.ctl.Stats())
}

// honest makes calls, one after the other, until stop is called, which returns how long they took. None may fail.
func honest(t *testing.T, call func(context.Context) error) (stop func() []time.Duration) {
	var took []time.Duration
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	calls.Go(func() {
		for ctx.Err() == nil {
			begun := time.Now()
			if err := call(t.Context()); !assert.NoError(t, err) {
				return
			}
			took = append(took, time.Since(begun))
			time.Sleep(100 * time.Microsecond)
		}
	})
	return func() []time.Duration {
		cancel()
		calls.Wait()
		return took
	}
}

// heedless has handlers that do not care for their contexts: each runs until free is closed.
type heedless struct {
	testkit.Impl
	free          chan struct{}
	running, most atomic.Int64
	begun         atomic.Int64
}

func (k *heedless) stay() {
	k.begun.Add(1)
	n := k.running.Add(1)
	for most := k.most.Load(); n > most && !k.most.CompareAndSwap(most, n); most = k.most.Load() {
	}
	<-k.free
	k.running.Add(-1)
}

func (k *heedless) Block(context.Context) error        { k.stay(); return nil }
func (k *heedless) Note(context.Context, string) error { k.stay(); return nil }
func (k *heedless) Add(context.Context, int) error     { k.stay(); return nil }
func (k *heedless) Count(context.Context, int, string) iter.Seq2[int, error] {
	return func(func(int, error) bool) { k.stay() }
}
func (k *heedless) Sum(context.Context, int, iter.Seq2[int, error]) (int, error) {
	k.stay()
	return 0, nil
}

// ACC-46: calls and streams that are opened and cancelled at once, of handlers that do not care, run as many handlers as one caller may have and no more, for as long as
// those have not returned; calls of others go on, to the same node as well, and nothing grows. A Cancel is no offence: who gives up many calls, since they take too long, is no
// attacker, so whoever goes on is told busy and not closed.
func TestACC46RapidReset(t *testing.T) {
	const most = 256 // LIM-11
	const late = 300 // the Cancel comes when so many others were opened, so that handlers have begun
	for name, c := range map[string]struct {
		method, sig string
		mode        transport.Mode
		args        string
		stays       bool // the requests are not cancelled
	}{
		"unary":         {"Block", "()()", 0, "\x90", false},
		"output":        {"Count", "(int,string)>int", transport.Output, "\x92\x01\xa0", false},
		"input":         {"Sum", "(int,<int)(int)", transport.Input, "\x91\x01", false},
		"item stream":   {"Add", "(int)()", transport.Each, "", false},
		"oneway":        {"Note", "(string)()", transport.Oneway, "\x91\xa0", false},
		"not cancelled": {"Block", "()()", 0, "\x90", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := wired{t, daffitest.New(t).Controller}
			impl := &heedless{free: make(chan struct{})}
			server, other := w.node("server"), w.node("other")
			for _, n := range []*daffi.Node{server, other} {
				_, err := testkit.RegisterKit(n, impl)
				require.NoError(t, err)
			}
			caller := w.node("caller")
			echo := func(node string) func(context.Context) error {
				p := testkit.NewKit(caller, daffi.To(node))
				return func(ctx context.Context) error { _, err := p.Echo(ctx, make([]byte, 100)); return err }
			}
			rest := honest(t, echo("other"))
			time.Sleep(testkit.Full(10*time.Millisecond, time.Second))
			before := rest()

			a := w.attacker("attacker")
			route := a.Route(t, testkit.KitName, c.method, c.sig)
			var found control.Found
			require.Nil(t, a.Ask(t, (&control.Find{Node: "server"}).Append, control.OpFound, &found))
			grown := testkit.WatchHeap(100 * time.Millisecond)
			same, apart := honest(t, echo("server")), honest(t, echo("other"))
			n, begun := testkit.Full(20_000, 1_000_000), time.Now()
			sent := a.flood(2*n, func(i int) transport.Frame {
				k := i / 2
				call := func(k int) uint64 { return transport.CallID(uint32(k)%4096, uint64(k)/4096+1) }
				switch {
				case i%2 == 0:
					return transport.Frame{Header: transport.Header{Kind: transport.Request, Call: call(k), Route: route, Peer: found.Session, Mode: c.mode}, Payload: []byte(c.args)}
				case c.stays || k < late:
					return transport.Frame{Header: transport.Header{Kind: transport.Pong}}
				}
				return transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: call(k - late)}}
			})
			took, there, elsewhere, more := time.Since(begun), same(), apart(), grown()
			require.Equal(t, 2*n, sent, "the attacker was cut off")
			assert.LessOrEqual(t, impl.most.Load(), int64(most))
			assert.LessOrEqual(t, impl.begun.Load(), int64(most), "a handler that has not returned had its place taken")
			assert.LessOrEqual(t, more, 16<<20)
			if c.stays {
				w.eventually(func(controller.Stats) bool { return a.got[transport.Error].Load() > 0 }, "nobody said busy")
			}
			t.Logf("%d requests in %v: %d handlers at a time, %d in all, %d bytes more; %d errors. p99 of calls to another node %v of %d, to the same %v of %d, before %v of %d", n, took.Round(time.Millisecond),
				impl.most.Load(), impl.begun.Load(), more, a.got[transport.Error].Load(), p99(elsewhere), len(elsewhere), p99(there), len(there), p99(before), len(before))
			if testkit.Night() && !raceEnabled {
				assert.LessOrEqual(t, p99(elsewhere), 2*p99(before)+time.Millisecond)
			}
			a.Close()
			close(impl.free)
			w.eventually(func(st controller.Stats) bool {
				return st.Calls == 0 && st.Serving == 0 && impl.running.Load() == 0 && server.Held() == ""
			}, "something is left")
			require.NoError(t, echo("server")(t.Context()))
		})
	}
}

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
