package daffi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// wire is a controller that is reached over connections in memory, and may be away.
type wire struct {
	mu    sync.Mutex
	ctl   *controller.Controller // nil: away
	conns []*memconn.Conn        // the node's ends, in order of dialling
	links []transport.Link       // over them
	tries int
}

func (w *wire) Attach() (transport.Link, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries++
	if w.ctl == nil {
		return nil, errors.New("nobody listens")
	}
	a, b := memconn.Pair()
	w.ctl.Serve(transport.NewConn(b, transport.Info{Network: "mem", Remote: "node", UID: -1}), nil)
	w.conns = append(w.conns, a)
	l := transport.NewConn(a, transport.Info{Network: "mem", Remote: "controller", UID: -1})
	w.links = append(w.links, l)
	return l, nil
}

// last is the newest connection.
func (w *wire) last() *memconn.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[len(w.conns)-1]
}

// start puts a new controller in place, stop takes it away.
func (w *wire) start(t *testing.T) {
	c := controller.New(controller.Options{})
	t.Cleanup(func() { c.Close() })
	w.mu.Lock()
	w.ctl = c
	w.mu.Unlock()
}

func (w *wire) stop() {
	w.mu.Lock()
	c := w.ctl
	w.ctl = nil
	w.mu.Unlock()
	c.Close()
}

func (w *wire) attempts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tries
}

func connect(t *testing.T, o daffi.Options) *daffi.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n, err := daffi.Connect(ctx, o)
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

func TestD8ConnectWaitsForTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := new(wire)
		start := time.Now()
		time.AfterFunc(10*time.Second, func() { w.start(t) })
		n, err := daffi.Connect(t.Context(), daffi.Options{Name: "n", Controller: w, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 10*time.Second)
		require.Less(t, time.Since(start), 11*time.Second+time.Millisecond, "a pause is at most a second")
		require.GreaterOrEqual(t, w.attempts(), 10)
		require.NoError(t, n.Close())
		require.Contains(t, log.String(), `msg="waiting for the controller" node=n addr=memory error="nobody listens"`)
	})
}

func TestConnectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := daffi.Connect(ctx, daffi.Options{Name: "n", Controller: new(wire)})
		requireError(t, err, daffi.Unavailable, daffi.ReasonLinkLost, daffi.NotRun)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "no controller at memory")
		require.ErrorContains(t, err, "nobody listens")
	})
}

func TestWrongOptions(t *testing.T) {
	for want, o := range map[string]daffi.Options{
		"Options.Name":                            {Name: "Not A Name"},
		"both Options.Addr and Options.Controll":  {Addr: "unix:///x", Controller: new(wire)},
		"ftp://x":                                 {Addr: "ftp://x"},
		"not a loopback address":                  {Addr: "tcp://192.0.2.1:7070"},
		"Options.MaxMessage is -1":                {MaxMessage: -1, Controller: new(wire)},
		"Options.Labels: the label name \"Zone\"": {Labels: map[string]string{"Zone": "eu"}, Controller: new(wire)},
		"Options.MaxMessage is 1073741825":        {MaxMessage: 1<<30 + 1, Controller: new(wire)},
	} {
		_, err := daffi.Connect(t.Context(), o)
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		require.ErrorContains(t, err, want)
	}
}

func TestD65NameIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		first := connect(t, daffi.Options{Name: "same", Controller: w})
		_, err := daffi.Connect(t.Context(), daffi.Options{Name: "same", Controller: w})
		e := requireError(t, err, daffi.AlreadyExists, daffi.ReasonNameTaken, daffi.NotRun)
		require.Contains(t, e.Message, "same")
		require.NoError(t, first.Close())
		connect(t, daffi.Options{Name: "same", Controller: w})
	})
}

func TestD61Reconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		impl := &testkit.Impl{Blocked: make(chan struct{}, 1), Ended: make(chan error, 1)}
		server, client := connect(t, daffi.Options{Name: "server", Controller: w}), connect(t, daffi.Options{Name: "client", Controller: w})
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		p := testkit.NewKit(client)
		require.NoError(t, p.Add(t.Context(), 1))

		running := make(chan error, 1)
		go func() { running <- p.Block(t.Context()) }()
		<-impl.Blocked
		start := time.Now()
		w.stop()
		requireError(t, <-running, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		require.Less(t, time.Since(start), 50*time.Millisecond)
		require.Error(t, <-impl.Ended, "nobody can be answered any more")

		// Calls made now wait for the controller within their context.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = p.Add(ctx, 1)
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
		require.ErrorContains(t, err, "nobody listens")
		time.AfterFunc(time.Minute, func() { w.start(t) })
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		require.NoError(t, client.WaitMethod(ctx, "Kit.Add"), "services are registered again")
		require.NoError(t, p.Add(ctx, 1), "routes are asked for again")
		n, err := p.Total(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, n, "at most once")
	})
}

func TestSilentControllerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		impl := &testkit.Impl{Blocked: make(chan struct{}, 1), Ended: make(chan error, 1)}
		server, client := connect(t, daffi.Options{Name: "server", Controller: w}), connect(t, daffi.Options{Name: "client", Controller: w})
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, 2, w.attempts(), "idle links are kept alive")

		// The cable of the client is cut: both sides find out within the dead interval.
		p := testkit.NewKit(client)
		running := make(chan error, 1)
		go func() { running <- p.Block(context.Background()) }()
		<-impl.Blocked
		start := time.Now()
		w.last().Stall(true)
		requireError(t, <-running, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		require.GreaterOrEqual(t, time.Since(start), 10*time.Second, "it had been heard when it was last pinged")
		require.LessOrEqual(t, time.Since(start), 15*time.Second)
		require.Equal(t, daffi.Canceled, daffi.CodeOf(<-impl.Ended), "the controller has found out as well")
		require.NoError(t, p.Add(t.Context(), 1), "the client has joined again")
	})
}

func TestD18D19Waiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		client := connect(t, daffi.Options{Name: "client", Controller: w})
		require.NoError(t, client.WaitNode(t.Context(), "client"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := client.WaitNode(ctx, "server")
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
		require.ErrorContains(t, err, "node server")

		var wg sync.WaitGroup
		for _, wait := range []func() error{
			func() error { return client.WaitNode(t.Context(), "server") },
			func() error { return client.WaitMethod(t.Context(), "Kit") },
			func() error { return client.WaitMethod(t.Context(), "Kit.Echo") },
		} {
			wg.Go(func() {
				if err := wait(); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		server := connect(t, daffi.Options{Name: "server", Controller: w})
		_, err = testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		wg.Wait()
		_, err = testkit.NewKit(client).Echo(t.Context(), nil)
		require.NoError(t, err)

		peers, err := client.Peers(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"client", "server Kit"}, served(peers))
		require.NoError(t, server.Close())
		time.Sleep(100 * time.Millisecond)
		peers, err = client.Peers(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"client"}, served(peers))
	})
}

// served says of each peer what it serves.
func served(peers []daffi.Peer) (list []string) {
	for _, p := range peers {
		list = append(list, strings.Join(append([]string{p.Name}, p.Services...), " "))
	}
	return list
}

func TestSEM14NoWakeUpIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		client := connect(t, daffi.Options{Name: "client", Controller: w})
		server := connect(t, daffi.Options{Name: "server", Controller: w})
		for i := range 60 {
			name := fmt.Sprintf("Kit%d", i)
			done := make(chan error, 1)
			go func() { done <- client.WaitMethod(t.Context(), name+".Echo") }()
			_, err := testkit.RegisterKit(server, new(testkit.Impl), daffi.As(name))
			require.NoError(t, err)
			require.NoError(t, <-done)
		}
	})
}

func TestD12I2RunServesUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		server := daffi.New(daffi.Options{Name: "server", Controller: w})
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- server.Run(ctx) }()
		client := connect(t, daffi.Options{Name: "client", Controller: w})
		require.NoError(t, client.WaitMethod(t.Context(), "Kit.Echo"))
		_, err = testkit.NewKit(client).Echo(t.Context(), nil)
		require.NoError(t, err, "what is registered before joining is there at once")
		cancel()
		require.NoError(t, <-ran)
		_, err = testkit.NewKit(client).Echo(t.Context(), nil)
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

func TestE28ClosedNode(t *testing.T) {
	n := daffi.New(daffi.Options{Name: "n"})
	require.NoError(t, n.Shutdown(t.Context()), "before it has joined")
	require.NoError(t, n.Close())
	err := n.Join(t.Context())
	requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
	_, err = testkit.NewKit(n).Echo(t.Context(), nil)
	requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
}

func TestD2GeneratedNames(t *testing.T) {
	a, b := daffi.New(daffi.Options{}), daffi.New(daffi.Options{})
	defer a.Close()
	defer b.Close()
	require.NotEqual(t, a.Name(), b.Name())
	require.NoError(t, transport.ValidName(a.Name()))
}

// TestD3E31EveryLink runs all shapes over every kind of link, with and without compression.
func TestD3E31EveryLink(t *testing.T) {
	for _, kind := range []string{"memory", "bytes", "one byte reads", "unix", "tcp"} {
		for _, zstd := range []daffi.Compression{daffi.CompressOff, daffi.CompressOn} {
			t.Run(fmt.Sprintf("%s/zstd %v", kind, zstd), func(t *testing.T) {
				o := daffi.Options{Compression: zstd}
				switch kind {
				case "memory":
					c := controller.New(controller.Options{})
					t.Cleanup(func() { c.Close() })
					o.Controller = c
				case "bytes", "one byte reads":
					w := &slowWire{oneByte: kind == "one byte reads"}
					w.start(t)
					o.Controller = w
				case "unix":
					o.Addr = listen(t, "unix://"+filepath.Join(t.TempDir(), "daffi.sock"))
				case "tcp":
					t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
					o.Addr = listen(t, "tcp://localhost:0")
				}
				server, client := o, o
				server.Name, client.Name = "server", "client"
				n := connect(t, server)
				_, err := testkit.RegisterKit(n, new(testkit.Impl))
				require.NoError(t, err)
				everyShape(t, connect(t, client), kind == "one byte reads")
			})
		}
	}
}

// slowWire is a wire whose reads may bring single bytes.
type slowWire struct {
	wire
	oneByte bool
}

func (w *slowWire) Attach() (transport.Link, error) {
	l, err := w.wire.Attach()
	if err == nil && w.oneByte {
		w.last().OneByte()
	}
	return l, err
}

func listen(t *testing.T, addr string) string {
	t.Helper()
	c, err := controller.Listen(t.Context(), controller.Options{Addr: addr})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.Addr()
}

// everyShape makes a call of every shape, with messages of one frame and of many.
func everyShape(t *testing.T, client *daffi.Node, slow bool) {
	ctx := t.Context()
	p := testkit.NewKit(client)
	sizes := []int{0, 100, 2 << 10, 20 << 10, 64 << 10, 65<<10 + 1, testkit.Full(1, 3) << 20}
	items, callers := testkit.Full(2_000, 5_000), 64
	if slow {
		sizes, items, callers = sizes[:4], 400, 8
	}
	for _, size := range sizes {
		b := blob(size)
		got, err := p.Echo(ctx, b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, got), "%d bytes", size)

		n, err := p.Size(ctx, daffi.NoError(slices.Values([][]byte{b, b, b})))
		require.NoError(t, err)
		require.Equal(t, 3*size, n)

		n = 0
		for b, err := range p.Blobs(ctx, 3, size) {
			require.NoError(t, err)
			require.Len(t, b, size)
			n++
		}
		require.Equal(t, 3, n)
	}
	next := 0
	for i, err := range p.Count(ctx, items, "") {
		require.NoError(t, err)
		require.Equal(t, next, i)
		next++
	}
	require.Equal(t, items, next)
	sum, err := p.Sum(ctx, 0, numbers(items))
	require.NoError(t, err)
	require.Equal(t, items*(items-1)/2, sum)
	require.NoError(t, testkit.NewMany(client).AddEach(ctx, numbers(items/4)))
	sum, err = p.Total(ctx)
	require.NoError(t, err)
	require.Equal(t, items/4*(items/4-1)/2, sum)

	// Many at once, of every size, over one link.
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range 5 {
				b := blob((i*37 + j*1001) % 5000)
				got, err := p.Echo(ctx, b)
				if err != nil || !bytes.Equal(b, got) {
					t.Errorf("caller %d, call %d: %d bytes back, %v", i, j, len(got), err)
					return
				}
			}
		})
	}
	got, err := p.Echo(ctx, blob(sizes[len(sizes)-1]))
	require.NoError(t, err)
	require.Len(t, got, sizes[len(sizes)-1])
	wg.Wait()
}

// blob is n bytes that compress a little.
func blob(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 28)
	}
	return b
}

// TestCutAnywhere cuts the client's connection after every so many bytes: each call either ends well or says how it failed, and nothing hangs.
func TestCutAnywhere(t *testing.T) {
	step := 11
	if testing.Short() {
		step = 97
	}
	for after := 0; after < 2500; after += step {
		synctest.Test(t, func(t *testing.T) {
			w := new(wire)
			w.start(t)
			server := connect(t, daffi.Options{Name: "server", Controller: w})
			_, err := testkit.RegisterKit(server, new(testkit.Impl))
			require.NoError(t, err)
			client := connect(t, daffi.Options{Name: "client", Controller: w})
			w.last().CutAfter(after)
			p := testkit.NewKit(client)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			check := func(err error) {
				if err == nil {
					return
				}
				e, ok := errors.AsType[*daffi.Error](err)
				require.True(t, ok, "%T %v", err, err)
				require.Equal(t, daffi.ReasonLinkLost, e.Reason, "%v", err)
			}
			_, err = p.Echo(ctx, blob(300))
			check(err)
			_, err = p.Sum(ctx, 0, numbers(100))
			check(err)
			for _, err := range p.Count(ctx, 100, "") {
				check(err)
			}
			check(p.Note(ctx, "x"))
			_, err = p.Echo(ctx, blob(100))
			check(err)
			require.NoError(t, client.WaitMethod(ctx, "Kit"))
			if _, err = p.Echo(ctx, nil); err != nil { // the cut came only now
				check(err)
				_, err = p.Echo(ctx, nil)
			}
			require.NoError(t, err, "it has joined again")
		})
	}
}

func TestT4ServicesRegisteredWhileJoiningAreKnown(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			w := new(wire)
			w.start(t)
			server := daffi.New(daffi.Options{Name: "server", Controller: w})
			defer server.Close()
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					reg, err := testkit.RegisterKit(server, new(testkit.Impl), daffi.As(fmt.Sprintf("Kit%d", i)))
					if err != nil {
						t.Error(err)
						return
					}
					if i%2 == 1 {
						reg.Close()
					}
				})
			}
			require.NoError(t, server.Join(t.Context()))
			wg.Wait()
			time.Sleep(time.Second)
			peers, err := server.Peers(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"server Kit0 Kit2 Kit4 Kit6"}, served(peers))
		})
	}
}
