package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/idempotent"
	"github.com/daffi-rpc/daffi/testdata/golden/keyed"
)

// laggard takes a second for the first attempt of a call, unless it is told to end, and notes how the handler's context ended.
type laggard struct {
	store
	ended chan error
	fail  error // of attempts after the first
}

func newLaggard() *laggard { return &laggard{ended: make(chan error, 1000)} }

func (s *laggard) Get(ctx context.Context, key string) (string, error) {
	s.handle(ctx)
	if info, _ := daffi.CallFrom(ctx); info.Attempt == 0 {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			s.ended <- ctx.Err()
			return "", ctx.Err()
		}
		return "late " + key, nil
	}
	return "soon " + key, s.fail
}

// serveOn lets nodes of those names serve s.
func (s *laggard) serveOn(t *testing.T, net *daffitest.Net, names ...string) {
	for _, name := range names {
		_, err := idempotent.RegisterStore(net.Node(name), s)
		require.NoError(t, err)
	}
}

// TestD68HedgeWins asks another provider, takes its answer, and cancels the first.
func TestD68HedgeWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := daffitest.New(t), newLaggard()
		s.serveOn(t, net, "a", "b")
		client := net.Node("client")
		p := idempotent.NewClient(client).Prepare()
		for range 20 {
			start := time.Now()
			got, err := p.Get("k").With(daffi.Hedge(100 * time.Millisecond)).Do(t.Context())
			require.NoError(t, err)
			require.Equal(t, "soon k", got)
			require.Equal(t, 100*time.Millisecond, time.Since(start))
			require.ErrorIs(t, <-s.ended, context.Canceled)
			s.mu.Lock()
			require.Len(t, s.calls, 2)
			require.Equal(t, []int{0, 1}, []int{s.calls[0].Attempt, s.calls[1].Attempt})
			require.Equal(t, s.calls[0].ID, s.calls[1].ID)
			require.NotEqual(t, s.nodes[0], s.nodes[1], "the second goes to another provider")
			s.mu.Unlock()
			s.take()
			for range 20 { // so that the budget lasts
				require.NoError(t, p.PutAgain("k", "v").Do(t.Context()))
			}
			s.take()
		}
		synctest.Wait()
		require.Empty(t, client.Held())
		require.Zero(t, net.Controller.Stats().Calls)
	})
}

// TestD68HedgeTakesTheFirstAnswer whoever gives it, and whether it is a value or a handler's error.
func TestD68HedgeTakesTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := daffitest.New(t), newLaggard()
		s.serveOn(t, net, "a", "b")
		client := net.Node("client")
		p := idempotent.NewClient(client).Prepare()
		got, err := p.Get("k").With(daffi.Hedge(2 * time.Second)).Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, "late k", got)
		require.Len(t, s.take(), 1, "the first has answered in time")

		s.fail = errors.New("no such key")
		start := time.Now()
		_, err = p.Get("k").With(daffi.Hedge(100 * time.Millisecond)).Do(t.Context())
		require.ErrorContains(t, err, "no such key")
		require.Equal(t, daffi.Ran, daffi.OutcomeOf(err))
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		synctest.Wait()
		require.Empty(t, client.Held())
	})
}

// TestD68HedgeWithoutAnother goes on with the first where there is no other provider, no budget, or where the other fails without an answer.
func TestD68HedgeWithoutAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := daffitest.New(t), newLaggard()
		s.serveOn(t, net, "a")
		client := net.Node("client")
		get := idempotent.NewClient(client).Prepare().Get("k").With(daffi.Hedge(100 * time.Millisecond))
		got, err := get.Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, "late k", got)
		require.Len(t, s.take(), 1, "there is no other provider")

		s.serveOn(t, net, "b")
		hedged := 0
		for range 50 {
			_, err := get.Do(t.Context())
			require.NoError(t, err)
			hedged += len(s.take()) - 1
		}
		require.GreaterOrEqual(t, hedged, 9, "the allowance")
		require.LessOrEqual(t, hedged, 10+6, "and a tenth of the calls")
		synctest.Wait()
		require.Empty(t, client.Held())
	})
}

// TestD68HedgeEndsWithItsCall cancels both.
func TestD68HedgeEndsWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		ended := make(chan error, 2)
		s := &store{on: func(ctx context.Context, _ daffi.CallInfo) { <-ctx.Done(); ended <- ctx.Err(); time.Sleep(time.Second) }}
		s.serve(t, net, "a", "b", "c")
		client := net.Node("client")
		get := idempotent.NewClient(client).Prepare().Get("k").With(daffi.Hedge(100 * time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := get.Do(ctx)
		requireDeadline(t, err)
		f := get.Go(t.Context())
		time.Sleep(time.Second)
		f.Cancel()
		requireError(t, f.Err(t.Context()), daffi.Canceled, "", daffi.MayHaveRun)
		for range 4 {
			require.Error(t, <-ended)
		}
		start := time.Now()
		_, err = get.Do(t.Context())
		requireDeadline(t, err)
		require.Equal(t, 30*time.Second, time.Since(start), "the default deadline counts for both")
		synctest.Wait()
		require.Empty(t, client.Held())
		require.Zero(t, net.Controller.Stats().Calls)
	})
}

// TestD68HedgeHasTheMetadataOfItsAnswer whichever of the two gives it.
func TestD68HedgeHasTheMetadataOfItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		s := &store{on: func(ctx context.Context, info daffi.CallInfo) {
			assert.NoError(t, daffi.SetReplyMetadata(ctx, map[string]string{"attempt": fmt.Sprint(info.Attempt)}))
			if info.Attempt == 0 {
				time.Sleep(time.Second)
			}
		}}
		s.serve(t, net, "a", "b")
		get := idempotent.NewClient(net.Node("client")).Prepare().Get("k")
		for after, want := range map[time.Duration]string{2 * time.Second: "0", 100 * time.Millisecond: "1"} {
			var md daffi.ReplyMetadata
			got, err := get.With(daffi.Hedge(after)).Do(daffi.WithReplyMetadata(t.Context(), &md))
			require.NoError(t, err)
			require.NotEmpty(t, got)
			require.Equal(t, want, md.Get("attempt"))
		}
		time.Sleep(time.Second)
	})
}

// TestD68HedgeHasNoKeyOfAnotherCall makes calls with a key before, whose memory is used again.
func TestD68HedgeHasNoKeyOfAnotherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, s := daffitest.New(t), new(store)
		s.serve(t, net, "a", "b", "c", "d")
		_, err := keyed.RegisterCarts(net.Node("carts"), new(carts))
		require.NoError(t, err)
		client := net.Node("client")
		c, get := keyed.NewCarts(client), idempotent.NewClient(client).Prepare().Get("k").With(daffi.Hedge(time.Second))
		nodes := map[string]bool{}
		for range 100 {
			var carts []daffi.Settler
			for range 3 { // the call and its copies
				carts = append(carts, c.Prepare().Add("tea", "bob", 1).Go(t.Context()))
			}
			require.NoError(t, daffi.WaitAll(t.Context(), carts...))
			_, err := get.Do(t.Context())
			require.NoError(t, err)
			s.mu.Lock()
			nodes[s.nodes[0].Name()] = true
			s.mu.Unlock()
			s.take()
		}
		require.Len(t, nodes, 4)
	})
}

// TestD68HedgeIsRefused where a call must not run twice, or cannot.
func TestD68HedgeIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		h := daffi.Hedge(time.Second)
		c := k.p.Prepare()
		s := &store{}
		s.serve(t, k.net, "a")
		get := idempotent.NewClient(k.client).Prepare().Get("k")
		one := func(yield func(int, error) bool) { yield(1, nil) }
		for name, call := range map[string]func() error{
			"not idempotent": func() error { return c.Add(1).With(h).Do(t.Context()) },
			"one way":        func() error { return c.Note("x").With(h).Do(t.Context()) },
			"posted":         func() error { return get.With(h).Post(t.Context()) },
			"input":          func() error { _, err := c.Sum(0, one).With(h).Do(t.Context()); return err },
			"output":         func() error { return last(c.Count(1, "").With(h).Do(t.Context())) },
			"to":             func() error { _, err := get.With(h, daffi.To("a")).Do(t.Context()); return err },
			"key":            func() error { _, err := get.With(h, daffi.HashKey("x")).Do(t.Context()); return err },
			"broadcast":      func() error { _, err := daffi.Collect(get.With(h).Broadcast(t.Context())); return err },
			"scheduled":      func() error { _, err := get.With(h).Schedule(t.Context(), daffi.Once(time.Second)); return err },
			"no time":        func() error { _, err := get.With(daffi.Hedge(0)).Do(t.Context()); return err },
		} {
			e := requireError(t, call(), daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
			require.NotEmpty(t, e.Method, name)
		}
		require.Empty(t, s.take())
		require.Empty(t, k.client.Held())
	})
}

func last[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		err = e
	}
	return err
}

// TestD68SEM6Retry bounds how often a call is sent again, and the handler sees which one it is.
func TestD68SEM6Retry(t *testing.T) {
	for n, want := range map[int]int{-1: 3, 0: 1, 1: 2, 7: 8} {
		synctest.Test(t, func(t *testing.T) {
			net := daffitest.New(t)
			s := &store{on: func(ctx context.Context, _ daffi.CallInfo) { die(ctx) }}
			s.serve(t, net, "a", "b", "c", "d", "e", "f", "g", "h", "i")
			get := idempotent.NewClient(net.Node("client")).Prepare().Get("k")
			if n >= 0 {
				get = get.With(daffi.Retry(n))
			}
			_, err := get.Do(t.Context())
			requireError(t, err, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
			calls := s.take()
			require.Len(t, calls, want)
			for i, c := range calls {
				require.Equal(t, i, c.Attempt)
			}
		})
	}
	bubble(t, func(t *testing.T, k *kit) {
		for _, n := range []int{-1, 8} {
			requireError(t, k.p.Prepare().Add(1).With(daffi.Retry(n)).Do(t.Context()), daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
			requireError(t, last(k.p.Prepare().Count(1, "").With(daffi.Retry(n)).Do(t.Context())), daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
		}
	})
}

// TestD68RetryWhereNothingRan repeats a call that a full node has refused, as often as it may.
func TestD68RetryWhereNothingRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		full := net.NodeWith(daffi.Options{Name: "full", MaxRunning: 1, MaxQueue: -1})
		k := &testkit.Impl{Blocked: make(chan struct{}, 1)}
		_, err := testkit.RegisterKit(full, k)
		require.NoError(t, err)
		p := testkit.NewKit(net.Node("client")).Prepare()
		blocked := p.Block().Go(t.Context())
		<-k.Blocked
		requireError(t, p.Add(1).With(daffi.Retry(0)).Do(t.Context()), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		time.AfterFunc(150*time.Millisecond, blocked.Cancel)
		require.NoError(t, p.Add(1).With(daffi.Retry(7)).Do(t.Context()), "at least 70 ms pass with each two")
	})
}
