package daffi_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
)

// lossy is a kit whose client, behind a connection that can be stalled, tells of lost calls.
func lossy(t *testing.T) (k *kit, w *wire, lost chan daffi.LostCall) {
	k, w, lost = newKit(t), new(wire), make(chan daffi.LostCall, 100)
	w.ctl = k.net.Controller
	k.client = connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff, ResumeGrace: -1, OnLost: func(c daffi.LostCall) { lost <- c }})
	k.p = testkit.NewKit(k.client)
	_, err := k.p.Echo(t.Context(), nil)
	require.NoError(t, err)
	return k, w, lost
}

var none = daffi.WithAck(daffi.AckNone)

// TestI5AckNone returns although nobody answers, and fails where the node's own queue cannot have the call.
func TestI5AckNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w, lost := lossy(t)
		w.last().Stall(true)
		start := time.Now()
		require.NoError(t, k.p.Prepare().Add(1).With(none).Post(t.Context()))
		require.NoError(t, k.p.Prepare().Note("a one-way method").With(none).Do(t.Context()))
		require.NoError(t, k.p.Prepare().Echo(noise(200<<10)).With(none).Post(t.Context()), "a large one")
		require.Zero(t, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, k.client.Flush(ctx), context.DeadlineExceeded)
		w.last().Stall(false)
		require.NoError(t, k.client.Flush(t.Context()))
		synctest.Wait()
		n, err := k.p.Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Zero(t, daffi.Working(k.client))
		require.Empty(t, k.client.Held())

		w.stop()
		time.Sleep(time.Second)
		err = k.p.Prepare().Add(1).With(none).Post(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonLinkLost, daffi.NotRun)
		require.Empty(t, lost, "whoever was told needs not be told again")
		require.Empty(t, k.client.Lost())
	})
}

// TestSEM9FullQueueIsAnError fills the queue of a connection that takes nothing.
func TestSEM9FullQueueIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w, lost := lossy(t)
		w.last().Stall(true)
		posted := 0
		var err error
		for err == nil {
			if err = k.p.Prepare().Echo(noise(60 << 10)).With(none).Post(t.Context()); err == nil {
				posted++
			}
			require.Less(t, posted, 10_000)
		}
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		require.Positive(t, posted)
		w.last().Stall(false)
		require.NoError(t, k.client.Flush(t.Context()))
		require.Empty(t, lost)
		require.Zero(t, daffi.Working(k.client))
	})
}

// TestD54FlushWaitsForWhatCameBefore and for nothing that comes after.
func TestD54FlushWaitsForWhatCameBefore(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		require.NoError(t, k.client.Flush(t.Context()), "nothing to wait for")
		c := k.p.Prepare().Add(1)
		start := time.Now()
		for i := range 10 {
			require.NoError(t, c.With(daffi.After(time.Duration(i)*time.Second)).Post(t.Context()))
		}
		flushed := make(chan time.Duration, 3)
		for range cap(flushed) {
			go func() {
				assert.NoError(t, k.client.Flush(t.Context()))
				flushed <- time.Since(start)
			}()
		}
		synctest.Wait()
		require.NoError(t, c.With(daffi.After(time.Hour)).Post(t.Context()))
		for range cap(flushed) {
			require.Equal(t, 9*time.Second, <-flushed)
		}
		synctest.Wait()
		n, err := k.p.Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 10, n)
		require.NoError(t, k.client.Flush(t.Context()))
		require.Equal(t, time.Hour, time.Since(start))
	})
}

// TestD54T12OnLostIsTold tells of calls that fail when nobody waits, each once, and counts them by method.
func TestD54T12OnLostIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w, lost := lossy(t)
		p := testkit.NewKit(k.client, daffi.To("nobody"))
		require.NoError(t, p.Prepare().Add(1).With(none, daffi.After(time.Second)).Post(t.Context()))
		require.NoError(t, k.client.Flush(t.Context()))
		c := <-lost
		require.Equal(t, "Kit.Add", c.Method)
		requireError(t, c.Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)

		// The link is lost before anybody has answered.
		w.last().Stall(true)
		for range 3 {
			require.NoError(t, k.p.Prepare().Add(1).With(none).Post(t.Context()))
		}
		require.NoError(t, k.p.Prepare().Note("x").With(none).Do(t.Context()))
		w.last().Close()
		require.NoError(t, k.client.Flush(t.Context()))
		for range 4 {
			c := <-lost
			require.Equal(t, "far", c.Caller)
			requireError(t, c.Err, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		}
		require.Equal(t, map[string]uint64{"Kit.Add": 4, "Kit.Note": 1}, k.client.Lost())
		require.Empty(t, lost)
		require.Zero(t, daffi.Working(k.client))
	})
}

// TestD54NobodyAnswers ends posted calls with their deadlines.
func TestD54NobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w, lost := lossy(t)
		w.last().Stall(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		require.NoError(t, k.p.Prepare().Add(1).With(none).Post(ctx))
		cancel() // the call has been handed over
		require.NoError(t, k.p.Prepare().Quick().With(none).Post(t.Context()))
		require.NoError(t, k.client.Flush(t.Context()))
		for range 2 {
			requireDeadline(t, (<-lost).Err)
		}
		require.Zero(t, daffi.Working(k.client))
		w.last().Stall(false)
	})
}

// TestT12CalleeCountsItsLosses has a handler fail that nobody waits for.
func TestT12CalleeCountsItsLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, lost := newKit(t), make(chan daffi.LostCall, 10)
		n := k.net.NodeWith(daffi.Options{Name: "other", OnLost: func(c daffi.LostCall) { lost <- c }})
		_, err := testkit.RegisterKit(n, new(testkit.Impl))
		require.NoError(t, err)
		p := testkit.NewKit(k.client, daffi.To("other")).Prepare()
		require.NoError(t, p.Add(-1).Post(t.Context()))
		c := <-lost
		require.Equal(t, []string{"Kit.Add", "client", "other"}, []string{c.Method, c.Caller, c.Node})
		require.Equal(t, daffi.Ran, daffi.OutcomeOf(c.Err))
		require.ErrorContains(t, c.Err, "-1 is negative")
		require.NoError(t, p.Fail("panic").Post(t.Context()))
		requireError(t, (<-lost).Err, daffi.Internal, daffi.ReasonPanic, daffi.Ran)
		require.Equal(t, map[string]uint64{"Kit.Add": 1, "Kit.Fail": 1}, n.Lost())
	})
}

// TestSEM9LostMethodsAreBounded counts under "" what there are too many of.
func TestSEM9LostMethodsAreBounded(t *testing.T) {
	n := daffi.New(daffi.Options{})
	for i := range daffi.MaxLost + 1 {
		daffi.Lose(n, strings.Repeat("x", i+1))
	}
	daffi.Lose(n, "x")
	lost := n.Lost()
	require.Len(t, lost, daffi.MaxLost+1)
	require.Equal(t, uint64(2), lost["x"])
	require.Equal(t, uint64(1), lost[""])
	require.NoError(t, n.Close())
}

// TestE5OnewayMethodsAndPosts return when the controller has accepted the call, whichever says that nobody wants the result.
func TestE5OnewayMethodsAndPosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w, _ := lossy(t)
		k.impl.Notes = make(chan string, 2)
		w.last().Stall(true)
		done := make(chan error, 3)
		go func() { done <- k.p.Note(t.Context(), "Do") }()
		go func() { done <- k.p.Prepare().Note("Post").Post(t.Context()) }()
		go func() { done <- k.p.Prepare().Add(1).With(daffi.WithAck(daffi.AckAccepted)).Post(t.Context()) }()
		synctest.Wait()
		require.Empty(t, done)
		w.last().Stall(false)
		for range cap(done) {
			require.NoError(t, <-done)
		}
		requireError(t, k.p.Prepare().Add(1).With(daffi.WithAck(9)).Post(t.Context()), daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
		require.Equal(t, "ack(9)", daffi.Ack(9).String())
	})
}

// TestI5SEM9Admitted waits for the provider, whose refusal travels, too.
func TestI5SEM9Admitted(t *testing.T) {
	admitted := daffi.WithAck(daffi.AckAdmitted)
	t.Run("waits for the provider", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k, w := newKit(t), new(wire)
			w.ctl = k.net.Controller
			far := connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff, ResumeGrace: -1})
			impl := &testkit.Impl{Blocked: make(chan struct{}, 10)}
			_, err := testkit.RegisterKit(far, impl)
			require.NoError(t, err)
			p := testkit.NewKit(k.client, daffi.To("far")).Prepare()
			for name, post := range map[string]func() error{
				"Call":    func() error { return p.Echo(noise(100)).With(admitted).Post(t.Context()) },
				"Action":  func() error { return p.Add(0).With(admitted).Post(t.Context()) },
				"method":  func() error { return p.Note("x").With(admitted).Do(t.Context()) },
				"large":   func() error { return p.Echo(noise(500 << 10)).With(admitted).Post(t.Context()) },
				"blocks":  func() error { return p.Block().With(admitted).Post(t.Context()) },
				"delayed": func() error { return p.Note("x").With(admitted, daffi.After(time.Second)).Do(t.Context()) },
			} {
				require.NoError(t, post(), name)
				w.last().Stall(true)
				start := time.Now()
				require.NoError(t, p.Add(0).Post(t.Context()), "accepted is the controller's word")
				require.Zero(t, time.Since(start))
				time.AfterFunc(5*time.Second, func() { w.last().Stall(false) })
				require.NoError(t, post(), name)
				require.Equal(t, 5*time.Second, time.Since(start), name)
			}
			synctest.Wait()
			require.Empty(t, k.client.Held())
			require.Zero(t, k.net.Controller.Stats().Calls)
		})
	})
	t.Run("refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t)
			full := k.net.NodeWith(daffi.Options{Name: "full", MaxRunning: 1, MaxQueue: 1})
			impl := &testkit.Impl{Blocked: make(chan struct{}, 10)}
			_, err := testkit.RegisterKit(full, impl)
			require.NoError(t, err)
			p := testkit.NewKit(k.client, daffi.To("full"), daffi.Retry(0)).Prepare()
			require.NoError(t, p.Block().With(admitted).Post(t.Context()))
			require.NoError(t, p.Block().With(admitted).Post(t.Context()), "it waits there")
			e := requireError(t, p.Block().With(admitted).Post(t.Context()), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
			require.Equal(t, "full", e.Node)
			require.Empty(t, k.net.Controller.Stats().Lost, "whoever calls was told")
			require.NoError(t, p.Block().Post(t.Context()), "accepted and lost")
			synctest.Wait()
			require.Equal(t, map[string]uint64{"busy": 1}, k.net.Controller.Stats().Lost)
			require.Equal(t, map[string]uint64{"Kit.Block": 1}, k.net.Controller.Stats().LostMethods)
		})
	})
	t.Run("provider dies", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k, w := newKit(t), new(wire)
			w.ctl = k.net.Controller
			far := connect(t, daffi.Options{Name: "far", Controller: w, ResumeGrace: -1})
			_, err := testkit.RegisterKit(far, new(testkit.Impl))
			require.NoError(t, err)
			p := testkit.NewKit(k.client, daffi.To("far")).Prepare()
			require.NoError(t, p.Add(0).With(admitted).Post(t.Context()))
			w.last().Stall(true)
			done := make(chan error, 1)
			go func() { done <- p.Add(0).With(admitted).Post(t.Context()) }()
			synctest.Wait()
			w.last().Close()
			requireError(t, <-done, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
			synctest.Wait()
			require.Zero(t, k.net.Controller.Stats().Calls)
		})
	})
	t.Run("caller leaves", func(t *testing.T) {
		bubble(t, func(t *testing.T, k *kit) {
			k.impl.Blocked, k.impl.Ended = make(chan struct{}, 1), make(chan error, 1)
			require.NoError(t, k.p.Prepare().Block().With(admitted).Post(t.Context()))
			<-k.impl.Blocked
			require.NoError(t, k.client.Close())
			synctest.Wait()
			require.Empty(t, k.impl.Ended, "an admitted call outlives its caller")
		})
	})
}

// TestI5AckOfEvents is acknowledged for every copy.
func TestI5AckOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		b := new(board)
		for _, name := range []string{"a", "b", "c"} {
			_, err := events.RegisterBoard(net.Node(name), b)
			require.NoError(t, err)
		}
		client := net.Node("client")
		p := events.NewTown(client).Prepare()
		for _, ack := range []daffi.Ack{daffi.AckNone, daffi.AckAccepted, daffi.AckAdmitted} {
			require.NoError(t, p.Pin(ack.String()).With(daffi.WithAck(ack)).Do(t.Context()))
			require.NoError(t, p.Pin(ack.String()).With(daffi.WithAck(ack)).Post(t.Context()))
			require.NoError(t, client.Flush(t.Context()))
			require.Equal(t, []string{"a: " + ack.String(), "a: " + ack.String(), "b: " + ack.String(), "b: " + ack.String(), "c: " + ack.String(), "c: " + ack.String()}, b.take())
		}
		require.Zero(t, daffi.Working(client))
	})
}

// TestI5AckNoneWithinInterceptors has them see the end of the call, which nobody else waits for.
func TestI5AckNoneWithinInterceptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w := newKit(t), new(wire)
		w.ctl = k.net.Controller
		seen := make(chan error, 1)
		k.client = connect(t, daffi.Options{Name: "far", Controller: w, Interceptors: []daffi.Interceptor{func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
			err := next(ctx)
			seen <- err
			return err
		}}})
		p := testkit.NewKit(k.client).Prepare()
		w.last().Stall(true)
		require.NoError(t, p.Add(1).With(none).Post(t.Context()))
		synctest.Wait()
		require.Empty(t, seen)
		w.last().Stall(false)
		require.NoError(t, k.client.Flush(t.Context()))
		require.NoError(t, <-seen)
	})
}
