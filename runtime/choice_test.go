package daffi_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/keyed"
)

// serving returns nodes that answer with their names.
func serving(t *testing.T, net *daffitest.Net, names ...string) []*daffi.Node {
	t.Helper()
	var nodes []*daffi.Node
	for _, name := range names {
		nodes = append(nodes, net.Node(name))
		_, err := keyed.RegisterCarts(nodes[len(nodes)-1], new(carts))
		require.NoError(t, err)
	}
	return nodes
}

// answers counts who answers n calls.
func answers(t *testing.T, call daffi.Call[string], n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		name, err := call.Do(t.Context())
		require.NoError(t, err)
		got[name]++
	}
	return got
}

func TestD49SelfIsTheLastToBeCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := serving(t, daffitest.New(t), "a", "b")
		p := keyed.NewCarts(nodes[0])
		require.Equal(t, map[string]int{"b": 50}, answers(t, p.Prepare().Plain("x"), 50))
		require.NoError(t, nodes[1].Close())
		require.Equal(t, map[string]int{"a": 5}, answers(t, p.Prepare().Plain("x"), 5), "alone it serves itself")
	})
}

func TestD49AllowSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		nodes := serving(t, net, "a", "b")
		p := keyed.NewCarts(nodes[0])
		call := p.Prepare().Plain("x").With(daffi.AllowSelf())
		got := answers(t, call, 200)
		require.Len(t, got, 2)
		require.Greater(t, got["a"], 50, "the own node counts like any other")
		require.Greater(t, got["b"], 50)
		require.Equal(t, map[string]int{"b": 20}, answers(t, p.Prepare().Plain("x"), 20), "another call of the same proxy knows nothing of that")
		own := keyed.NewCarts(nodes[0], daffi.AllowSelf())
		require.Len(t, answers(t, own.Prepare().Plain("x"), 100), 2, "all calls of a proxy")

		for range 5 {
			require.NoError(t, nodes[1].Close())
			require.Equal(t, map[string]int{"a": 5}, answers(t, call, 5))
			nodes = append(nodes[:1], serving(t, net, "b")...)
			require.Len(t, answers(t, call, 100), 2)
		}
	})
}

// Equal choices have the same routes, whoever makes them.
func TestChoicesAreInterned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		nodes := serving(t, net, "a", "b")
		p := keyed.NewCarts(nodes[0])
		answers(t, p.Prepare().Plain("x").With(daffi.AllowSelf()), 1)
		routes := net.Controller.Stats().Routes
		for range 20 {
			answers(t, p.Prepare().Plain("x").With(daffi.AllowSelf()), 1)
			answers(t, keyed.NewCarts(nodes[1], daffi.AllowSelf()).Prepare().Plain("x"), 1)
		}
		require.Equal(t, routes, net.Controller.Stats().Routes)
	})
}
