package daffi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// line leads to a controller over connections in memory, one after the other.
type line struct {
	ctl     *controller.Controller
	wrap    func(net.Conn) net.Conn // of both ends; nil: as they are
	latency time.Duration           // up to which everything takes; 0: none

	path sync.WaitGroup

	mu    sync.Mutex
	down  error                         // nobody can be reached, with this
	next  func(node, ctl *memconn.Conn) // sees the next connection, once
	conns [][2]*memconn.Conn            // the node's and the controller's ends, in order of dialing
}

func newLine(t testing.TB, o controller.Options) *line {
	l := &line{ctl: controller.New(o)}
	c := l.ctl
	t.Cleanup(func() {
		c.Close()
		l.path.Wait()
	})
	return l
}

func (l *line) Attach() (transport.Link, error) {
	c, err := l.dial(context.Background())
	if err != nil {
		return nil, err
	}
	return transport.NewDialed(c, transport.Info{Network: "mem", Remote: "controller", UID: -1, Local: true}, l.dial), nil
}

func (l *line) dial(context.Context) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return nil, l.down
	}
	x, y := memconn.Pair()
	l.conns = append(l.conns, [2]*memconn.Conn{x, y})
	if next := l.next; next != nil {
		l.next = nil
		next(x, y)
	}
	a, b := net.Conn(x), net.Conn(y)
	if l.latency > 0 {
		p, q := memconn.Pair()
		far(y, p, l.latency, &l.path)
		b = q
	}
	if l.wrap != nil {
		a, b = l.wrap(a), l.wrap(b)
	}
	l.ctl.Serve(transport.NewConn(b, transport.Info{Network: "mem", Remote: "node", UID: -1, Local: true}), nil)
	return a, nil
}

// last are the ends of the newest connection.
func (l *line) last() (node, ctl *memconn.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.conns[len(l.conns)-1]
	return c[0], c[1]
}

func (l *line) dials() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// reach makes the controller unreachable, or reachable again with nil.
func (l *line) reach(err error) {
	l.mu.Lock()
	l.down = err
	l.mu.Unlock()
}

func (l *line) onNext(f func(node, ctl *memconn.Conn)) {
	l.mu.Lock()
	l.next = f
	l.mu.Unlock()
}

const testGrace = 2 * time.Second

func resuming() controller.Options { return controller.Options{ResumeGrace: testGrace} }

func (l *line) options(name string) daffi.Options {
	return daffi.Options{Name: name, Controller: l, ResumeGrace: testGrace}
}

// TestResumableLinkThatIsNotCut runs all shapes over a link that keeps what it sends.
func TestResumableLinkThatIsNotCut(t *testing.T) {
	server := newLine(t, resuming())
	client := &line{ctl: server.ctl}
	n := connect(t, server.options("server"))
	_, err := testkit.RegisterKit(n, new(testkit.Impl))
	require.NoError(t, err)
	everyShape(t, connect(t, client.options("client")), false)
	require.Zero(t, server.ctl.Stats().Resumed)
	require.Eventually(t, func() bool { return server.ctl.Stats().Kept == 0 }, 30*time.Second, 10*time.Millisecond, "everything is acknowledged")
}

// TestCallSurvivesACut cuts the link of either side, from either end, while a call runs.
func TestCallSurvivesACut(t *testing.T) {
	for _, of := range []string{"client", "server"} {
		for _, end := range []string{"node", "controller"} {
			t.Run(of+"/"+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newLine(t, resuming())
					client := &line{ctl: server.ctl}
					n := connect(t, server.options("server"))
					impl := &testkit.Impl{Blocked: make(chan struct{}, 1), Ended: make(chan error, 1)}
					_, err := testkit.RegisterKit(n, impl)
					require.NoError(t, err)
					p := testkit.NewKit(connect(t, client.options("client")))
					ctx, cancel := context.WithCancel(t.Context())
					done := make(chan error)
					go func() { done <- p.Block(ctx) }()
					<-impl.Blocked
					l := map[string]*line{"client": client, "server": server}[of]
					a, b := l.last()
					if end == "node" {
						a.Close()
					} else {
						b.Close()
					}
					got, err := p.Echo(t.Context(), []byte("x"))
					require.NoError(t, err)
					require.Equal(t, "x", string(got))
					cancel()
					requireError(t, <-done, daffi.Canceled, "", daffi.MayHaveRun)
					require.ErrorIs(t, <-impl.Ended, context.Canceled)
					require.EqualValues(t, 1, server.ctl.Stats().Resumed)
					require.Equal(t, 2, l.dials())
				})
			})
		}
	}
}

// TestCutWhileResuming cuts the second connection, too, after every byte of what it begins with.
func TestCutWhileResuming(t *testing.T) {
	for _, fromNode := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, true)
			for m := 0; m < 700; m += testkit.Full(7, 1) {
				s.act = fmt.Sprint("act ", m)
				synctest.Wait()
				cut, _ := s.line.last()
				dials := s.line.dials()
				cut.CutAfter(m % 90)
				s.line.onNext(func(node, ctl *memconn.Conn) {
					if !fromNode {
						node = ctl
					}
					node.CutAfter(m)
				})
				require.NoError(t, echoes(s.p, s.act, 300)(t.Context()), "%d", m)
				require.NoError(t, echoes(s.back, s.act, 300)(t.Context()), "%d", m)
				require.Greater(t, s.line.dials(), dials)
				s.line.onNext(nil)
				time.Sleep(time.Second) // whatever is still cut has come back
			}
			s.once(t)
		})
	}
}

// suspended is a stage whose client has a call under way and no connection, nor a way to a new one.
func suspended(t *testing.T) (s *stage, done chan error) {
	s, done = newStage(t, true), make(chan error, 1)
	s.k.Ended = make(chan error, 1)
	go func() { done <- s.p.Block(t.Context()) }()
	<-s.k.Blocked
	s.line.reach(errors.New("no route"))
	a, _ := s.line.last()
	a.Close()
	synctest.Wait()
	require.Empty(t, done)
	return s, done
}

// TestCutThatLastsTooLong is a lost link when the grace is over, on both sides, and not before.
func TestCutThatLastsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, done := suspended(t)
		begin := time.Now()
		requireError(t, <-done, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		require.Equal(t, testGrace, time.Since(begin))
		require.ErrorIs(t, <-s.k.Ended, context.Canceled)
		require.Equal(t, testGrace, time.Since(begin))
		require.Equal(t, 1, s.line.ctl.Stats().Nodes)
		s.line.reach(nil)
		require.NoError(t, echoes(s.p, "again", 0)(t.Context()), "it has joined again")
	})
}

// TestT9RefusedRedialEndsTheSession at once: nobody listens any more.
func TestT9RefusedRedialEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, done := newStage(t, true), make(chan error, 1)
		go func() { done <- s.p.Block(t.Context()) }()
		<-s.k.Blocked
		s.line.reach(fmt.Errorf("%w at the end of the line", transport.ErrNoController))
		begin := time.Now()
		a, _ := s.line.last()
		a.Close()
		requireError(t, <-done, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		require.Zero(t, time.Since(begin))
	})
}

// TestD63RestartedControllerEndsTheSession at once: it refuses what another incarnation has begun.
func TestD63RestartedControllerEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, done := suspended(t)
		begin := time.Now()
		fresh := controller.New(resuming())
		t.Cleanup(func() { fresh.Close() })
		s.line.mu.Lock()
		s.line.ctl, s.line.down = fresh, nil
		s.line.mu.Unlock()
		requireError(t, <-done, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		require.Less(t, time.Since(begin), time.Second)
	})
}

// TestLeavingWhileCut ends in time, and leaves nothing behind but what the grace is for.
func TestLeavingWhileCut(t *testing.T) {
	for name, leave := range map[string]func(ctx context.Context, s *stage) error{
		"close":                      func(_ context.Context, s *stage) error { return s.client.Close() },
		"shutdown":                   func(ctx context.Context, s *stage) error { s.client.Shutdown(ctx); return nil },
		"shutdown of the server":     func(ctx context.Context, s *stage) error { s.server.Shutdown(ctx); return nil },
		"close of the controller":    func(_ context.Context, s *stage) error { return s.line.ctl.Close() },
		"shutdown of the controller": func(ctx context.Context, s *stage) error { s.line.ctl.Shutdown(ctx); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, done := suspended(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				require.NoError(t, leave(ctx, s))
				require.LessOrEqual(t, time.Since(begin), 2*time.Second)
				require.Error(t, <-done)
				require.LessOrEqual(t, time.Since(begin), testGrace+time.Second)
			})
		})
	}
}

// TestDrainOfACutNode waits for the node to come back, and then ends as any.
func TestDrainOfACutNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- s.back.Block(ctx) }()
		<-s.clientKit.Blocked
		s.line.reach(errors.New("no route"))
		a, _ := s.line.last()
		a.Close()
		time.AfterFunc(testGrace/2, func() { s.line.reach(nil) })
		time.AfterFunc(testGrace, cancel)
		begin := time.Now()
		require.NoError(t, s.client.Shutdown(t.Context()))
		require.GreaterOrEqual(t, time.Since(begin), testGrace)
		require.Less(t, time.Since(begin), 2*testGrace)
		requireError(t, <-done, daffi.Canceled, "", daffi.MayHaveRun)
		synctest.Wait()
		require.Equal(t, 1, s.line.ctl.Stats().Nodes)
	})
}

// TestSilentLinkResumes when the dead interval is over.
func TestSilentLinkResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		a, _ := s.line.last()
		a.Stall(true)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		require.NoError(t, echoes(s.p, "over the silence", 1000)(ctx))
		cancel()
		require.InDelta(t, 15, time.Since(begin).Seconds(), 1)
		time.Sleep(time.Minute) // the keepalive goes on
		require.Equal(t, 2, s.line.dials())
		a, _ = s.line.last()
		a.Stall(true)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, echoes(s.p, "and again", 1000)(ctx))
		s.once(t)
	})
}

// TestTimeOfACutIsTaken off what is left of a deadline (SEM-5).
func TestTimeOfACutIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		_, ctl := s.line.last()
		ctl.Stall(true) // what the client sends now does not arrive
		type answer struct {
			left time.Duration
			err  error
		}
		done := make(chan answer, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			_, left, err := s.p.Who(ctx)
			done <- answer{left, err}
		}()
		synctest.Wait()
		s.line.reach(errors.New("no route"))
		ctl.Close()
		time.Sleep(testGrace / 2)
		s.line.reach(nil)
		got := <-done
		require.NoError(t, got.err)
		deadline, _ := ctx.Deadline()
		require.InDelta(t, time.Until(deadline).Seconds(), got.left.Seconds(), 0.15)
	})
}

// tally is a Kit that counts how often each call of Echo has run, which is told by what it is given.
type tally struct {
	testkit.Impl
	mu  sync.Mutex
	ran map[string]int
}

func (k *tally) Echo(_ context.Context, b []byte) ([]byte, error) {
	k.mu.Lock()
	k.ran[string(b[:min(len(b), 24)])]++
	k.mu.Unlock()
	return b, nil
}

func (k *tally) Note(ctx context.Context, line string) error {
	_, err := k.Echo(ctx, []byte(line))
	return err
}

// hashChain is a hash over all that went by.
type hashChain [sha256.Size]byte

func (c *hashChain) add(s string) { *c = sha256.Sum256(append(c[:], s...)) }

// load is what goes on while links are cut: callers that go on until stop is closed, and check everything.
type load struct {
	t     *testing.T
	p     *testkit.KitProxy
	k     *tally
	stop  chan struct{}
	wg    sync.WaitGroup
	calls atomic.Int64
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// start starts callers of every kind.
func (l *load) start(ctx context.Context, seed uint64) {
	for i := range 4 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		l.wg.Go(func() {
			for n := 0; !l.stopped(); n++ {
				l.echo(ctx, fmt.Sprintf("%08d %012d  ", i, n), r)
			}
		})
	}
	r := rand.New(rand.NewPCG(seed, 100))
	l.wg.Go(func() {
		for !l.stopped() {
			l.chat(ctx, r)
		}
	})
	l.wg.Go(func() {
		for n := 0; !l.stopped(); n++ {
			line := fmt.Sprintf("note     %012d  ", n)
			if err := l.p.Note(ctx, line); err != nil {
				l.t.Errorf("Note: %v", err)
				return
			}
		}
	})
}

func (l *load) echo(ctx context.Context, name string, r *rand.Rand) {
	size := r.IntN(300)
	switch r.IntN(20) {
	case 0:
		size = r.IntN(60 << 10)
	case 1:
		size = r.IntN(300 << 10)
	}
	b := append([]byte(name), blob(size)...)
	got, err := l.p.Echo(ctx, b)
	if err != nil || !bytes.Equal(b, got) {
		l.t.Errorf("Echo %q with %d bytes: %d came back, %v", name, len(b), len(got), err)
	}
	l.calls.Add(1)
}

// chat sends lines and hashes them, and what comes back in order must have the same hash.
func (l *load) chat(ctx context.Context, r *rand.Rand) {
	var sent, got hashChain
	n, items := r.IntN(400), 0
	for line, err := range l.p.Chat(ctx, func(yield func(string, error) bool) {
		for i := range n {
			line := fmt.Sprint(i, string(blob(r.IntN(2000))))
			sent.add("re: " + line)
			if !yield(line, nil) {
				return
			}
		}
	}) {
		if err != nil {
			l.t.Errorf("Chat: item %d: %v", items, err)
			return
		}
		got.add(line)
		items++
	}
	if items != n || sent != got {
		l.t.Errorf("Chat: %d items of %d came back, the chains are equal: %v", items, n, sent == got)
	}
}

// end stops the callers. Everything has run, once.
func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	for name, n := range l.k.ran {
		require.Equal(l.t, 1, n, name)
	}
}

// TestCutsUnderLoad cuts the links of caller and callee again and again, in every way that a TCP connection can end: no call fails and none runs twice (ACC-7).
func TestCutsUnderLoad(t *testing.T) {
	cuts := testkit.Full(100, 5000)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ctl := controller.New(controller.Options{ResumeGrace: 20 * time.Second})
	t.Cleanup(func() { ctl.Close() })
	lines := []*tcpLine{newTCPLine(t, ctl), newTCPLine(t, ctl)}
	k := &tally{ran: map[string]int{}}
	options := func(i int, name string) daffi.Options {
		return daffi.Options{Name: name, Controller: lines[i], ResumeGrace: 20 * time.Second}
	}
	server := connect(t, options(0, "server"))
	_, err := testkit.RegisterKit(server, k)
	require.NoError(t, err)
	l := &load{t: t, p: testkit.NewKit(connect(t, options(1, "client"))), k: k, stop: make(chan struct{})}
	l.start(t.Context(), seed)
	r := rand.New(rand.NewPCG(seed, 200))
	var took []time.Duration
	for n := uint64(1); n <= uint64(cuts) && !t.Failed(); n++ {
		time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
		lines[r.IntN(2)].cut(r)
		begin := time.Now()
		for ctl.Stats().Resumed < n {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("cut %d: not resumed", n)
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(begin))
	}
	l.end()
	slices.Sort(took)
	if len(took) > 0 {
		t.Logf("%d cuts, %d calls; resumed after p50 %v, p99 %v, at most %v", len(took), l.calls.Load(), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		require.Less(t, took[len(took)*99/100], time.Second)
	}
	require.EqualValues(t, cuts, ctl.Stats().Resumed)
	require.Eventually(t, func() bool {
		st := ctl.Stats()
		return st.Calls == 0 && st.Serving == 0 && st.Kept == 0 && st.Links == 2
	}, 30*time.Second, 10*time.Millisecond)
	require.Empty(t, server.Held())
}

// tcpLine is a line over TCP.
type tcpLine struct {
	ctl *controller.Controller
	ln  net.Listener

	mu        sync.Mutex
	near, far *net.TCPConn // the newest
}

func newTCPLine(t *testing.T, ctl *controller.Controller) *tcpLine {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return &tcpLine{ctl: ctl, ln: ln}
}

func (l *tcpLine) Attach() (transport.Link, error) {
	c, err := l.dial(context.Background())
	if err != nil {
		return nil, err
	}
	return transport.NewDialed(c, transport.Info{Network: "tcp", Remote: "controller", UID: -1, Local: true}, l.dial), nil
}

func (l *tcpLine) dial(context.Context) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	near, err := net.Dial("tcp", l.ln.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := l.ln.Accept()
	if err != nil {
		return nil, err
	}
	l.near, l.far = near.(*net.TCPConn), far.(*net.TCPConn)
	l.ctl.Serve(transport.NewConn(far, transport.Info{Network: "tcp", Remote: "node", UID: -1, Local: true}), nil)
	return near, nil
}

// cut ends the newest connection: closed or reset, in one direction or both, at either end.
func (l *tcpLine) cut(r *rand.Rand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.near
	if r.IntN(2) == 0 {
		c = l.far
	}
	switch r.IntN(4) {
	case 0:
		c.Close()
	case 1:
		c.CloseWrite()
	case 2:
		c.CloseRead()
		c.CloseWrite()
	default:
		c.SetLinger(0)
		c.Close()
	}
}

// TestLoneCallerIsCut: a caller that reads its own replies (see transport.Attendant), and a callee that runs the calls where they were read, notice nothing of a cut
// after any byte; nor does a caller that comes when nobody reads and nobody has noticed the cut.
func TestLoneCallerIsCut(t *testing.T) {
	for _, of := range []string{"client", "server"} {
		for _, from := range []string{"node", "controller"} {
			t.Run(of+"/"+from, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newLine(t, resuming())
					client := &line{ctl: server.ctl}
					k := &tally{ran: map[string]int{}}
					_, err := testkit.RegisterKit(connect(t, server.options("server")), k)
					require.NoError(t, err)
					p := testkit.NewKit(connect(t, client.options("client")))
					calls := func(name string) {
						for i := range 12 { // before the calls are quick, and after
							require.NoError(t, echoes(p, fmt.Sprint(name, "/", i), 10)(t.Context()))
						}
					}
					l := map[string]*line{"client": client, "server": server}[of]
					for n := 0; n < 1200; n += testkit.Full(37, 3) {
						calls("before")
						cut, far := l.last()
						if from == "controller" {
							cut = far
						}
						if dials := l.dials(); n%2 == 0 {
							cut.CutAfter(n)
							calls(fmt.Sprint("act ", n))
							time.Sleep(time.Second)
							require.LessOrEqual(t, l.dials(), dials+1)
						} else { // no frame is under way
							cut.Close()
							calls(fmt.Sprint("act ", n))
							require.Equal(t, dials+1, l.dials())
						}
					}
					k.mu.Lock()
					defer k.mu.Unlock()
					for name, n := range k.ran {
						if !bytes.HasPrefix([]byte(name), []byte("before")) {
							require.Equal(t, 1, n, name)
						}
					}
				})
			})
		}
	}
}
