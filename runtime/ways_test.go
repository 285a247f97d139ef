package daffi_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// TestE1PreparedCallsAreValues derives calls from calls: none changes another, and each may be made again.
func TestE1PreparedCallsAreValues(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		_, err := testkit.RegisterKit(k.net.Node("other"), new(testkit.Impl))
		require.NoError(t, err)
		c := k.p.Prepare().Who()
		late := c.With(daffi.After(time.Second))
		nobody := late.With(daffi.To("nobody"))
		again := nobody.With(daffi.To(), daffi.After(0))
		for range 2 {
			start := time.Now()
			_, err := c.Do(t.Context())
			require.NoError(t, err)
			require.Zero(t, time.Since(start))
			_, err = late.Do(t.Context())
			require.NoError(t, err)
			require.Equal(t, time.Second, time.Since(start))
			_, err = nobody.Do(t.Context())
			requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
			require.Equal(t, 2*time.Second, time.Since(start))
			_, err = again.Do(t.Context())
			require.NoError(t, err, "later options win")
			require.Equal(t, 2*time.Second, time.Since(start))
		}
	})
}

// TestE2E8ModesOfACall makes one call in every way that there is, and each has the one effect that it says.
func TestE2E8ModesOfACall(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		c, unanswered := k.p.Prepare().Add(1), k.p.Prepare().Note("x")
		k.impl.Notes = make(chan string, 10)
		for name, call := range map[string]func() error{
			"plain":      func() error { return k.p.Add(ctx, 1) },
			"prepared":   func() error { return c.Do(ctx) },
			"background": func() error { return c.Go(ctx).Err(ctx) },
			"background, function": func() error {
				done := make(chan error)
				c.Go(ctx).OnDone(func(r daffi.Result[struct{}]) { done <- r.Err })
				return <-done
			},
			"posted":           func() error { return c.Post(ctx) },
			"posted, admitted": func() error { return c.With(daffi.WithAck(daffi.AckAdmitted)).Post(ctx) },
			"posted, flushed": func() error {
				if err := c.With(none).Post(ctx); err != nil {
					return err
				}
				return k.client.Flush(ctx)
			},
		} {
			before, err := k.p.Total(ctx)
			require.NoError(t, err)
			require.NoError(t, call(), name)
			synctest.Wait()
			after, err := k.p.Total(ctx)
			require.NoError(t, err)
			require.Equal(t, before+1, after, name)
		}
		// A one-way method has the same ways, and none of them waits for its handler.
		for name, call := range map[string]func() error{
			"plain":      func() error { return k.p.Note(ctx, "x") },
			"prepared":   func() error { return unanswered.Do(ctx) },
			"background": func() error { return unanswered.Go(ctx).Err(ctx) },
			"posted":     func() error { return unanswered.Post(ctx) },
		} {
			require.NoError(t, call(), name)
			require.Equal(t, "x", <-k.impl.Notes)
		}
		synctest.Wait()
		require.Empty(t, k.client.Held())
		require.Zero(t, daffi.Working(k.client))
	})
}

// TestE3Timeouts shows whose deadline counts, that none is only what is asked for, and that the far side is told.
func TestE3Timeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.impl.Ended = make(chan error, 10)
		ends := func(p *testkit.KitProxy, ctx context.Context, after time.Duration) {
			t.Helper()
			start := time.Now()
			requireDeadline(t, p.Block(ctx))
			require.Equal(t, after, time.Since(start))
			require.ErrorIs(t, <-k.impl.Ended, context.DeadlineExceeded)
		}
		ends(k.p, t.Context(), 30*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ends(k.p, ctx, time.Second)
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ends(k.p, ctx, time.Hour)
		ends(testkit.NewKit(k.net.NodeWith(daffi.Options{Name: "short", Timeout: time.Minute})), t.Context(), time.Minute)

		forever := testkit.NewKit(k.net.NodeWith(daffi.Options{Name: "forever", Timeout: -1})).Prepare().Block().Go(t.Context())
		time.Sleep(10 * time.Minute)
		_, settled := forever.TryGet()
		require.False(t, settled)
		forever.Cancel()
		requireError(t, forever.Err(t.Context()), daffi.Canceled, "", daffi.MayHaveRun)
		require.ErrorIs(t, <-k.impl.Ended, context.Canceled)
	})
}

// TestE4LateReplyIsDropped has a handler answer after its caller has gone: nobody is told a second time.
func TestE4LateReplyIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		slow := k.net.Node("slow")
		_, err := testkit.RegisterKit(slow, stubborn{new(testkit.Impl)})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := testkit.NewKit(k.client, daffi.To("slow")).Prepare().Nest(0).Go(ctx)
		told := make(chan error, 2)
		f.OnDone(func(r daffi.Result[int]) { told <- r.Err })
		requireDeadline(t, <-told)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, told)
		_, err = f.Wait(t.Context())
		requireDeadline(t, err)
		require.Empty(t, k.client.Held())
	})
}

// stubborn does not look at its context.
type stubborn struct{ *testkit.Impl }

func (s stubborn) Nest(context.Context, int) (int, error) {
	time.Sleep(10 * time.Second)
	return 1, nil
}

// TestE7FailuresAreNeverSuccess: what a caller does not want to know is told to OnLost, and no call returns nil for what has failed.
func TestE7FailuresAreNeverSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, lost := daffitest.New(t), make(chan daffi.LostCall, 10)
		client := net.NodeWith(daffi.Options{Name: "client", OnLost: func(c daffi.LostCall) { lost <- c }})
		p := testkit.NewKit(client).Prepare()
		for _, err := range []error{
			p.Add(1).Do(t.Context()), p.Add(1).Go(t.Context()).Err(t.Context()), p.Add(1).Post(t.Context()), p.Note("x").Do(t.Context()),
			p.Add(1).With(daffi.WithAck(daffi.AckAdmitted)).Post(t.Context()),
		} {
			requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		}
		require.NoError(t, p.Add(1).With(none).Post(t.Context()), "the queue has it, and that is all that it says")
		require.NoError(t, client.Flush(t.Context()))
		requireError(t, (<-lost).Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Equal(t, map[string]uint64{"Kit.Add": 1}, client.Lost())
	})
}

// TestD41PlainCall is what a call is that says nothing else: a value or an error, of a provider that the controller picks or of the one that is named, and the handler is told
// of the end.
func TestD41PlainCall(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		got, err := k.p.Fail(t.Context(), "well")
		require.NoError(t, err)
		require.Equal(t, "well", got)
		_, err = k.p.Fail(t.Context(), "coded")
		e := requireError(t, err, daffi.NotFound, "no_such_item", daffi.Ran)
		require.Equal(t, "server", e.Node)

		_, err = testkit.NewKit(k.client, daffi.To("nobody")).Total(t.Context())
		e = requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Contains(t, e.Message, `no node is named "nobody"`)
		_, err = testkit.NewKit(k.client, daffi.To("client")).Total(t.Context())
		e = requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Contains(t, e.Message, "client")

		k.impl.Blocked, k.impl.Ended = make(chan struct{}, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.p.Block(ctx) }()
		<-k.impl.Blocked
		cancel()
		requireError(t, <-done, daffi.Canceled, "", daffi.MayHaveRun)
		require.ErrorIs(t, <-k.impl.Ended, context.Canceled, "its handler is told")
	})
}
