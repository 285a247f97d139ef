package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// logbook writes down what hooks are told.
type logbook struct {
	mu   sync.Mutex
	list []string
	ctx  context.Context // of the last OnConnect
}

func (d *logbook) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, line)
}

// take returns what came since the last time, once nothing more does.
func (d *logbook) take() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.list
	d.list = nil
	return list
}

// options has the hooks of d.
func (d *logbook) options(o daffi.Options) daffi.Options {
	o.OnState = func(s daffi.State, why error) {
		if why != nil {
			s := fmt.Sprintf("%v, for want of a link", s)
			if errors.Is(why, &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonClosed}) {
				s = "closed here"
			}
			d.add(s)
			return
		}
		d.add(s.String())
	}
	o.OnConnect = func(ctx context.Context, i daffi.ConnInfo) {
		d.mu.Lock()
		d.ctx = ctx
		d.mu.Unlock()
		how := "connected"
		if i.Resumed {
			how = "resumed"
		}
		d.add(fmt.Sprintf("%s to %s, %d, attempt %d", how, i.Controller, i.Joins, i.Attempt))
	}
	o.OnDisconnect = func(err error) { d.add("disconnected") }
	return o
}

func TestD9D10D11E29Hooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := new(wire), new(logbook)
		n := daffi.New(d.options(daffi.Options{Name: "n", Controller: w}))
		require.Equal(t, daffi.StateNew, n.State())
		joined := waiting(func() error { return n.Join(t.Context()) })
		require.Equal(t, []string{"connecting"}, d.take())
		w.start(t)
		require.NoError(t, <-joined)
		require.Equal(t, daffi.StateReady, n.State())
		first := d.take()
		require.Regexp(t, `connected to controller, 1, attempt ([2-9]|\d\d)$`, first[1])
		require.Equal(t, "ready", first[0])
		require.Len(t, first, 2)
		ctx := d.ctx
		require.NoError(t, ctx.Err())
		require.Same(t, n, daffi.NodeFrom(ctx))

		w.stop()
		require.Equal(t, []string{"connecting, for want of a link", "disconnected"}, d.take())
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.Equal(t, daffi.StateConnecting, n.State())
		w.start(t)
		time.Sleep(time.Minute)
		again := d.take()
		require.Len(t, again, 2, "%q", again)
		require.Regexp(t, `^connected to controller, 2, attempt \d+$`, again[1])

		w.last().Close()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"connecting, for want of a link", "disconnected", "ready", "connected to controller, 3, attempt 1"}, d.take())

		select {
		case <-n.Done():
			require.Fail(t, "done too early")
		default:
		}
		require.NoError(t, n.Close())
		<-n.Done()
		require.Equal(t, []string{"disconnected", "closed here"}, d.take())
		require.NoError(t, n.Close())
		require.NoError(t, n.Shutdown(t.Context()))
		require.Empty(t, d.take())
		require.Equal(t, daffi.StateClosed, n.State())
	})
}

func TestE29Draining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := new(wire), new(logbook)
		w.start(t)
		n := connect(t, d.options(daffi.Options{Name: "n", Controller: w}))
		d.take()
		require.NoError(t, n.Shutdown(t.Context()))
		require.Equal(t, []string{"draining", "disconnected", "closed here"}, d.take())

		n = daffi.New(d.options(daffi.Options{Name: "n", Controller: w}))
		require.NoError(t, n.Close())
		<-n.Done()
		require.Equal(t, []string{"closed here"}, d.take(), "before it has begun")
	})
}

// A connection that is cut and goes on is another state, and no disconnect.
func TestD10ResumedIsNoDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLine(t, resuming()), new(logbook)
		n := connect(t, d.options(l.options("n")))
		d.take()
		l.reach(errors.New("nobody answers"))
		node, _ := l.last()
		node.Close()
		require.Equal(t, []string{"resuming, for want of a link"}, d.take())
		require.NoError(t, d.ctx.Err())
		l.reach(nil)
		time.Sleep(testGrace / 2)
		require.Equal(t, []string{"ready", "resumed to controller, 1, attempt 0"}, d.take())
		require.NoError(t, d.ctx.Err())

		l.reach(errors.New("nobody answers"))
		node, _ = l.last()
		node.Close()
		time.Sleep(2 * testGrace)
		require.Equal(t, []string{"resuming, for want of a link", "connecting, for want of a link", "disconnected"}, d.take())
		require.NoError(t, n.Close())
		require.Equal(t, []string{"closed here"}, d.take())
	})
}

// A hook may call others, and one that blocks or panics holds up nothing but hooks.
func TestD10HooksMayCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server := net.Node("server")
		impl := new(testkit.Impl)
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		free, d := make(chan struct{}), new(logbook)
		n := net.NodeWith(daffi.Options{Name: "n", OnConnect: func(ctx context.Context, i daffi.ConnInfo) {
			if i.Joins == 1 { // D-9: what is to be done once
				d.add(fmt.Sprint(testkit.NewKit(daffi.NodeFrom(ctx)).Add(ctx, 7)))
			}
			<-free
			panic("of a hook")
		}, OnDisconnect: func(error) { d.add("disconnected") }})
		require.Equal(t, []string{"<nil>"}, d.take())
		total, err := testkit.NewKit(n).Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 7, total)
		close(free)
		require.NoError(t, n.Close())
		require.Equal(t, []string{"disconnected"}, d.take())
	})
}

// Events that wait are bounded, and what is left of them is how things went without some of the times in between.
func TestE29LIM37SlowHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { testSlowHooks(t, daffi.Limits{}, 64, 200) })
}

// testSlowHooks has so many events wait, or a few more: those of one loss are told or left out as a whole.
func testSlowHooks(t *testing.T, l daffi.Limits, most, losses int) {
	w, d := new(wire), new(logbook)
	w.start(t)
	free := make(chan struct{})
	o := d.options(daffi.Options{Name: "n", Controller: w, Limits: l})
	tell := o.OnState
	o.OnState = func(s daffi.State, why error) {
		if s == daffi.StateReady {
			<-free
		}
		tell(s, why)
	}
	n := connect(t, o)
	for range losses {
		w.last().Close()
		time.Sleep(time.Minute)
		require.Equal(t, daffi.StateReady, n.State())
	}
	require.Equal(t, []string{"connecting"}, d.take())
	close(free)
	list := d.take()
	require.Equal(t, "ready", list[0])
	require.Regexp(t, "^connected to controller, 1,", list[1])
	for i := 2; i < len(list); i += 4 {
		require.Equal(t, []string{"connecting, for want of a link", "disconnected", "ready"}, list[i:i+3])
	}
	require.LessOrEqual(t, len(list), most+8)
	require.GreaterOrEqual(t, len(list), most-4)
	require.Equal(t, fmt.Sprintf("connected to controller, %d, attempt 1", losses+1), list[len(list)-1])
	require.NoError(t, d.ctx.Err(), "of the connection that there is")
	require.NoError(t, n.Close())
}

func TestD16OnPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, d := daffitest.With(t, controller.Options{}), new(logbook)
		n := net.NodeWith(daffi.Options{Name: "n", OnPeer: func(e daffi.PeerEvent) { d.add(fmt.Sprint(e.Peer.Name, " ", e.Kind)) }})
		other := net.Node("other")
		time.Sleep(tableTime)
		require.Equal(t, []string{"n joined", "other joined"}, d.take())
		require.NoError(t, other.Close())
		time.Sleep(tableTime)
		require.Equal(t, []string{"other left"}, d.take())
		require.NoError(t, n.Close())
		require.Empty(t, d.take())
	})
}

func TestD12RunEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		n := daffi.New(daffi.Options{Name: "n", Controller: w})
		ran := waiting(func() error { return n.Run(t.Context()) })
		require.NoError(t, n.Close())
		require.NoError(t, <-ran)
		<-n.Done()
	})
}
