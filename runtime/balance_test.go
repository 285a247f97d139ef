package daffi_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/keyed"
)

// balanced returns a node that answers with its name and asks for a balance.
func balanced(t *testing.T, net *daffitest.Net, name string, b daffi.Balance) *daffi.Registration {
	t.Helper()
	reg, err := keyed.RegisterCarts(net.Node(name), new(carts), daffi.Balanced(b))
	require.NoError(t, err)
	return reg
}

func TestD49BalanceOfAService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		for _, name := range []string{"a", "b", "c"} {
			balanced(t, net, name, daffi.BalanceRoundRobin)
		}
		p := keyed.NewCarts(net.Node("client"))
		require.Equal(t, map[string]int{"a": 20, "b": 20, "c": 20}, answers(t, p.Prepare().Plain("x"), 60))
		require.Len(t, answers(t, p.Prepare().Plain("x").With(daffi.BalanceBy(daffi.BalanceByCaller)), 60), 1, "the call's own comes first")
		require.Equal(t, map[string]int{"a": 20, "b": 20, "c": 20}, answers(t, p.Prepare().Plain("x"), 60))
		require.Len(t, answers(t, p.Prepare().Plain("x").With(daffi.HashKey("k")), 60), 1, "and a key before that")
	})
}

func TestD49BalanceOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		serving(t, net, "a", "b", "c", "d")
		client := net.Node("client")
		call := keyed.NewCarts(client).Prepare().Plain("x")
		require.Equal(t, map[string]int{"a": 10, "b": 10, "c": 10, "d": 10}, answers(t, call.With(daffi.BalanceBy(daffi.BalanceRoundRobin)), 40))
		for _, b := range []daffi.Balance{daffi.BalanceDefault, daffi.BalanceLeastRunning, daffi.BalanceRandom, daffi.BalanceLeastLatency} {
			require.Len(t, answers(t, call.With(daffi.BalanceBy(b)), 200), 4, b)
		}
		require.Len(t, answers(t, keyed.NewCarts(client, daffi.BalanceBy(daffi.BalanceByCaller)).Prepare().Plain("x"), 20), 1, "of a proxy")
		_, err := call.With(daffi.BalanceBy(77)).Do(t.Context())
		requireError(t, err, daffi.Unimplemented, "", daffi.NotRun)
		_, err = keyed.RegisterCarts(client, new(carts), daffi.Balanced(77))
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		require.ErrorContains(t, err, "balance(77)")
	})
}

// The least slow one is asked: by how long it takes, and not only by what it has.
func TestD49LeastLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		slow := new(lameCarts)
		for _, name := range []string{"a", "b"} {
			_, err := keyed.RegisterCarts(net.Node(name), slow)
			require.NoError(t, err)
		}
		call := keyed.NewCarts(net.Node("client")).Prepare().Plain("x").With(daffi.BalanceBy(daffi.BalanceLeastLatency))
		for range 20 { // until both are known
			answers(t, call, 1)
		}
		require.Equal(t, map[string]int{"b": 50}, answers(t, call, 50))
		time.Sleep(time.Minute) // nobody knows any more
		require.Len(t, answers(t, call, 20), 2)
	})
}

// lameCarts takes its time on node a.
type lameCarts struct{ carts }

func (*lameCarts) Plain(ctx context.Context, user string) (string, error) {
	if where(ctx) == "a" {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Millisecond)
	return where(ctx), nil
}

// Nodes that disagree are balanced as the first of them asks, and the log says so.
func TestBalanceDiffersBetweenNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(testkit.Journal)
		net := daffitest.With(t, controller.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		balanced(t, net, "a", daffi.BalanceDefault)
		b := balanced(t, net, "b", daffi.BalanceRoundRobin)
		require.NotContains(t, log.String(), "different ways")
		balanced(t, net, "c", daffi.BalanceByCaller)
		require.Contains(t, log.String(), "different ways")
		require.Contains(t, log.String(), "node=c balance=by_caller other=b its=round_robin")
		call := keyed.NewCarts(net.Node("client")).Prepare().Plain("x")
		require.Equal(t, map[string]int{"a": 5, "b": 5, "c": 5}, answers(t, call, 15))
		require.NoError(t, b.Close())
		synctest.Wait()
		require.Len(t, answers(t, call, 15), 1, "it is c that asks now")
	})
}

// Twenty callers at a time call five nodes that take equally long, while one after the other dies and another takes its place: no call fails or goes to a node that is known to be gone, a new one is called at
// once, and what five that stay get differs by less than a third.
func TestACC30NodesJoinAndDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		impl := new(steadyCarts)
		var nodes []*daffi.Node
		join := func(name string) {
			nodes = append(nodes, net.Node(name))
			_, err := keyed.RegisterCarts(nodes[len(nodes)-1], impl)
			require.NoError(t, err)
		}
		for i := range 5 {
			join(fmt.Sprint("node-", i))
		}
		p := keyed.NewCarts(net.Node("client"))
		calls := func(n int) map[string]int {
			var mu sync.Mutex
			var wg sync.WaitGroup
			got := map[string]int{}
			for range 20 {
				wg.Go(func() {
					for range n / 20 {
						name, err := p.Plain(t.Context(), "x")
						assert.NoError(t, err)
						mu.Lock()
						got[name]++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			return got
		}
		for round := range 10 {
			dead := nodes[0]
			nodes = nodes[1:]
			require.NoError(t, dead.Close())
			synctest.Wait()
			require.NotContains(t, calls(100), dead.Name())
			name := fmt.Sprint("new-", round)
			join(name)
			start := time.Now()
			got := calls(200)
			require.NotZero(t, got[name])
			require.Less(t, time.Since(start), 5*time.Second, "less than a heartbeat")
			require.Less(t, got[name], 80, "and no more than its share, about: %v", got)
		}
		got := calls(10_000)
		require.Len(t, got, 5)
		counts := slices.Sorted(maps.Values(got))
		require.LessOrEqual(t, float64(counts[4])/float64(counts[0]), 1.3, "%v", got)
	})
}

// steadyCarts takes a millisecond.
type steadyCarts struct{ carts }

func (*steadyCarts) Plain(ctx context.Context, user string) (string, error) {
	time.Sleep(time.Millisecond)
	return where(ctx), nil
}

// broken panics on node a as long as it is told to.
type broken struct {
	carts
	on atomic.Bool
}

func (b *broken) Plain(ctx context.Context, user string) (string, error) {
	if b.on.Load() && where(ctx) == "a" {
		panic("no database")
	}
	return where(ctx), nil
}

func TestD49ANodeThatPanicsIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, impl := daffitest.New(t), new(broken)
		for _, name := range []string{"a", "b", "c"} {
			_, err := keyed.RegisterCarts(net.Node(name), impl)
			require.NoError(t, err)
		}
		call := keyed.NewCarts(net.Node("client")).Prepare().Plain("x")
		impl.on.Store(true)
		failures := 0
		for range 1000 {
			if _, err := call.Do(t.Context()); err != nil {
				requireError(t, err, daffi.Internal, daffi.ReasonPanic, daffi.Ran)
				failures++
			}
		}
		require.Equal(t, 5, failures)
		require.Equal(t, uint64(1), net.Controller.Stats().Ejected)
		impl.on.Store(false)
		time.Sleep(2 * time.Second)
		require.Len(t, answers(t, call, 100), 3)
	})
}
