package daffi_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/keyed"
)

// carts answers every call with the name of its node.
type carts struct {
	mu     sync.Mutex
	forgot []string // "node: user"
}

func where(ctx context.Context) string { return daffi.NodeFrom(ctx).Name() }

func (*carts) Add(ctx context.Context, item, user string, count int) (string, error) {
	return where(ctx), nil
}
func (*carts) Stock(ctx context.Context, p keyed.Place) (string, error)       { return where(ctx), nil }
func (*carts) Group(ctx context.Context, users ...string) (string, error)     { return where(ctx), nil }
func (*carts) Names(ctx context.Context, at, e, keyAt string) (string, error) { return where(ctx), nil }
func (*carts) Plain(ctx context.Context, user string) (string, error)         { return where(ctx), nil }

func (c *carts) Forget(ctx context.Context, user string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgot = append(c.forgot, where(ctx)+": "+user)
	return nil
}

func (*carts) Watch(ctx context.Context, user string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield(where(ctx), nil) }
}

func (*carts) Fill(ctx context.Context, user string, in iter.Seq2[int, error]) (string, error) {
	for _, err := range in {
		if err != nil {
			return "", err
		}
	}
	return where(ctx), nil
}

func (c *carts) Chat(ctx context.Context, user string, in iter.Seq2[int, error]) iter.Seq2[string, error] {
	return c.Watch(ctx, user)
}

// only is the one item of a sequence.
func only(t *testing.T, seq iter.Seq2[string, error]) (item string) {
	for v, err := range seq {
		require.NoError(t, err)
		item = v
	}
	return item
}

func TestKeysDecideTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		net, impl := daffitest.New(t), new(carts)
		nodes := map[string]*daffi.Node{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			nodes[name] = net.Node(name)
			_, err := keyed.RegisterCarts(nodes[name], impl)
			require.NoError(t, err)
		}
		p := keyed.NewCarts(net.Node("client"))
		own := keyed.NewCarts(nodes["a"]) // a provider that calls
		owner := map[string]string{}
		count := map[string]int{}
		for i := range 100 {
			user := fmt.Sprint("user-", i)
			at, err := p.Add(ctx, fmt.Sprint(i), user, i)
			require.NoError(t, err)
			same := func(got string, err error) {
				t.Helper()
				require.NoError(t, err)
				require.Equal(t, at, got)
			}
			same(p.Add(ctx, "another item", user, -i))
			same(own.Add(ctx, "another caller", user, 1))
			same(only(t, p.Watch(ctx, user)), nil)
			same(p.Fill(ctx, user, numbers(3)))
			same(only(t, p.Chat(ctx, user, numbers(3))), nil)
			same(p.Names(ctx, user, "x", "y"))
			same(p.Prepare().Plain("x").With(daffi.HashKey(user)).Do(ctx))
			same(p.Prepare().Add("", "another user", 1).With(daffi.HashKey(user)).Do(ctx))
			same(p.Prepare().Add("", user, 1).With(daffi.To(at)).Do(ctx))
			require.NoError(t, p.Forget(ctx, user))
			require.NoError(t, p.Prepare().Forget("posted").With(daffi.HashKey(user)).Post(ctx))
			require.NoError(t, keyed.NewMany(nodes["b"], daffi.HashKey(user)).ForgetAll(ctx, slices.Values([]string{"each", "item"})))
			synctest.Wait()
			require.ElementsMatch(t, []string{at + ": " + user, at + ": posted", at + ": each", at + ": item"}, impl.forgot)
			impl.forgot = nil
			owner[user] = at
			count[at]++
		}
		require.Len(t, count, 5, "%v", count)

		far := "a"
		if owner["user-1"] == far {
			far = "b"
		}
		got, err := p.Prepare().Add("", "user-1", 1).With(daffi.To(far), daffi.HashKey("user-1")).Do(ctx)
		require.NoError(t, err)
		require.Equal(t, far, got, "To takes precedence")

		// Struct and variadic keys: every part of them counts.
		stock := func(p0 keyed.Place) string { got, err := p.Stock(ctx, p0); require.NoError(t, err); return got }
		group := func(users ...string) string { got, err := p.Group(ctx, users...); require.NoError(t, err); return got }
		places, groups := map[string]bool{}, map[string]bool{}
		for i := range 30 {
			place := keyed.Place{Shop: "shop", Below: &keyed.Place{Shelf: i}}
			require.Equal(t, stock(place), stock(keyed.Place{Shop: "shop", Below: &keyed.Place{Shelf: i}}))
			places[stock(place)] = true
			require.Equal(t, group("x", fmt.Sprint(i)), group("x", fmt.Sprint(i)))
			groups[group("x", fmt.Sprint(i))] = true
		}
		require.Len(t, places, 5)
		require.Len(t, groups, 5)

		// Who leaves takes only its own keys away, and gets them back.
		require.NoError(t, nodes["c"].Shutdown(ctx))
		for user, was := range owner {
			now, err := p.Add(ctx, "", user, 1)
			require.NoError(t, err)
			if was == "c" {
				require.NotEqual(t, "c", now)
			} else {
				require.Equal(t, was, now)
			}
		}
		_, err = keyed.RegisterCarts(net.Node("c"), impl)
		require.NoError(t, err)
		for user, was := range owner {
			now, err := p.Add(ctx, "", user, 1)
			require.NoError(t, err)
			require.Equal(t, was, now)
		}
	})
}

// Keys stay where they are when the controller is replaced and nodes join in another order.
func TestKeysOverANewController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			_, err := keyed.RegisterCarts(connect(t, daffi.Options{Name: name, Controller: w}), new(carts))
			require.NoError(t, err)
		}
		client := connect(t, daffi.Options{Name: "client", Controller: w})
		p := keyed.NewCarts(client)
		owners := func() (all []string) {
			for i := range 50 {
				at, err := p.Add(t.Context(), "", fmt.Sprint(i), 1)
				require.NoError(t, err)
				all = append(all, at)
			}
			return all
		}
		before := owners()
		w.stop()
		w.start(t)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			require.NoError(t, client.WaitNode(t.Context(), name))
		}
		time.Sleep(time.Second)
		require.Equal(t, before, owners())
	})
}

// A repeated call keeps its key, and one that meets a full node is not taken elsewhere.
func TestKeyedCallAtAFullNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		for _, name := range []string{"a", "b"} {
			node := net.NodeWith(daffi.Options{Name: name, MaxRunning: 1, MaxQueue: -1})
			_, err := keyed.RegisterCarts(node, slowCarts{})
			require.NoError(t, err)
		}
		p := keyed.NewCarts(net.Node("client"))
		ended := make(chan string)
		go func() {
			at, err := p.Add(t.Context(), "", "bob", 1)
			if err != nil {
				at = err.Error()
			}
			ended <- at
		}()
		synctest.Wait()
		_, err := p.Add(t.Context(), "", "bob", 1)
		e := requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		require.Equal(t, e.Node, <-ended)
	})
}

// slowCarts takes a second.
type slowCarts struct{ *carts }

func (slowCarts) Add(ctx context.Context, item, user string, count int) (string, error) {
	time.Sleep(time.Second)
	return where(ctx), nil
}

func TestKeyedCallAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	net := daffitest.New(t)
	for _, name := range []string{"a", "b", "c"} {
		_, err := keyed.RegisterCarts(net.Node(name), new(carts))
		require.NoError(t, err)
	}
	p, user := keyed.NewCarts(net.Node("client")), strings.Repeat("x", 64)
	plain := testing.AllocsPerRun(1000, func() { p.Plain(t.Context(), user) })
	withKey := testing.AllocsPerRun(1000, func() { p.Names(t.Context(), user, "", "") })
	require.LessOrEqual(t, withKey, plain)
}
