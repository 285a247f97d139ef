package daffi_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// A call runs until its last frame was taken, not until its handler has returned.
func TestShutdownDeliversWhatHandlersHaveReturned(t *testing.T) {
	t.Run("replies", func(t *testing.T) {
		for _, size := range []int{10, 20 << 10, 100 << 10, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				k, w := newKit(t), new(wire)
				w.ctl = k.net.Controller
				far := connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff})
				_, err := testkit.RegisterKit(far, new(testkit.Impl))
				require.NoError(t, err)
				k.p = testkit.NewKit(k.client, daffi.To("far"))
				b, done := noise(size), make(chan error, 4)
				for range cap(done) {
					go func() {
						for {
							if _, err := k.p.Echo(t.Context(), b); err != nil {
								done <- err
								return
							}
						}
					}()
				}
				for range min(20, 1+4<<20/size) {
					_, err := k.p.Echo(t.Context(), b)
					require.NoError(t, err)
				}
				require.NoError(t, far.Shutdown(t.Context()))
				for range cap(done) {
					require.Equal(t, daffi.NotRun, daffi.OutcomeOf(<-done), "%d bytes", size)
				}
			})
		}
	})
	t.Run("stream", func(t *testing.T) {
		bubble(t, func(t *testing.T, k *kit) {
			next, stop := iter.Pull2(k.p.Count(t.Context(), 30_000, ""))
			defer stop()
			_, err, _ := next()
			require.NoError(t, err)
			synctest.Wait()
			ended := make(chan error)
			go func() { ended <- k.server.Shutdown(context.Background()) }()
			time.Sleep(time.Second)
			n := 1
			for {
				_, err, ok := next()
				if !ok {
					break
				}
				require.NoError(t, err, "after %d", n)
				n++
			}
			require.Equal(t, 30_000, n)
			require.NoError(t, <-ended)
		})
	})
}

func TestCloseEndsOnewayHandlers(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		require.NoError(t, k.p.Prepare().Block().Post(t.Context()))
		synctest.Wait()
		start := time.Now()
		require.NoError(t, k.server.Close())
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, <-k.impl.Ended, context.Canceled)
	})
}

func TestE28CloseTakesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w := stalledPair(t)
		w.last().Stall(true)
		k.fill(t, 4)
		start := time.Now()
		require.NoError(t, k.client.Close())
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}

func TestE23RegistrationDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		impl := &testkit.Impl{Blocked: make(chan struct{}, 4), Ended: make(chan error, 4)}
		reg, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		other, err := testkit.RegisterKit(server, impl, daffi.As("Other"))
		require.NoError(t, err)
		require.NoError(t, other.Drain(t.Context()), "nothing runs")
		require.NoError(t, other.Drain(t.Context()))
		p := testkit.NewKit(client)
		ctx, end := context.WithCancel(t.Context())
		running := waiting(func() error { return p.Block(ctx) })

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = reg.Drain(short)
		requireError(t, err, daffi.DeadlineExceeded, "", 0)
		requireWaiting(t, running)
		requireError(t, p.Add(t.Context(), 1), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		drained := waiting(func() error { return reg.Drain(t.Context()) })
		requireWaiting(t, drained)
		end()
		require.Error(t, <-running)
		require.NoError(t, <-drained)

		// And those that nobody waits for.
		free, began := make(chan struct{}), make(chan struct{})
		serve := func(context.Context, any, *daffi.Incoming) error { close(began); <-free; return nil }
		note := daffi.Service[any]{Name: "Note", Handlers: []daffi.Handler[any]{{Name: "Take", Sig: "()()", Serve: serve, Oneway: true}}}
		reg, err = daffi.Register[any](server, &note, 1)
		require.NoError(t, err)
		b := daffi.Bind(client, &daffi.Client{Service: "Note", Methods: []daffi.Method{{Name: "Take", Sig: "()()", Oneway: true}}})
		require.NoError(t, daffi.NewAction(b, 0, nil).Do(t.Context()))
		<-began
		drained = waiting(func() error { return reg.Drain(t.Context()) })
		requireWaiting(t, drained)
		close(free)
		require.NoError(t, <-drained)
	})
}

// Handlers whose callers have gone still use what whoever drains is about to close.
func TestE23DrainWaitsForHandlersWithoutACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		free, began := make(chan struct{}), make(chan struct{}, 2)
		work := func(context.Context, struct{}) (struct{}, error) { began <- struct{}{}; <-free; return struct{}{}, nil }
		reg, err := daffi.Handle(server, "Slow.Work", work)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		called := waiting(func() error { _, err := daffi.Invoke(ctx, client, "Slow.Work"); return err })
		<-began
		cancel()
		require.Error(t, <-called)
		left := net.Node("leaves")
		called = waiting(func() error { _, err := daffi.Invoke(t.Context(), left, "Slow.Work"); return err })
		<-began
		require.NoError(t, left.Close())
		require.Error(t, <-called)
		synctest.Wait()

		short, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		requireError(t, reg.Drain(short), daffi.DeadlineExceeded, "", 0)
		drained := waiting(func() error { return reg.Drain(t.Context()) })
		requireWaiting(t, drained)
		close(free)
		require.NoError(t, <-drained)
	})
}

// TestD63ControllerLetsCallsEnd, and those that their handlers make, before it goes.
func TestD63ControllerLetsCallsEnd(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		free := make(chan struct{})
		_, err := daffi.Handle(k.net.Node("other"), "slow.work", func(ctx context.Context, n int) (int, error) {
			<-free
			return n + 1, testkit.NewKit(daffi.NodeFrom(ctx)).Add(ctx, 1)
		})
		require.NoError(t, err)
		var got any
		running := waiting(func() (err error) {
			got, err = daffi.Invoke(t.Context(), k.client, "slow.work", 1)
			return err
		})
		require.NoError(t, k.p.Add(t.Context(), 1))

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := waiting(func() error { return k.net.Controller.Shutdown(ctx) })
		requireWaiting(t, ended)
		requireWaiting(t, running)
		err = k.p.Prepare().Add(1).With(daffi.Retry(0)).Do(t.Context())
		e := requireError(t, err, daffi.Unavailable, daffi.ReasonDraining, daffi.NotRun)
		require.Contains(t, e.Message, "the controller is shutting down")
		close(free)
		require.NoError(t, <-running)
		require.EqualValues(t, 2, got)
		require.NoError(t, <-ended)
	})
}

// TestD63ControllerWaitsNoLongerThanItMay for a call that does not end.
func TestD63ControllerWaitsNoLongerThanItMay(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		running := waiting(func() error { return k.p.Block(t.Context()) })
		requireWaiting(t, running)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		require.NoError(t, k.net.Controller.Shutdown(ctx))
		require.InDelta(t, 9, time.Since(begin).Seconds(), 0.1)
		requireError(t, <-running, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
	})
}
