package daffi_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// busy is a Kit whose Echo does something on the goroutine that read the call.
type busy struct {
	testkit.Impl
	do func(ctx context.Context)
}

func (b *busy) Echo(ctx context.Context, p []byte) ([]byte, error) {
	if b.do != nil {
		b.do(ctx)
	}
	return p, nil
}

// briskKit is a server and a client at connections in brisk use, where the server runs calls where they were read, and the client reads its replies.
type briskKit struct {
	server, client *daffi.Node
	wire           *wire
	impl           *busy
	proxy          *testkit.KitProxy
}

func newBriskKit(t *testing.T) *briskKit {
	k := &briskKit{wire: new(wire), impl: new(busy)}
	k.wire.start(t)
	k.server = connect(t, daffi.Options{Name: "server", Controller: k.wire})
	_, err := testkit.RegisterKit(k.server, k.impl)
	require.NoError(t, err)
	k.client = connect(t, daffi.Options{Name: "client", Controller: k.wire})
	k.proxy = testkit.NewKit(k.client)
	k.warmUp(t)
	return k
}

func (k *briskKit) warmUp(t *testing.T) {
	k.impl.do = nil
	for range 50 {
		_, err := k.proxy.Echo(t.Context(), nil)
		require.NoError(t, err)
	}
}

// TestStreamOnABriskLink opens streams between lone calls: nobody reads at that moment, and they need not wait until somebody notices.
func TestStreamOnABriskLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newBriskKit(t)
		start := time.Now()
		for range 10 {
			for _, err := range k.proxy.Count(t.Context(), 3, "") {
				require.NoError(t, err)
			}
			_, err := k.proxy.Sum(t.Context(), 0, numbers(10))
			require.NoError(t, err)
			k.warmUp(t)
			_, err = testkit.NewKit(k.client).Echo(t.Context(), nil) // asks the controller first
			require.NoError(t, err)
		}
		require.Zero(t, time.Since(start))
	})
}

// TestHandlerOnTheReader has handlers that run where their calls were read do what needs the connection that they keep from being read.
func TestHandlerOnTheReader(t *testing.T) {
	var k *briskKit
	for name, c := range map[string]struct {
		do   func(t *testing.T, ctx context.Context)
		fail bool
	}{
		"calls back": {do: func(t *testing.T, ctx context.Context) {
			_, err := testkit.NewKit(daffi.NodeFrom(ctx)).Total(ctx)
			require.NoError(t, err)
		}},
		"finds":  {do: func(t *testing.T, ctx context.Context) { require.NoError(t, k.server.WaitNode(ctx, "client")) }},
		"exits":  {do: func(*testing.T, context.Context) { runtime.Goexit() }, fail: true},
		"panics": {do: func(*testing.T, context.Context) { panic("busy") }, fail: true},
		"waits for its own call": {do: func(t *testing.T, ctx context.Context) {
			_, err := testkit.NewKit(daffi.NodeFrom(ctx)).Echo(ctx, nil)
			require.NoError(t, err)
		}},
		"closes the node":      {do: func(t *testing.T, _ context.Context) { k.server.Close() }, fail: true},
		"closes the caller":    {do: func(t *testing.T, _ context.Context) { k.client.Close() }, fail: true},
		"stops the controller": {do: func(t *testing.T, _ context.Context) { k.wire.stop() }, fail: true},
		"cuts the link":        {do: func(t *testing.T, _ context.Context) { k.wire.links[0].Close(transport.ErrClosed) }, fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k = newBriskKit(t)
				k.impl.do = func(ctx context.Context) {
					k.impl.do = nil
					c.do(t, ctx)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				_, err := k.proxy.Echo(ctx, nil)
				require.Equal(t, c.fail, err != nil)
				require.LessOrEqual(t, time.Since(start), 10*time.Millisecond)
			})
		})
	}
}

// slowHand attaches nodes by links whose deliverer takes its time with the work that it gets.
type slowHand struct {
	*controller.Controller
	pause time.Duration
}

func (c *slowHand) Attach() (transport.Link, error) {
	l, err := c.Controller.Attach()
	return &slowLink{Link: l, c: c}, err
}

type slowLink struct {
	transport.Link
	c *slowHand
}

func (l *slowLink) Start(h transport.Handler) { l.Link.Start(&slowHandler{h.(transport.Worker), l.c}) }

type slowHandler struct {
	transport.Worker
	c *slowHand
}

func (h *slowHandler) Work() transport.Work {
	if w := h.Worker.Work(); w != nil {
		return &slowWork{w, h.c.pause}
	}
	return nil
}

type slowWork struct {
	transport.Work
	pause time.Duration
}

func (w *slowWork) Here()      { time.Sleep(w.pause); w.Work.Here() }
func (w *slowWork) Elsewhere() { time.Sleep(w.pause); w.Work.Elsewhere() }

// TestCloseWaitsForWork closes a node while a call of it is in the hands of the goroutine that brought it.
func TestCloseWaitsForWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowHand{Controller: controller.New(controller.Options{})}
		t.Cleanup(func() { c.Controller.Close() })
		server := connect(t, daffi.Options{Name: "server", Controller: c})
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		w := &wire{ctl: c.Controller}
		p := testkit.NewKit(connect(t, daffi.Options{Name: "client", Controller: w}))
		for range 50 {
			_, err := p.Echo(t.Context(), nil)
			require.NoError(t, err)
		}
		c.pause = 100 * time.Millisecond
		go p.Echo(t.Context(), nil)
		synctest.Wait()
		start := time.Now()
		require.NoError(t, server.Close())
		require.Equal(t, c.pause, time.Since(start))
	})
}
