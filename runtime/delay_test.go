package daffi_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// TestT7D42AfterEveryWayOfCalling waits a minute before it sends, whatever the way.
func TestT7D42AfterEveryWayOfCalling(t *testing.T) {
	const d = time.Minute
	for name, call := range map[string]func(ctx context.Context, c testkit.KitCalls) error{
		"Do": func(ctx context.Context, c testkit.KitCalls) error { return c.Add(1).With(daffi.After(d)).Do(ctx) },
		"value": func(ctx context.Context, c testkit.KitCalls) error {
			_, err := c.Nest(0).With(daffi.After(d)).Do(ctx)
			return err
		},
		"Go": func(ctx context.Context, c testkit.KitCalls) error {
			return c.Add(1).With(daffi.After(d)).Go(ctx).Err(context.Background())
		},
		"input": func(ctx context.Context, c testkit.KitCalls) error {
			_, err := c.Sum(0, func(yield func(int, error) bool) { yield(1, nil) }).With(daffi.After(d)).Do(ctx)
			return err
		},
		"stream": func(ctx context.Context, c testkit.KitCalls) (err error) {
			for _, e := range c.Count(2, "").With(daffi.After(d)).Do(ctx) {
				err = e
			}
			return err
		},
		"oneway": func(ctx context.Context, c testkit.KitCalls) error { return c.Note("x").With(daffi.After(d)).Do(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *kit) {
				start := time.Now()
				require.NoError(t, call(t.Context(), k.p.Prepare()))
				require.Equal(t, d, time.Since(start))
				synctest.Wait()
				require.Zero(t, daffi.Working(k.client))

				// Its context ends the wait, and nothing is sent.
				k.impl.Blocked = make(chan struct{}, 1)
				ctx, cancel := context.WithTimeout(t.Context(), d-1)
				defer cancel()
				requireError(t, call(ctx, k.p.Prepare()), daffi.DeadlineExceeded, "", daffi.NotRun)
				synctest.Wait()
				require.Zero(t, daffi.Working(k.client))
				require.Empty(t, k.client.Held())
			})
		})
	}
}

// TestT7D42DelayIsNotCountedAgainstADeadline delays calls for longer than they may take.
func TestT7D42DelayIsNotCountedAgainstADeadline(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		r, err := k.p.Prepare().Who().With(daffi.After(time.Hour)).Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, 30*time.Second, r.Left, "the default")
		start := time.Now()
		requireDeadline(t, k.p.Prepare().Quick().With(daffi.After(time.Second)).Do(t.Context()))
		require.Equal(t, 1200*time.Millisecond, time.Since(start), "//daffi:timeout 200ms")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err = k.p.Prepare().Who().With(daffi.After(50 * time.Second)).Do(ctx)
		require.NoError(t, err)
		require.Equal(t, 10*time.Second, r.Left, "a context's counts all")
	})
}

// TestD42CancelBeforeSending cancels a delayed call by its future.
func TestD42CancelBeforeSending(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		f := k.p.Prepare().Add(1).With(daffi.After(time.Hour)).Go(t.Context())
		time.Sleep(time.Minute)
		f.Cancel()
		requireError(t, f.Err(t.Context()), daffi.Canceled, "", daffi.NotRun)
		require.Equal(t, time.Minute, f.Elapsed())
		time.Sleep(time.Hour)
		n, err := k.p.Total(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// TestD42ShutdownWaitsForDelayedCalls counts those of every kind.
func TestD42ShutdownWaitsForDelayedCalls(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		done := make(chan error, 1)
		go func() { done <- k.p.Prepare().Add(1).With(daffi.After(time.Minute)).Do(t.Context()) }()
		require.NoError(t, k.p.Prepare().Add(2).With(daffi.After(2*time.Minute)).Post(t.Context()))
		synctest.Wait()
		start := time.Now()
		require.NoError(t, k.client.Shutdown(context.Background()))
		require.Equal(t, 2*time.Minute, time.Since(start))
		require.NoError(t, <-done)
		synctest.Wait()
		n, err := testkit.NewKit(k.server).Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, n)
	})
}

// TestD42CloseEndsDelayedCalls does not wait for them.
func TestD42CloseEndsDelayedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := make(chan daffi.LostCall, 1)
		k := newKit(t)
		k.client = k.net.NodeWith(daffi.Options{Name: "another", OnLost: func(c daffi.LostCall) { lost <- c }})
		k.p = testkit.NewKit(k.client)
		done := make(chan error, 1)
		go func() { done <- k.p.Prepare().Add(1).With(daffi.After(time.Minute)).Do(t.Context()) }()
		require.NoError(t, k.p.Prepare().Add(2).With(daffi.After(time.Minute)).Post(t.Context()))
		synctest.Wait()
		start := time.Now()
		require.NoError(t, k.client.Close())
		require.Zero(t, time.Since(start))
		requireError(t, <-done, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
		requireError(t, (<-lost).Err, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
	})
}

// TestD42DelayedPost returns at once; its context bounds it all the same, and who waits for its end is OnLost and Flush.
func TestD42DelayedPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := make(chan daffi.LostCall, 1)
		k := newKit(t)
		k.client = k.net.NodeWith(daffi.Options{Name: "another", OnLost: func(c daffi.LostCall) { lost <- c }})
		k.p = testkit.NewKit(k.client)
		post := func(ctx context.Context, opts ...daffi.CallOption) {
			start := time.Now()
			require.NoError(t, k.p.Prepare().Add(1).With(append(opts, daffi.After(time.Minute))...).Post(ctx))
			require.Zero(t, time.Since(start))
		}
		total := func(want int) {
			t.Helper()
			n, err := k.p.Total(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		start := time.Now()
		post(t.Context())
		post(t.Context(), daffi.WithAck(daffi.AckNone))
		total(0)
		require.NoError(t, k.client.Flush(t.Context()))
		require.Equal(t, time.Minute, time.Since(start))
		synctest.Wait()
		total(2)

		ctx, cancel := context.WithCancel(t.Context())
		post(ctx)
		time.AfterFunc(time.Second, cancel)
		c := <-lost
		requireError(t, c.Err, daffi.Canceled, "", daffi.NotRun)
		require.Equal(t, "Kit.Add", c.Method)
		require.Equal(t, "another", c.Caller)
		require.NoError(t, k.client.Flush(t.Context()))
		total(2)
		require.Equal(t, map[string]uint64{"Kit.Add": 1}, k.client.Lost())
	})
}
