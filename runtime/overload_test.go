package daffi_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// cable makes the two ends of the connection of a node that joins.
type cable func() (node, controller net.Conn)

// through is a controller that nodes reach by such connections.
type through struct {
	ctl   *controller.Controller
	cable cable
}

func (c through) Attach() (transport.Link, error) {
	a, b := c.cable()
	c.ctl.Serve(transport.NewConn(b, transport.Info{Network: "mem", Remote: "node", UID: -1}), nil)
	return transport.NewConn(a, transport.Info{Network: "mem", Remote: "controller", UID: -1}), nil
}

// join connects a node over a cable of its own.
func join(t *testing.T, n *daffitest.Net, o daffi.Options, c cable) *daffi.Node {
	t.Helper()
	o.Controller = through{n.Controller, c}
	node, err := daffi.Connect(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { node.Close() })
	return node
}

// ACC-22: one consumer takes nothing, and 100 streams and calls on the same links come to their end meanwhile; what is held for it is what it was granted.
func TestT15StuckConsumerHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := daffitest.New(t)
		over := func() (net.Conn, net.Conn) { a, b := memconn.Pair(); return a, b }
		server := join(t, n, daffi.Options{Name: "server"}, over)
		client := join(t, n, daffi.Options{Name: "client"}, over)
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		p := testkit.NewKit(client)
		next, stop := iter.Pull2(p.Blobs(t.Context(), 1<<30, 4<<10))
		defer stop()
		for range 1000 { // so that it is granted as much as a stream can be
			_, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
		}
		synctest.Wait()
		granted := daffi.Granted(client)
		held := daffi.Queued(client)
		require.LessOrEqual(t, held, granted)
		require.Greater(t, held, granted/4, "the stream is not stuck")

		begun := time.Now()
		var active sync.WaitGroup
		for i := range 100 {
			active.Go(func() {
				switch i % 3 {
				case 0:
					n := 0
					for b, err := range p.Blobs(t.Context(), 20, 10<<10) {
						assert.NoError(t, err)
						n += len(b)
					}
					assert.Equal(t, 20*10<<10, n)
				case 1:
					n, err := p.Sum(t.Context(), 0, numbers(1500))
					assert.NoError(t, err)
					assert.Equal(t, 1500*1499/2, n)
				default:
					for range 50 {
						_, err := p.Echo(t.Context(), make([]byte, 1000))
						assert.NoError(t, err)
					}
				}
			})
		}
		active.Wait()
		require.Zero(t, time.Since(begun))
		synctest.Wait()
		require.Equal(t, held, daffi.Queued(client), "the stuck one held on to what it had, and got no more")
	})
}

// ACC-23: a node takes nothing any more, and callers flood it: they are told busy, or their deadlines end them, until the link is given up; calls to another node take no time meanwhile, and what
// is held for the stuck node is bounded.
func TestStuckNodeHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := daffitest.New(t)
		var end *memconn.Conn
		stuck := join(t, n, daffi.Options{Name: "stuck"}, func() (net.Conn, net.Conn) {
			a, b := memconn.Pair()
			end = a
			return a, b
		})
		good := n.Node("good")
		for _, s := range []*daffi.Node{stuck, good} {
			_, err := testkit.RegisterKit(s, new(testkit.Impl))
			require.NoError(t, err)
		}
		caller, other := n.NodeWith(daffi.Options{Name: "caller", Compression: daffi.CompressOff}), n.Node("other")
		flood, calm := testkit.NewKit(caller, daffi.To("stuck")), testkit.NewKit(other, daffi.To("good"))
		_, err := flood.Echo(t.Context(), nil)
		require.NoError(t, err)

		end.Stall(true)
		begun := time.Now()
		var told [3]atomic.Int64
		var lost atomic.Int64 // when the node was given up, in nanoseconds since begun
		message := make([]byte, 60<<10)
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				for lost.Load() == 0 {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					_, err := flood.Echo(ctx, message)
					cancel()
					switch code := daffi.CodeOf(err); code {
					case daffi.ResourceExhausted:
						told[0].Add(1)
						time.Sleep(500 * time.Millisecond)
					case daffi.DeadlineExceeded:
						told[1].Add(1)
					case daffi.Unavailable:
						told[2].Add(1)
						lost.CompareAndSwap(0, int64(time.Since(begun)))
					default:
						assert.NoError(t, err)
					}
				}
			})
		}
		for lost.Load() == 0 {
			now := time.Now()
			_, err := calm.Echo(t.Context(), make([]byte, 64))
			require.NoError(t, err)
			require.Zero(t, time.Since(now))
			require.LessOrEqual(t, n.Controller.Stats().Calls, 1+transport.QueueBytes/(60<<10)+4, "more is held for the node than may be")
			time.Sleep(50 * time.Millisecond)
		}
		callers.Wait()
		took := time.Duration(lost.Load())
		require.GreaterOrEqual(t, took, transport.StallTimeout)
		require.LessOrEqual(t, took, 3*transport.StallTimeout/2+50*time.Millisecond)
		require.Positive(t, told[0].Load(), "busy")
		require.Positive(t, told[1].Load(), "deadline")
		end.Stall(false)
	})
}

// slow is a cable of so many bytes a second in each direction, that holds 64 KiB on either side, as sockets do.
func slow(t *testing.T, rate int) cable {
	return func() (net.Conn, net.Conn) {
		a, x := memconn.Pair()
		y, b := memconn.Pair()
		var pumps sync.WaitGroup
		pump := func(from, to net.Conn) {
			defer to.Close()
			packet := make([]byte, 1500)
			for {
				n, err := from.Read(packet)
				time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
				if _, werr := to.Write(packet[:n]); err != nil || werr != nil {
					return
				}
			}
		}
		pumps.Go(func() { pump(x, y) })
		pumps.Go(func() { pump(y, x) })
		t.Cleanup(pumps.Wait)
		return a, b
	}
}

// ACC-24: large messages and small calls share a link of 80 Mbit/s. The clock of the test is exact, so are its figures.
func TestT15SmallCallsBesideLargeOnesOnASlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := daffitest.New(t)
		server := n.Node("server")
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		client := join(t, n, daffi.Options{Name: "client", Compression: daffi.CompressOff}, slow(t, 10_000_000))
		p := testkit.NewKit(client)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var large sync.WaitGroup
		var done atomic.Int64
		for range 3 {
			large.Go(func() {
				for b := make([]byte, 4<<20-10); ctx.Err() == nil; {
					if _, err := p.Echo(ctx, b); err == nil {
						done.Add(1)
					}
				}
			})
		}
		time.Sleep(time.Second / 2)
		begun, before := time.Now(), done.Load()
		var took []time.Duration
		for range full(100, 2000) {
			now := time.Now()
			_, err := p.Echo(t.Context(), make([]byte, 64))
			require.NoError(t, err)
			took = append(took, time.Since(now))
			time.Sleep(7 * time.Millisecond)
		}
		slices.Sort(took)
		p50, p99 := took[len(took)/2], took[len(took)*99/100]
		each := float64(done.Load()-before) * (4 << 20) / time.Since(begun).Seconds() / 10e6
		t.Logf("64-byte calls beside 4 MiB ones at 80 Mbit/s: p50 %v, p99 %v, max %v; the large ones have %.0f %% of the link in each direction", p50, p99, took[len(took)-1], 100*each)
		require.LessOrEqual(t, p99, 30*time.Millisecond)
		require.Greater(t, each, 0.4, "they are not held up for it")
		cancel()
		large.Wait()
		require.NoError(t, client.Close())
	})
}

// mutual calls the other node from its handlers, to a given depth.
type mutual struct {
	testkit.Impl
	other string
}

func (m *mutual) Nest(ctx context.Context, depth int) (int, error) {
	if depth == 0 {
		return 1, nil
	}
	n, err := testkit.NewKit(daffi.NodeFrom(ctx), daffi.To(m.other)).Nest(ctx, depth-1)
	return n + 1, err
}

// ACC-25: handlers of two nodes call each other, and of one node itself, as deep as it goes, over connections that hold no byte: whoever writes waits for the reader, and
// no reader may wait for a writer.
func TestACC25MutualCallsDoNotDeadlock(t *testing.T) {
	for name, others := range map[string][2]string{"each other": {"b", "a"}, "themselves": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := daffitest.New(t)
				chains := full(50, 1000)
				room := 2 * chains * transport.MaxDepth
				var first []*testkit.KitProxy
				for i, name := range []string{"a", "b"} {
					node := join(t, n, daffi.Options{Name: name, MaxRunning: room, MaxRunningPerCaller: room}, func() (net.Conn, net.Conn) { return net.Pipe() })
					_, err := testkit.RegisterKit(node, &mutual{other: others[i]})
					require.NoError(t, err)
					first = append(first, testkit.NewKit(node, daffi.To(others[i])))
				}
				begun := time.Now()
				var calls sync.WaitGroup
				for i := range chains {
					calls.Go(func() {
						got, err := first[i%2].Nest(t.Context(), transport.MaxDepth)
						assert.NoError(t, err)
						assert.Equal(t, transport.MaxDepth+1, got)
					})
				}
				calls.Wait()
				// A reader that has handlers of its own to run steps aside by a tick of 5 ms; nothing may wait for a longer clock.
				require.LessOrEqual(t, time.Since(begun), transport.MaxDepth*5*time.Millisecond, "something waited for a clock")
			})
		})
	}
}

// paced takes some time for each call, and notes those whose deadline has passed before they start, and how old the oldest was.
type paced struct {
	testkit.Impl
	takes  time.Duration
	starts atomic.Int64
	late   atomic.Int64
	oldest atomic.Int64
}

func (p *paced) Echo(ctx context.Context, b []byte) ([]byte, error) {
	now := time.Now()
	if d, ok := ctx.Deadline(); ok && !now.Before(d) {
		p.late.Add(1)
	}
	p.starts.Add(1)
	if age := now.UnixNano() - int64(binary.LittleEndian.Uint64(b)); age > p.oldest.Load() {
		p.oldest.Store(age)
	}
	time.Sleep(p.takes)
	return b, nil
}

// stamp is a message that says when it was made.
func stamp() []byte { return binary.LittleEndian.AppendUint64(nil, uint64(time.Now().UnixNano())) }

// ACC-26: ten callers, each with the whole capacity of a node, and one that calls now and then. The node does what it can do, all others are told at once that they did
// not run, callers have equal parts, and the one that asks for little is never refused.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := daffitest.New(t)
		const running, takes, callers, second = 10, 20 * time.Millisecond, 10, 1
		const capacity = running * int(time.Second/takes)
		impl := &paced{takes: takes}
		server := n.NodeWith(daffi.Options{Name: "server", MaxRunning: running, MaxRunningPerCaller: running, MaxQueue: 3 * running})
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		var done [callers]int64
		var refused atomic.Int64
		var all sync.WaitGroup
		for c := range callers {
			p := testkit.NewKit(n.Node(fmt.Sprint("caller-", c)))
			all.Go(func() {
				var calls sync.WaitGroup
				for range second * capacity {
					time.Sleep(time.Second / time.Duration(capacity))
					calls.Go(func() {
						begun := time.Now()
						ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
						defer cancel()
						if _, err := p.Echo(ctx, stamp()); err == nil {
							atomic.AddInt64(&done[c], 1)
						} else {
							refused.Add(1)
							assert.Equal(t, daffi.NotRun, daffi.OutcomeOf(err), "%v", err)
							assert.Equal(t, daffi.ResourceExhausted, daffi.CodeOf(err), "%v", err)
							assert.Less(t, time.Since(begun), time.Second, "refused after its two repetitions, or pushed out")
						}
					})
				}
				calls.Wait()
			})
		}
		light := testkit.NewKit(n.Node("light"))
		for range 10 * second {
			time.Sleep(time.Second / 10)
			_, err := light.Echo(t.Context(), stamp())
			require.NoError(t, err)
		}
		all.Wait()
		sum := int64(0)
		for _, d := range done {
			sum += d
		}
		for _, d := range done {
			assert.InEpsilon(t, float64(sum)/callers, float64(d), 0.3, "%v", done)
		}
		t.Logf("capacity %d, offered %d, done %d, refused %d; by caller %v; the oldest waited %v", second*capacity, second*capacity*callers, sum, refused.Load(), done, time.Duration(impl.oldest.Load()))
		require.GreaterOrEqual(t, sum, int64(second*capacity*8/10))
		synctest.Wait()
		require.Empty(t, server.Held())
		require.Zero(t, n.Controller.Stats().Calls)
	})
}

// ACC-27: a callee is slower than its callers for a minute. No call starts after its deadline, none is older than that when it starts, and all end in time.
func TestSlowCallee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := daffitest.New(t)
		const limit = 5 * time.Second
		impl := &paced{takes: time.Second}
		server := n.NodeWith(daffi.Options{Name: "server", MaxRunning: 8, MaxRunningPerCaller: 4})
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		var all sync.WaitGroup
		var done, over, busy atomic.Int64
		for c := range 3 {
			p := testkit.NewKit(n.Node(fmt.Sprint("caller-", c)))
			all.Go(func() {
				for range 60 * 50 {
					time.Sleep(time.Second / 50)
					all.Go(func() {
						begun := time.Now()
						ctx, cancel := context.WithTimeout(t.Context(), limit)
						defer cancel()
						_, err := p.Echo(ctx, stamp())
						assert.LessOrEqual(t, time.Since(begun), limit+slack)
						switch code := daffi.CodeOf(err); {
						case err == nil:
							done.Add(1)
						case code == daffi.DeadlineExceeded:
							over.Add(1)
						case code == daffi.ResourceExhausted:
							busy.Add(1)
						default:
							assert.NoError(t, err)
						}
					})
				}
			})
		}
		all.Wait()
		t.Logf("%d done, %d past their deadline, %d busy; %d started, the oldest %v after it was made", done.Load(), over.Load(), busy.Load(), impl.starts.Load(), time.Duration(impl.oldest.Load()))
		require.Zero(t, impl.late.Load(), "started past the deadline")
		require.Less(t, impl.oldest.Load(), int64(limit))
		require.GreaterOrEqual(t, impl.starts.Load(), int64(60*8*9/10), "the callee was not kept busy")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Empty(t, server.Held())
	})
}
