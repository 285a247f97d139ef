package daffi_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/idempotent"
)

// store notes the calls that reach it, on whatever nodes it is served.
type store struct {
	on func(ctx context.Context, info daffi.CallInfo) // what a handler does before it answers

	mu    sync.Mutex
	calls []daffi.CallInfo
	nodes []*daffi.Node
}

func (s *store) handle(ctx context.Context) {
	info, _ := daffi.CallFrom(ctx)
	s.mu.Lock()
	s.calls, s.nodes = append(s.calls, info), append(s.nodes, daffi.NodeFrom(ctx))
	s.mu.Unlock()
	if s.on != nil {
		s.on(ctx, info)
	}
}

func (s *store) Get(ctx context.Context, key string) (string, error) {
	s.handle(ctx)
	return daffi.NodeFrom(ctx).Name() + " has " + key, nil
}

func (s *store) Put(ctx context.Context, key, value string) error { s.handle(ctx); return nil }
func (s *store) Drop(ctx context.Context, key string) error       { s.handle(ctx); return nil }

// take returns the calls since it was called last.
func (s *store) take() []daffi.CallInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls, s.nodes = nil, nil
	return calls
}

// serve lets nodes of those names serve s.
func (s *store) serve(t *testing.T, net *daffitest.Net, names ...string) {
	for _, name := range names {
		_, err := idempotent.RegisterStore(net.Node(name), s)
		require.NoError(t, err)
	}
}

// die closes the node of the handler that ctx is of, and waits for that.
func die(ctx context.Context) {
	go daffi.NodeFrom(ctx).Close()
	<-ctx.Done()
}

func TestIdempotentCallRunsAgainElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		s := &store{on: func(ctx context.Context, info daffi.CallInfo) {
			if info.Attempt == 0 {
				die(ctx)
			}
		}}
		s.serve(t, net, "a", "b", "c", "d", "e")
		p := idempotent.NewClient(net.Node("client"))
		ids := map[string]bool{}
		for range 2 {
			got, err := p.Get(t.Context(), "k")
			require.NoError(t, err)
			calls := s.take()
			require.Len(t, calls, 2)
			require.Equal(t, []int{0, 1}, []int{calls[0].Attempt, calls[1].Attempt})
			require.Len(t, calls[0].ID, 32)
			require.Equal(t, calls[0].ID, calls[1].ID)
			require.Contains(t, got, " has k")
			ids[calls[0].ID] = true
		}
		require.Len(t, ids, 2, "calls have ids of their own")

		require.NoError(t, p.PutAgain(t.Context(), "k", "v"))
		s.take()
		require.Error(t, p.Put(t.Context(), "k", "v"))
		calls := s.take()
		require.Len(t, calls, 1, "it does not say that it may run twice")
		require.Empty(t, calls[0].ID)
	})
}

// However it fails in the end, one attempt may have run.
func TestIdempotentOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		s := &store{on: func(ctx context.Context, _ daffi.CallInfo) { die(ctx) }}
		p := idempotent.NewClient(net.Node("client"))

		s.serve(t, net, "a")
		_, err := p.Get(t.Context(), "k")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.MayHaveRun)
		require.Len(t, s.take(), 1)

		s.serve(t, net, "b", "c", "d", "e")
		_, err = p.Get(t.Context(), "k")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
		require.Len(t, s.take(), 3, "and no more")

		_, err = p.Get(t.Context(), "k")
		require.Equal(t, daffi.MayHaveRun, daffi.OutcomeOf(err))
		_, err = p.Get(t.Context(), "k")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

// A deadline and a cancel are the caller's own will.
func TestIdempotentCallsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		s := &store{on: func(ctx context.Context, _ daffi.CallInfo) {
			<-ctx.Done()
			time.Sleep(time.Millisecond) // it does not answer at the same moment
		}}
		s.serve(t, net, "a", "b")
		p := idempotent.NewClient(net.Node("client"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := p.Get(ctx, "k")
		requireDeadline(t, err)
		require.Equal(t, time.Second, time.Since(begin))
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = p.Get(ctx, "k")
		require.Equal(t, daffi.Canceled, daffi.CodeOf(err))
		synctest.Wait()
		require.Len(t, s.take(), 2)
	})
}

// cutKit is a caller whose link is cut by every first attempt.
func cutKit(t *testing.T) (s *store, p *idempotent.ClientProxy, cut *bool) {
	return cutKitWith(t, daffi.Limits{})
}

func cutKitWith(t *testing.T, l daffi.Limits) (s *store, p *idempotent.ClientProxy, cut *bool) {
	net, w := daffitest.New(t), new(wire)
	w.ctl = net.Controller
	cut = new(bool)
	*cut = true
	s = &store{on: func(ctx context.Context, info daffi.CallInfo) {
		if info.Attempt == 0 && *cut {
			w.last().Close()
			<-ctx.Done()
		}
	}}
	s.serve(t, net, "a")
	return s, idempotent.NewClient(connect(t, daffi.Options{Name: "client", Controller: w, Limits: l})), cut
}

func TestIdempotentCallRunsAgainAfterReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, _ := cutKit(t)
		got, err := p.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "a has k", got)
		require.Len(t, s.take(), 2)
		requireError(t, p.Put(t.Context(), "k", "v"), daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		require.Len(t, s.take(), 1)
	})
}

func TestLIM24RetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, cut := cutKit(t)
		again := func() error { *cut = true; _, err := p.Get(t.Context(), "k"); return err }
		fine := func() {
			*cut = false
			_, err := p.Get(t.Context(), "k")
			require.NoError(t, err)
		}
		for i := range 11 { // the allowance of 10, and a tenth of 10 calls
			require.NoError(t, again(), "%d", i)
		}
		requireError(t, again(), daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		for range 7 {
			fine()
			*cut = false
			require.NoError(t, p.Put(t.Context(), "k", "v")) // earns nothing
		}
		require.NoError(t, again(), "a tenth of 10 calls more")
		for range 8 {
			fine()
		}
		require.Error(t, again(), "9 are not enough")
		for range 2000 {
			fine()
		}
		ok := 0
		for range 200 {
			if again() == nil {
				ok++
			}
		}
		require.Equal(t, 111+8, ok, "100 that were saved up, 11 that these have earned, then every tenth")
	})
}

// What has not run is counted as well, and has no id.
func TestAttemptOfRepeatedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		s := &store{on: func(ctx context.Context, _ daffi.CallInfo) { time.Sleep(10 * time.Millisecond) }}
		_, err := idempotent.RegisterStore(net.NodeWith(daffi.Options{Name: "a", MaxRunning: 1, MaxQueue: -1}), s)
		require.NoError(t, err)
		p := idempotent.NewClient(net.Node("client"))
		ended := make(chan error)
		go func() { ended <- p.Put(t.Context(), "k", "v") }()
		synctest.Wait()
		require.NoError(t, p.Put(t.Context(), "k", "v"))
		require.NoError(t, <-ended)
		calls := s.take()
		require.Len(t, calls, 2)
		require.Zero(t, calls[0].Attempt)
		require.Positive(t, calls[1].Attempt)
		require.Empty(t, calls[1].ID)

		// Once is enough where nothing goes wrong.
		synctest.Wait()
		_, err = p.Get(t.Context(), "k")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, p.Drop(t.Context(), "k"))
		synctest.Wait()
		calls = s.take()
		require.Zero(t, calls[0].Attempt)
		require.NotEmpty(t, calls[0].ID)
		require.NotEmpty(t, calls[1].ID)
	})
}
