package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"strconv"
	"strings"
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
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
)

// effects are what the fields of Limits do: each is set, reached and gone past. Every field has a row, named by its limit and itself.
var effects = map[string]func(*testing.T){
	"LIM11 NestedRunning": testNestedRunning,
	"LIM11 HeldBytes":     testHeldBytes,
	"LIM74 ArgumentBytes": TestLIM74Bound,
	"LIM70 Callers":       testCallers,
	"LIM72 TableBytes":    testTableBytes,
	"LIM8 Depth": func(t *testing.T) {
		testValues(t, daffi.Limits{Depth: 3}, 3, 4, "more than 3 levels", func(depth int) []any {
			v := []any{}
			for range depth - 1 {
				v = []any{v}
			}
			return v
		})
	},
	"LIM8 DecodeMemory": func(t *testing.T) {
		const most = 64 << 10 / (2 * strconv.IntSize / 8) // elements of lists in Go, which are made in parts, each a little before it is filled
		testValues(t, daffi.Limits{DecodeMemory: 64 << 10}, 9*most/10, most+1, "more than 65536 bytes", func(n int) []any { return make([]any, n) })
	},
	"LIM9 Metadata": func(t *testing.T) {
		testMetadata(t, daffi.Limits{Metadata: 9}, map[string]string{"k": "12345"}, map[string]string{"k": "123456"})
	},
	"LIM9 MetadataKeys": func(t *testing.T) {
		testMetadata(t, daffi.Limits{MetadataKeys: 2}, map[string]string{"a": "", "b": ""}, map[string]string{"a": "", "b": "", "c": ""})
	},
	"LIM12 Streams":      testStreams,
	"LIM13 StreamMemory": testStreamMemory,
	"LIM13 StreamWindow": testStreamWindow,
	"LIM14 QueueBytes": func(t *testing.T) {
		testQueue(t, daffi.Limits{QueueBytes: 128 << 10}, 8, 16<<10-transport.HeaderSize-4)
	},
	"LIM14 QueueFrames":  func(t *testing.T) { testQueue(t, daffi.Limits{QueueFrames: 16}, 16, 1) },
	"LIM14 StallTimeout": testStallTimeout,
	"LIM27 KeptBytes":    testKeptBytes,
	"LIM18 ReconnectMin": func(t *testing.T) {
		testReconnect(t, daffi.Limits{ReconnectMin: 10 * time.Millisecond}, 10*time.Millisecond, time.Second)
	},
	"LIM18 ReconnectMax": func(t *testing.T) {
		testReconnect(t, daffi.Limits{ReconnectMax: 80 * time.Millisecond}, 50*time.Millisecond, 80*time.Millisecond)
	},
	"LIM20 CallDepth":    testCallDepth,
	"LIM24 Retries":      func(t *testing.T) { testRetries(t, daffi.Limits{Retries: 20}, 2, 22) },
	"LIM24 RetryPercent": func(t *testing.T) { testRetries(t, daffi.Limits{RetryPercent: 50}, 20, 199) },
	"LIM25 EventCopies":  testEventCopies,
	"LIM32 Hooks":        testHooks,
	"LIM33 Background":   testBackground,
	"LIM34 LostMethods":  testLostMethods,
	"LIM37 ConnEvents":   testConnEvents,
	"LIM41 Choices":      testChoices,
}

// TestLimitsTakeEffect: each field of Limits is a limit that is kept.
func TestLimitsTakeEffect(t *testing.T) { testkit.EveryField[daffi.Limits](t, effects) }

// limited is a kit in a bubble whose callee, or caller, has limits.
func limited(t *testing.T, callee, caller daffi.Limits, f func(t *testing.T, k *kit)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &kit{net: daffitest.New(t), impl: new(testkit.Impl)}
		k.server = k.net.NodeWith(daffi.Options{Name: "server", MaxRunning: 2, Limits: callee})
		k.client = k.net.NodeWith(daffi.Options{Name: "client", Limits: caller})
		_, err := testkit.RegisterKit(k.server, k.impl)
		require.NoError(t, err)
		k.p = testkit.NewKit(k.client)
		f(t, k)
	})
}

// testNestedRunning: handlers call a third node, which runs as many of these calls as it may, beside others.
func testNestedRunning(t *testing.T) {
	limited(t, daffi.Limits{NestedRunning: 1}, daffi.Limits{}, func(t *testing.T, k *kit) {
		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error, 2)
		_, err := daffi.Handle(k.net.Node("relay"), "Relay.Block", func(ctx context.Context, _ struct{}) (struct{}, error) {
			err := testkit.NewKit(daffi.NodeFrom(ctx)).Prepare().Block().With(daffi.Retry(0)).Do(ctx)
			ends <- err
			return struct{}{}, err
		})
		require.NoError(t, err)
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() { daffi.Invoke(ctx, k.client, "Relay.Block") })
		}
		requireError(t, <-ends, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		synctest.Wait()
		require.Empty(t, ends, "the other runs")
		require.NoError(t, k.p.Add(t.Context(), 1), "calls that no handler makes have their own")
		cancel()
		calls.Wait()
		requireError(t, <-ends, daffi.Canceled, "", daffi.MayHaveRun)
	})
}

// testHeldBytes: two handlers run, and large calls wait, of a size that two have room for exactly; the second of those that are a byte larger has none, and one waits however large it is.
func testHeldBytes(t *testing.T) {
	const size, head = 100 << 10, 6
	for _, c := range []struct{ limit, size, wait int }{{2 * (size + head), size, 2}, {2 * (size + head), size + 1, 1}, {1, size, 1}} {
		limited(t, daffi.Limits{HeldBytes: c.limit}, daffi.Limits{}, func(t *testing.T, k *kit) {
			ctx, cancel := context.WithCancel(t.Context())
			var running, waiting sync.WaitGroup
			for range 2 {
				running.Go(func() { k.p.Block(ctx) })
			}
			synctest.Wait()
			echo := func() error {
				_, err := k.p.Prepare().Echo(make([]byte, c.size)).With(daffi.Retry(0)).Do(t.Context())
				return err
			}
			for range c.wait {
				waiting.Go(func() { assert.NoError(t, echo()) })
				synctest.Wait()
			}
			requireError(t, echo(), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
			small := make(chan error, 1)
			go func() { small <- k.p.Add(t.Context(), 1) }()
			requireWaiting(t, small)
			cancel()
			running.Wait()
			waiting.Wait()
			require.NoError(t, <-small)
		})
	}
}

func testCallers(t *testing.T) {
	limited(t, daffi.Limits{Callers: 2}, daffi.Limits{}, func(t *testing.T, k *kit) {
		second, third := testkit.NewKit(k.net.Node("second")), testkit.NewKit(k.net.Node("third"))
		require.NoError(t, k.p.Add(t.Context(), 1))
		require.NoError(t, second.Add(t.Context(), 1))
		e := requireError(t, third.Add(t.Context(), 1), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		require.Contains(t, e.Message, "Limits.Callers")
		require.NoError(t, k.p.Add(t.Context(), 1))
		require.NoError(t, second.Add(t.Context(), 1))
	})
}

// testTableBytes: a node hears of as many others as there is room for, and says so where there are more. What a row takes is in TestLIM72TableBytes.
func testTableBytes(t *testing.T) {
	for nodes, all := range map[int]bool{3: true, 4: false} {
		synctest.Test(t, func(t *testing.T) {
			n, log := daffitest.New(t), new(testkit.Journal)
			curious := n.NodeWith(daffi.Options{Name: "n1", Limits: daffi.Limits{TableBytes: 1 << 10}, Logger: slog.New(slog.NewTextHandler(log, nil))})
			for i := 2; i <= nodes; i++ {
				n.Node(fmt.Sprint("n", i))
			}
			peers, err := curious.Peers(t.Context())
			require.NoError(t, err)
			require.Len(t, peers, 3, "each takes 258 bytes")
			synctest.Wait()
			require.Equal(t, !all, strings.Contains(log.String(), "Limits.TableBytes"))
			err = curious.WaitNode(within(t, time.Minute), fmt.Sprint("n", nodes))
			require.Equal(t, all, err == nil, "%v", err)
		})
	}
}

// testValues calls with a value that is within a limit, and with one that is not, as an argument for a callee that has the limit and as the result for a caller that has it.
func testValues(t *testing.T, l daffi.Limits, fits, not int, why string, value func(n int) []any) {
	serve := func(t *testing.T, k *kit) {
		_, err := daffi.Handle(k.server, "Mirror.Take", func(_ context.Context, v []any) (int, error) { return len(v), nil })
		require.NoError(t, err)
		_, err = daffi.Handle(k.server, "Mirror.Give", func(_ context.Context, n int) ([]any, error) { return value(n), nil })
		require.NoError(t, err)
	}
	limited(t, l, daffi.Limits{}, func(t *testing.T, k *kit) {
		serve(t, k)
		_, err := daffi.Invoke(t.Context(), k.client, "Mirror.Take", value(fits))
		require.NoError(t, err)
		_, err = daffi.Invoke(t.Context(), k.client, "Mirror.Take", value(not))
		e := requireError(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun)
		require.Contains(t, e.Message, why)
	})
	limited(t, daffi.Limits{}, daffi.Limits{}, func(t *testing.T, k *kit) {
		serve(t, k)
		_, err := daffi.Invoke(t.Context(), k.client, "Mirror.Take", value(not))
		require.NoError(t, err)
		_, err = daffi.Invoke(t.Context(), k.client, "Mirror.Give", not)
		require.NoError(t, err)
	})
	limited(t, daffi.Limits{}, l, func(t *testing.T, k *kit) {
		serve(t, k)
		_, err := daffi.Invoke(t.Context(), k.client, "Mirror.Give", fits)
		require.NoError(t, err)
		_, err = daffi.Invoke(t.Context(), k.client, "Mirror.Give", not)
		e := requireError(t, err, daffi.Internal, daffi.ReasonDecode, daffi.Ran)
		require.Contains(t, e.Message, why)
	})
}

func testMetadata(t *testing.T, l daffi.Limits, fits, not map[string]string) {
	var reply map[string]string
	serve := func(t *testing.T, k *kit) {
		_, err := daffi.Handle(k.server, "Tea.Brew", func(ctx context.Context, _ struct{}) (struct{}, error) {
			return struct{}{}, daffi.SetReplyMetadata(ctx, reply)
		})
		require.NoError(t, err)
	}
	brew := func(t *testing.T, k *kit) (map[string]string, error) {
		var r daffi.ReplyMetadata
		_, err := daffi.Invoke(daffi.WithReplyMetadata(t.Context(), &r), k.client, "Tea.Brew")
		return r.Values(), err
	}
	limited(t, l, daffi.Limits{}, func(t *testing.T, k *kit) {
		got, err := k.p.Meta(daffi.WithMetadata(t.Context(), fits))
		require.NoError(t, err)
		require.Equal(t, fits, got)
		_, err = k.p.Meta(daffi.WithMetadata(t.Context(), not))
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun)
		serve(t, k)
		reply = fits
		got, err = brew(t, k)
		require.NoError(t, err)
		require.Equal(t, fits, got)
		reply = not
		_, err = brew(t, k)
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonTooLarge, daffi.Ran)
	})
	limited(t, daffi.Limits{}, l, func(t *testing.T, k *kit) {
		_, err := k.p.Meta(daffi.WithMetadata(t.Context(), fits))
		require.NoError(t, err)
		_, err = k.p.Meta(daffi.WithMetadata(t.Context(), not))
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonTooLarge, daffi.NotRun)
		serve(t, k)
		reply = fits
		got, err := brew(t, k)
		require.NoError(t, err)
		require.Equal(t, fits, got)
		reply = not
		_, err = brew(t, k)
		requireError(t, err, daffi.Internal, daffi.ReasonDecode, daffi.Ran)
	})
}

// testStreams: a node receives so many streams at a time, results of its calls as well as arguments of calls that it serves.
func testStreams(t *testing.T) {
	l := daffi.Limits{Streams: 3}
	limited(t, daffi.Limits{}, l, func(t *testing.T, k *kit) {
		var stops []func()
		for range 3 {
			stops = append(stops, begin(t, k.p.Count(t.Context(), 1, "")))
		}
		for _, err := range k.p.Count(t.Context(), 1, "") {
			requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		}
		for _, stop := range stops {
			stop()
			require.NoError(t, drain(k.p.Count(t.Context(), 1, "")))
		}
	})
	limited(t, l, daffi.Limits{}, func(t *testing.T, k *kit) {
		hold := make(chan struct{})
		var calls sync.WaitGroup
		sum := func() error {
			_, err := k.p.Prepare().Sum(0, func(yield func(int, error) bool) { <-hold }).With(daffi.Retry(0)).Do(t.Context())
			return err
		}
		for range 3 {
			calls.Go(func() { assert.NoError(t, sum()) })
		}
		synctest.Wait()
		requireError(t, sum(), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		close(hold)
		calls.Wait()
		require.NoError(t, sum())
	})
}

// granted is what a node grants at most to streams that it takes as fast as they come.
func granted(t *testing.T, l daffi.Limits, streams int) (most int) {
	limited(t, daffi.Limits{}, l, func(t *testing.T, k *kit) {
		var all []func() ([]byte, error, bool)
		for range streams {
			next, stop := iter.Pull2(k.p.Blobs(t.Context(), 200, 300))
			defer stop()
			all = append(all, next)
		}
		for range 200 {
			for _, next := range all {
				b, err, ok := next()
				require.True(t, ok)
				require.NoError(t, err)
				require.Len(t, b, 300)
				most = max(most, daffi.Granted(k.client))
			}
		}
	})
	return most
}

func testStreamMemory(t *testing.T) {
	require.Equal(t, 2<<10, granted(t, daffi.Limits{Streams: 2, StreamMemory: 2 << 10}, 2))
	most := granted(t, daffi.Limits{Streams: 2, StreamMemory: 24 << 10}, 2)
	require.LessOrEqual(t, most, 24<<10)
	require.Greater(t, most, 2<<10)
	require.Greater(t, granted(t, daffi.Limits{}, 2), 24<<10)
}

func testStreamWindow(t *testing.T) {
	for _, window := range []int{transport.MinCredit, 5000} {
		require.Equal(t, window, granted(t, daffi.Limits{StreamWindow: window}, 1))
	}
	require.Greater(t, granted(t, daffi.Limits{}, 1), 5000)
}

// valve is a connection that is read from while it is open.
type valve struct {
	net.Conn
	shut atomic.Bool
	gate chan struct{}
}

func (c *valve) Read(p []byte) (int, error) {
	if c.shut.Load() {
		<-c.gate
	}
	return c.Conn.Read(p)
}

// close lets it be read from once more.
func (c *valve) close() {
	synctest.Wait()
	c.shut.Store(true)
}

func (c *valve) open() {
	if c.shut.Swap(false) {
		close(c.gate)
	}
}

// valved is a kit whose caller has limits, and a connection that its controller need not read from.
func valved(t *testing.T, o daffi.Options) (*kit, *valve) {
	k := &kit{net: daffitest.New(t), impl: new(testkit.Impl)}
	k.server = k.net.Node("server")
	_, err := testkit.RegisterKit(k.server, k.impl)
	require.NoError(t, err)
	var far *valve
	o.Name = "client"
	k.client = join(t, k.net, o, func() (net.Conn, net.Conn) {
		x, y := net.Pipe()
		far = &valve{Conn: y, gate: make(chan struct{})}
		return x, far
	})
	t.Cleanup(far.open)
	k.p = testkit.NewKit(k.client)
	require.NoError(t, k.p.Add(t.Context(), 0))
	return k, far
}

// testQueue fills the queue towards a controller that takes nothing: one more call waits until there is room, and one that nobody waits for is refused.
func testQueue(t *testing.T, l daffi.Limits, most, size int) {
	synctest.Test(t, func(t *testing.T) {
		k, far := valved(t, daffi.Options{Limits: l, Compression: daffi.CompressOff})
		echo := func() error {
			_, err := k.p.Prepare().Echo(make([]byte, size)).With(daffi.Retry(0)).Do(t.Context())
			return err
		}
		far.close()
		require.NoError(t, k.p.Add(t.Context(), 1), "what the controller reads already")
		ends := make(chan error, most)
		for range most {
			go func() { ends <- echo() }()
			synctest.Wait()
			require.Empty(t, ends)
		}
		post := k.p.Prepare().Note("").With(daffi.WithAck(daffi.AckNone))
		requireError(t, post.Do(t.Context()), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		_, err := k.p.Echo(within(t, time.Second), make([]byte, size))
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
		more := waiting(echo)
		requireWaiting(t, more)
		far.open()
		for range most {
			require.NoError(t, <-ends)
		}
		require.NoError(t, <-more)
		require.NoError(t, post.Do(t.Context()))
	})
}

func testStallTimeout(t *testing.T) {
	for limit, after := range map[time.Duration]time.Duration{time.Second: time.Second, 0: transport.StallTimeout} {
		synctest.Test(t, func(t *testing.T) {
			k, far := valved(t, daffi.Options{Limits: daffi.Limits{StallTimeout: limit}})
			far.close()
			require.NoError(t, k.p.Add(t.Context(), 1), "what the controller reads already")
			end := make(chan error, 1)
			go func() { end <- k.p.Prepare().Add(1).With(daffi.Retry(0)).Do(t.Context()) }()
			pass(after - 1)
			require.Equal(t, daffi.StateReady, k.client.State())
			pass(1)
			requireError(t, <-end, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
			far.open()
		})
	}
}

// testKeptBytes: what is not acknowledged at once, which is less than 256 KiB, is kept as far as may be, and more is sent when it is.
func testKeptBytes(t *testing.T) {
	const size, calls = 4 << 10, 40
	for limit, want := range map[int]int{64 << 10: 64 << 10 / size, 0: calls} {
		synctest.Test(t, func(t *testing.T) {
			l := newLine(t, resuming())
			server := connect(t, daffi.Options{Name: "server", Controller: l.ctl})
			var served atomic.Int32
			_, err := daffi.Handle(server, "Post.Box", func(context.Context, []byte) (struct{}, error) { served.Add(1); return struct{}{}, nil })
			require.NoError(t, err)
			o := l.options("client")
			o.Limits.KeptBytes, o.Compression = limit, daffi.CompressOff
			client := connect(t, o)
			_, err = daffi.Invoke(t.Context(), client, "Post.Box", []byte{})
			require.NoError(t, err)
			pass(time.Second) // all is acknowledged
			served.Store(0)
			var all sync.WaitGroup
			for range calls {
				all.Go(func() {
					_, err := daffi.Invoke(t.Context(), client, "Post.Box", make([]byte, size-transport.HeaderSize-4))
					assert.NoError(t, err)
				})
				synctest.Wait() // else several go in one block
			}
			require.LessOrEqual(t, int(served.Load()), want)
			require.GreaterOrEqual(t, int(served.Load()), want-want/10, "what is kept costs a little more than its bytes")
			all.Wait()
		})
	}
}

// testReconnect: the pauses between attempts to join grow from one limit to the other.
func testReconnect(t *testing.T, l daffi.Limits, first, longest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		n := daffi.New(daffi.Options{Name: "n", Limits: l, Logger: slog.New(slog.NewTextHandler(new(testkit.Journal), nil)), Controller: attaching(func() (transport.Link, error) {
			at = append(at, time.Now())
			return nil, errors.New("nobody listens")
		})})
		require.Error(t, n.Join(within(t, 1000*longest)))
		require.NoError(t, n.Close())
		require.LessOrEqual(t, at[1].Sub(at[0]), first)
		most := time.Duration(0)
		for i := range at[1:] {
			most = max(most, at[i+1].Sub(at[i]))
		}
		require.LessOrEqual(t, most, longest)
		require.Greater(t, most, longest*9/10)
	})
}

// testCallDepth: the bound holds for what a node's handlers call, and for what the node serves.
func testCallDepth(t *testing.T) {
	limited(t, daffi.Limits{CallDepth: 3, NestedRunning: -1}, daffi.Limits{}, func(t *testing.T, k *kit) {
		n, err := k.p.Nest(t.Context(), 3)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		_, err = k.p.Nest(t.Context(), 4)
		e := requireError(t, err, daffi.ResourceExhausted, "", daffi.Ran)
		require.Contains(t, e.Message, "Kit.Nest: resource_exhausted/depth: calls are nested deeper than 3", "the server has not sent it")

		relay := k.net.Node("relay")
		_, err = testkit.RegisterKit(relay, &mutual{other: "relay"})
		require.NoError(t, err)
		_, err = daffi.Handle(relay, "Relay.Down", func(ctx context.Context, depth int) (struct{}, error) {
			if depth == 0 {
				return struct{}{}, testkit.NewKit(relay, daffi.To("server")).Add(ctx, 1)
			}
			_, err := daffi.Invoke(ctx, relay, "Relay.Down", depth-1)
			return struct{}{}, err
		})
		require.NoError(t, err)
		_, err = daffi.Invoke(t.Context(), k.client, "Relay.Down", 2)
		require.NoError(t, err)
		_, err = daffi.Invoke(t.Context(), k.client, "Relay.Down", 3)
		e = requireError(t, err, daffi.ResourceExhausted, "", daffi.Ran)
		require.Contains(t, e.Message, "Kit.Add at server: resource_exhausted/depth: calls are nested deeper than 3", "the server has refused it")
	})
}

// testRetries: what is there from the beginning, and what is once many calls have earned as much as is saved up. Each of the calls that are repeated then earns its part as well, but for the first.
func testRetries(t *testing.T, l daffi.Limits, first, saved int) {
	synctest.Test(t, func(t *testing.T) {
		_, p, cut := cutKitWith(t, l)
		again := func() (n int) {
			*cut = true
			for ; ; n++ {
				if _, err := p.Get(t.Context(), "k"); err != nil {
					requireError(t, err, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
					return n
				}
			}
		}
		require.Equal(t, first, again())
		*cut = false
		for range 300 {
			_, err := p.Get(t.Context(), "k")
			require.NoError(t, err)
		}
		require.Equal(t, saved, again())
	})
}

// testEventCopies: of an event to nodes that take nothing so many copies are under way.
func testEventCopies(t *testing.T) {
	for limit, want := range map[int]int{2: 2, 5: 5, 0: 5} {
		synctest.Test(t, func(t *testing.T) {
			n, b := daffitest.New(t), new(board)
			var valves []*valve
			for i := range 5 {
				node := join(t, n, daffi.Options{Name: fmt.Sprint("b", i)}, func() (net.Conn, net.Conn) {
					x, y := net.Pipe()
					near := &valve{Conn: x, gate: make(chan struct{})}
					valves = append(valves, near)
					return near, y
				})
				_, err := events.RegisterBoard(node, b)
				require.NoError(t, err)
			}
			for _, c := range valves {
				t.Cleanup(c.open)
			}
			p := events.NewTown(n.NodeWith(daffi.Options{Name: "town", Limits: daffi.Limits{EventCopies: limit}}))
			bell := p.Prepare().Bell().With(daffi.WithAck(daffi.AckAdmitted))
			require.NoError(t, bell.Do(t.Context()), "so that the nodes are told of the caller")
			require.Len(t, b.take(), 5)
			for _, c := range valves {
				c.close()
			}
			require.NoError(t, bell.Do(t.Context()), "what the nodes read already")
			require.Len(t, b.take(), 5, "%d", limit)
			end := make(chan error, 1)
			go func() { end <- bell.Do(t.Context()) }()
			synctest.Wait()
			require.Equal(t, want, n.Controller.Stats().Calls)
			for _, c := range valves {
				c.open()
			}
			require.NoError(t, <-end)
			require.Len(t, b.take(), 5)
		})
	}
}

func testHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(testkit.Journal)
		n := daffi.New(daffi.Options{Logger: slog.New(slog.NewTextHandler(log, nil)), Limits: daffi.Limits{Hooks: 3}})
		hold, ran := make(chan struct{}), 0
		require.True(t, daffi.Notify(n, func() { <-hold }))
		synctest.Wait()
		for range 3 {
			require.True(t, daffi.Notify(n, func() { ran++ }))
		}
		require.False(t, daffi.Notify(n, func() { t.Error("one more than there is room for") }))
		close(hold)
		require.NoError(t, n.Close())
		require.Equal(t, 3, ran)
		require.Contains(t, log.String(), "dropped=1")
	})
}

func testBackground(t *testing.T) {
	limited(t, daffi.Limits{}, daffi.Limits{Background: 3}, func(t *testing.T, k *kit) {
		var futures []*daffi.Future[int]
		for range 3 {
			futures = append(futures, k.p.Prepare().Nest(0).With(daffi.After(time.Second)).Go(t.Context()))
		}
		_, err := k.p.Prepare().Nest(0).Go(t.Context()).Wait(t.Context())
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		for _, f := range futures {
			_, err := f.Wait(t.Context())
			require.NoError(t, err)
		}
		_, err = k.p.Prepare().Nest(0).Go(t.Context()).Wait(t.Context())
		require.NoError(t, err)
	})
}

func testLostMethods(t *testing.T) {
	n := daffi.New(daffi.Options{Limits: daffi.Limits{LostMethods: 2}})
	for _, method := range []string{"S.A", "S.B", "S.C", "S.A", "S.D"} {
		daffi.Lose(n, method)
	}
	require.Equal(t, map[string]uint64{"S.A": 2, "S.B": 1, "": 2}, n.Lost())
	require.NoError(t, n.Close())
}

func testConnEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { testSlowHooks(t, daffi.Limits{ConnEvents: 16}, 16, 50) })
}

// asked counts the questions for the routes of choices that go over a node's links.
type asked struct {
	ctl   *controller.Controller
	count atomic.Int32
}

type askedLink struct {
	transport.Link
	of *asked
}

func (a *asked) Attach() (transport.Link, error) {
	l, err := a.ctl.Attach()
	return askedLink{l, a}, err
}

func (l askedLink) Enqueue(f transport.Frame) error {
	if f.Kind == transport.Control {
		l.of.count.Add(1)
	}
	return l.Link.Enqueue(f)
}

// testChoices: with so many choices a proxy asks the controller once each, with further ones each time.
func testChoices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := &asked{ctl: k.net.Controller}
		p := testkit.NewKit(connect(t, daffi.Options{Name: "asker", Controller: a, Limits: daffi.Limits{Choices: 2}}))
		questions := func(choice string) int {
			a.count.Store(0)
			err := p.Prepare().Add(1).With(daffi.Where("shard", choice)).Do(t.Context())
			requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
			return int(a.count.Load())
		}
		for _, choice := range []string{"1", "2"} {
			require.Positive(t, questions(choice))
			require.Zero(t, questions(choice))
		}
		for range 3 {
			require.Positive(t, questions("3"))
			require.Zero(t, questions("1"))
		}
	})
}
