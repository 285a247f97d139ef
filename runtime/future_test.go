package daffi_test

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// TestD52T2WaitIsRepeatable shows the same end to everybody who waits, as often as they do, whether it is a value, a zero value or an error.
func TestD52T2WaitIsRepeatable(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for name, c := range map[string]struct {
			f    *daffi.Future[string]
			want string
			code daffi.Code
		}{
			"value": {k.p.Prepare().Fail("seven").Go(t.Context()), "seven", 0},
			"zero":  {k.p.Prepare().Fail("").Go(t.Context()), "", 0},
			"error": {k.p.Prepare().Fail("coded").Go(t.Context()), "", daffi.NotFound},
		} {
			var waiters sync.WaitGroup
			for range 10 {
				waiters.Go(func() {
					for range 3 {
						got, err := c.f.Wait(t.Context())
						assert.Equal(t, c.want, got, name)
						assert.Equal(t, c.code, daffi.CodeOf(err), "%s: %v", name, err)
						assert.Equal(t, err, c.f.Err(t.Context()))
					}
				})
			}
			waiters.Wait()
			<-c.f.Done()
			r, ok := c.f.TryGet()
			require.True(t, ok)
			v, err := r.Get()
			require.Equal(t, c.want, v)
			require.Equal(t, c.code, daffi.CodeOf(err))
			c.f.Cancel() // too late to change anything
			require.Equal(t, err, c.f.Err(t.Context()))
		}
	})
}

// TestD52T2WaitEndsWithoutSettling shows that the context of a Wait is not that of the call, and that a settled future has its end for a context that has ended, too.
func TestD52T2WaitEndsWithoutSettling(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Notes = make(chan string)
		f := k.p.Prepare().Nest(0).With(daffi.After(time.Minute)).Go(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n, err := f.Wait(ctx)
		require.Equal(t, context.DeadlineExceeded, err)
		require.Zero(t, n)
		_, ok := f.TryGet()
		require.False(t, ok)
		n, err = f.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = f.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

// TestD52T2AbandonedFutureLeavesNothing starts calls that never end, and forgets them: they end with their deadline, their context, or the default deadline.
func TestD52T2AbandonedFutureLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		ctx, cancel := context.WithCancel(t.Context())
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		before := runtime.NumGoroutine()
		for range 100 {
			k.p.Prepare().Block().Go(ctx)
			k.p.Prepare().Block().Go(short)
			k.p.Prepare().Block().Go(t.Context())
		}
		synctest.Wait()
		require.Greater(t, runtime.NumGoroutine(), before)
		cancel()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Empty(t, k.client.Held())
		require.Empty(t, k.server.Held())
		require.Zero(t, k.net.Controller.Stats().Calls)
		require.Zero(t, daffi.Working(k.client))
	})
}

// TestD52CancelReachesTheHandler shows the callee's context end with the future.
func TestD52CancelReachesTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Blocked, k.impl.Ended = make(chan struct{}, 1), make(chan error, 1)
		f := k.p.Prepare().Block().Go(t.Context())
		<-k.impl.Blocked
		f.Cancel()
		f.Cancel()
		requireError(t, f.Err(t.Context()), daffi.Canceled, "", daffi.MayHaveRun)
		require.ErrorIs(t, <-k.impl.Ended, context.Canceled)
	})
}

// TestD52ArgumentsAreReadBeforeGoReturns changes them at once.
func TestD52ArgumentsAreReadBeforeGoReturns(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		b := []byte("before")
		f := k.p.Prepare().Echo(b).With(daffi.After(time.Second)).Go(t.Context())
		copy(b, "after!")
		got, err := f.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "before", string(got))
	})
}

// TestD42FutureOfEveryShape makes calls in the background of each shape that has a future, also at a node that has not joined yet.
func TestD42FutureOfEveryShape(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		n := daffi.New(daffi.Options{Name: "late", Controller: k.net.Controller})
		t.Cleanup(func() { n.Close() })
		k.impl.Notes = make(chan string, 1)
		p := testkit.NewKit(n).Prepare()
		numbers := func(yield func(int, error) bool) {
			for i := range 10 {
				if !yield(i, nil) {
					return
				}
			}
		}
		unary, action, sum, note := p.Nest(0).Go(t.Context()), p.Add(2).Go(t.Context()), p.Sum(0, numbers).Go(t.Context()), p.Note("x").Go(t.Context())
		items := testkit.NewMany(n).Prepare().AddEach(numbers).Go(t.Context())
		synctest.Wait()
		for _, f := range []daffi.Settler{unary, action, sum, note, items} {
			select {
			case <-f.Done():
				t.Fatal("there is no controller yet")
			default:
			}
		}
		require.NoError(t, n.Join(t.Context()))
		require.NoError(t, daffi.WaitAll(t.Context(), unary, action, sum, note, items))
		got, err := sum.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, 45, got)
		require.Equal(t, "x", <-k.impl.Notes)
		total, err := k.p.Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 47, total)
	})
}

// TestD53FutureTypes is checked by the compiler: what each way of calling returns says what it has.
func TestD53FutureTypes(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		c := k.p.Prepare()
		var one *daffi.Future[int] = c.Nest(0).Go(t.Context())
		var none *daffi.Future[struct{}] = c.Add(1).Go(t.Context())
		var several *daffi.Future[testkit.KitWhoResult] = c.Who().Go(t.Context())
		var many iter.Seq2[int, error] = c.Count(1, "").Do(t.Context())
		for v, err := range many {
			require.NoError(t, err)
			require.Zero(t, v)
		}
		require.NoError(t, daffi.WaitAll(t.Context(), one, none, several))
		who, err := several.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "client", who.Caller)
	})
}

// TestE4OnDoneOnce registers functions before and after the end.
func TestE4OnDoneOnce(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		f := k.p.Prepare().Nest(0).With(daffi.After(time.Second)).Go(t.Context())
		var mu sync.Mutex
		var ran []int
		note := func(i int) func(daffi.Result[int]) {
			return func(r daffi.Result[int]) {
				assert.NoError(t, r.Err)
				assert.Equal(t, 1, r.Value)
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, i)
			}
		}
		f.OnDone(note(0))
		f.OnDone(func(daffi.Result[int]) { panic("in a function for the end") })
		f.OnDone(note(1))
		synctest.Wait()
		require.Empty(t, ran)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []int{0, 1}, ran)
		f.OnDone(note(2))
		f.OnDone(note(3))
		f.Cancel()
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2, 3}, ran)

		require.NoError(t, k.client.Close())
		f.OnDone(note(4))
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4}, ran, "also after the end of the node")
	})
}

// TestE4OnDoneIsNotOnAReader blocks it, and makes a call in it.
func TestE4OnDoneIsNotOnAReader(t *testing.T) {
	eachWay(t, 0, func(t *testing.T, server, client *daffi.Node) {
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		p := testkit.NewKit(client)
		f := p.Prepare().Nest(0).Go(t.Context())
		hold, done := make(chan struct{}), make(chan error)
		f.OnDone(func(daffi.Result[int]) {
			<-hold
			_, err := p.Nest(t.Context(), 0)
			done <- err
		})
		require.NoError(t, f.Err(t.Context()))
		for range 100 {
			_, err := p.Nest(t.Context(), 0)
			require.NoError(t, err)
		}
		close(hold)
		require.NoError(t, <-done)
	})
}

// TestE4ShutdownWaitsForOnDone has one take its time.
func TestE4ShutdownWaitsForOnDone(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		done := false
		k.p.Prepare().Nest(0).Go(t.Context()).OnDone(func(r daffi.Result[int]) {
			time.Sleep(time.Second)
			done = true
		})
		require.NoError(t, k.client.Shutdown(context.Background()))
		require.True(t, done)
	})
}

// TestE6Elapsed stands still from the end on.
func TestE6Elapsed(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		f := k.p.Prepare().Nest(0).With(daffi.After(3 * time.Second)).Go(t.Context())
		time.Sleep(time.Second)
		require.Equal(t, time.Second, f.Elapsed())
		require.NoError(t, f.Err(t.Context()))
		time.Sleep(time.Minute)
		require.Equal(t, 3*time.Second, f.Elapsed())
	})
}

// A panic of the input is the user's, so it goes where it can be seen, and nowhere else.
func TestT2PanicOfAnInputIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		f := k.p.Prepare().Sum(0, func(yield func(int, error) bool) { panic("no numbers") }).Go(t.Context())
		told := make(chan error, 1)
		f.OnDone(func(r daffi.Result[int]) { told <- r.Err })
		<-f.Done()
		for range 2 {
			require.PanicsWithValue(t, "no numbers", func() { f.Wait(t.Context()) })
		}
		requireError(t, <-told, daffi.Internal, daffi.ReasonPanic, daffi.MayHaveRun)
		r, ok := f.TryGet()
		require.True(t, ok)
		require.Error(t, r.Err)
	})
}

// TestT2FutureEndsWithItsNode closes the node under a call, one that waits to be sent, and one that is made later.
func TestT2FutureEndsWithItsNode(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		running := k.p.Prepare().Block().Go(t.Context())
		waiting := k.p.Prepare().Block().With(daffi.After(time.Hour)).Go(t.Context())
		synctest.Wait()
		require.NoError(t, k.client.Close())
		requireError(t, running.Err(t.Context()), daffi.Unavailable, daffi.ReasonClosed, daffi.MayHaveRun)
		requireError(t, waiting.Err(t.Context()), daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
		later := k.p.Prepare().Block().Go(t.Context())
		requireError(t, later.Err(t.Context()), daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		requireError(t, k.p.Prepare().Block().Go(ctx).Err(t.Context()), daffi.Canceled, "", daffi.NotRun)
	})
}

// TestLIM33BackgroundIsBounded has no room for one more.
func TestLIM33BackgroundIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for range daffi.MaxBackground {
			end, err := daffi.Background(k.client)
			require.NoError(t, err)
			defer end()
		}
		for name, err := range map[string]error{
			"Go":           k.p.Prepare().Nest(0).Go(t.Context()).Err(t.Context()),
			"delayed Do":   k.p.Prepare().Add(1).With(daffi.After(time.Second)).Do(t.Context()),
			"delayed Post": k.p.Prepare().Add(1).With(daffi.After(time.Second)).Post(t.Context()),
			"AckNone":      k.p.Prepare().Add(1).With(daffi.WithAck(daffi.AckNone)).Post(t.Context()),
		} {
			e := requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
			require.NotEmpty(t, e.Method, name)
		}
		require.NoError(t, k.p.Add(t.Context(), 1), "a call that is waited for is not in the background")
	})
}

func TestT2WaitAll(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		c := k.p.Prepare()
		require.NoError(t, daffi.WaitAll(t.Context()))
		require.NoError(t, daffi.WaitAll(t.Context(), c.Nest(0).Go(t.Context()), c.Add(1).Go(t.Context())))
		err := daffi.WaitAll(t.Context(), c.Add(-1).Go(t.Context()), c.Nest(0).Go(t.Context()), c.Add(-2).Go(t.Context()))
		require.ErrorContains(t, err, "-1 is negative")
		require.ErrorContains(t, err, "-2 is negative")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		slow := c.Nest(0).With(daffi.After(time.Minute)).Go(t.Context())
		err = daffi.WaitAll(ctx, c.Add(-1).Go(t.Context()), slow, c.Add(-2).Go(t.Context()))
		require.ErrorContains(t, err, "-1 is negative")
		require.ErrorContains(t, err, "-2 is negative")
		require.ErrorContains(t, err, "1 calls have not settled")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, slow.Err(t.Context()))
	})
}

func TestT2WaitAny(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		after := func(d time.Duration, n int) *daffi.Future[struct{}] {
			return k.p.Prepare().Add(n).With(daffi.After(d)).Go(t.Context())
		}
		i, err := daffi.WaitAny(t.Context(), after(3*time.Second, 1), after(time.Second, -1), after(2*time.Second, 1))
		require.Equal(t, 1, i)
		require.ErrorContains(t, err, "-1 is negative")
		a, b := after(0, 1), after(0, 1)
		require.NoError(t, daffi.WaitAll(t.Context(), a, b))
		i, err = daffi.WaitAny(t.Context(), after(time.Hour, 1), b, a)
		require.NoError(t, err)
		require.Equal(t, 1, i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		i, err = daffi.WaitAny(ctx, after(time.Hour, 1))
		require.Equal(t, context.DeadlineExceeded, err)
		require.Equal(t, -1, i)
		i, err = daffi.WaitAny(t.Context())
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		require.Equal(t, -1, i)
		many := make([]daffi.Settler, 1000)
		for i := range many {
			many[i] = after(time.Hour, 1)
		}
		many[700] = after(time.Second, 1)
		i, err = daffi.WaitAny(t.Context(), many...)
		require.NoError(t, err)
		require.Equal(t, 700, i)
	})
}

// TestD42ShutdownWaitsForFutures lets those end that were begun before it.
func TestD42ShutdownWaitsForFutures(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		f := k.p.Prepare().Nest(0).With(daffi.After(time.Minute)).Go(t.Context())
		require.NoError(t, k.client.Shutdown(context.Background()))
		require.Equal(t, time.Minute, f.Elapsed())
		r, ok := f.TryGet()
		require.True(t, ok)
		require.NoError(t, r.Err)
	})
}

// TestSEM21ShutdownDoesNotWaitForMoreAndMore ends, also when each call in the background begins another.
func TestSEM21ShutdownDoesNotWaitForMoreAndMore(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		ended := make(chan error)
		var again func(daffi.Result[struct{}])
		again = func(r daffi.Result[struct{}]) {
			if r.Err != nil {
				ended <- r.Err
				return
			}
			k.p.Prepare().Add(1).With(daffi.After(time.Second)).Go(t.Context()).OnDone(again)
		}
		again(daffi.Result[struct{}]{})
		down := waiting(func() error { return k.client.Shutdown(t.Context()) })
		requireError(t, <-ended, daffi.Unavailable, daffi.ReasonDraining, daffi.NotRun)
		require.NoError(t, <-down)
	})
}

// BenchmarkGo is a call in the background that is waited for.
func BenchmarkGo(b *testing.B) {
	net := daffitest.New(b)
	_, err := testkit.RegisterKit(net.Node("server"), new(testkit.Impl))
	require.NoError(b, err)
	p := testkit.NewKit(net.Node("client"))
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Prepare().Add(1).Go(ctx).Err(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
