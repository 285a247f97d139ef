package daffi_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// tableTime is more than the controller lets pass between two changes that it tells of.
const tableTime = 50 * time.Millisecond

func TestD18WaitNodeOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client := net.Node("client")
		require.NoError(t, client.WaitNode(t.Context()))
		done := waiting(func() error { return client.WaitNode(t.Context(), "a", "client", "b") })
		a := net.Node("a")
		requireWaiting(t, done)
		require.NoError(t, a.Close())
		time.Sleep(tableTime)
		net.Node("b")
		time.Sleep(tableTime)
		requireWaiting(t, done) // not at one moment
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := client.WaitNode(ctx, "b", "a", "c")
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
		require.ErrorContains(t, err, "waiting for node a, c: ")
		net.Node("a")
		require.NoError(t, <-done)
	})
}

func TestD19AtLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client := net.Node("client")
		requireError(t, client.WaitMethod(t.Context(), "Kit.Echo", daffi.AtLeast(0)), daffi.InvalidArgument, "", daffi.NotRun)
		serve := func(n *daffi.Node) {
			_, err := testkit.RegisterKit(n, new(testkit.Impl))
			require.NoError(t, err)
			time.Sleep(tableTime)
		}
		serve(client)
		require.NoError(t, client.WaitMethod(t.Context(), "Kit.Echo", daffi.AtLeast(1)), "a call would run here")
		two := waiting(func() error { return client.WaitMethod(t.Context(), "Kit.Echo", daffi.AtLeast(2)) })
		a := net.Node("a")
		serve(a)
		requireWaiting(t, two) // a call would not run here any more
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, client.WaitMethod(ctx, "Kit", daffi.AtLeast(3)), "waiting for 3 providers of Kit, of which 1 are there: ")
		serve(net.Node("b"))
		require.NoError(t, <-two)
		require.NoError(t, client.WaitMethod(t.Context(), "Kit", daffi.AtLeast(2)))

		// One that drains does not count.
		running := waiting(func() error { return testkit.NewKit(client, daffi.To("a")).Block(t.Context()) })
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := waiting(func() error { return a.Shutdown(ctx) })
		time.Sleep(tableTime)
		two = waiting(func() error { return client.WaitMethod(t.Context(), "Kit.Echo", daffi.AtLeast(2)) })
		requireWaiting(t, two)
		peers, err := client.Peers(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b Kit", "client Kit"}, served(peers))
		cancel()
		require.Error(t, <-ended)
		require.Error(t, <-running)
		serve(net.Node("c"))
		require.NoError(t, <-two)
	})
}

// told takes what is told until nothing more is.
func told(next func() (daffi.PeerEvent, error, bool), want int) (list []string) {
	for range want {
		e, err, ok := next()
		if err != nil || !ok {
			return append(list, fmt.Sprint(err, ok))
		}
		list = append(list, fmt.Sprint(e.Peer.Name, " ", e.Kind, " ", e.Peer.Services))
	}
	return list
}

func TestD16WatchPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client := net.Node("client")
		server := net.NodeWith(daffi.Options{Name: "server", Labels: map[string]string{"zone": "eu"}})
		time.Sleep(90 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		next, stop := iter.Pull2(client.WatchPeers(ctx))
		defer stop()
		require.Equal(t, []string{"client joined []", "server joined []"}, told(next, 2))

		kit, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		e, err, _ := next()
		require.NoError(t, err)
		require.Equal(t, daffi.PeerChanged, e.Kind)
		require.Equal(t, []string{"Kit"}, e.Peer.Services)
		require.Contains(t, e.Peer.Methods, "Kit.Echo")
		require.Equal(t, map[string]string{"zone": "eu"}, e.Peer.Labels)
		require.InDelta(t, 90, time.Since(e.Peer.Since).Seconds(), 1)

		// While nobody takes events, some happen.
		require.NoError(t, kit.Close())
		brief := net.Node("brief")
		time.Sleep(tableTime)
		require.NoError(t, brief.Close())
		require.NoError(t, server.Close())
		time.Sleep(tableTime)
		net.Node("server")
		other := net.Node("other")
		time.Sleep(tableTime)
		require.Equal(t, []string{"server left [Kit]", "other joined []", "server joined []"}, told(next, 3))
		_, err = testkit.RegisterKit(other, new(testkit.Impl))
		require.NoError(t, err)
		require.Equal(t, []string{"other changed [Kit]"}, told(next, 1))
		require.NoError(t, other.Close())
		require.Equal(t, []string{"other left [Kit]"}, told(next, 1), "as it was told last")

		cancel()
		_, err, ok := next()
		require.True(t, ok)
		requireError(t, err, daffi.Canceled, "", daffi.NotRun)
		_, _, ok = next()
		require.False(t, ok)
	})
}

// A node that has lost its link tells nothing until it has another, and then what is different.
func TestD16WatchPeersOverLostLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		client := connect(t, daffi.Options{Name: "client", Controller: w})
		a := connect(t, daffi.Options{Name: "a", Controller: w.ctl})
		connect(t, daffi.Options{Name: "b", Controller: w.ctl})
		next, stop := iter.Pull2(client.WatchPeers(t.Context()))
		defer stop()
		require.Equal(t, []string{"a joined []", "b joined []", "client joined []"}, told(next, 3))
		require.NoError(t, a.Close())
		w.last().Close()
		require.Equal(t, []string{"a left []", "client left []", "client joined []"}, told(next, 3))

		again, stop := iter.Pull2(client.WatchPeers(t.Context())) // and each sequence is its own
		defer stop()
		require.Equal(t, []string{"b joined []", "client joined []"}, told(again, 2))
		require.NoError(t, client.Close())
		require.Equal(t, []string{"unavailable/closed: waiting for changes of nodes: the node is closed true"}, told(next, 1))
	})
}

func TestE22Methods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client, a, b := net.Node("client"), net.Node("a"), net.Node("b")
		_, err := client.Methods(t.Context(), "nobody")
		requireError(t, err, daffi.NotFound, daffi.ReasonNoProvider, daffi.NotRun)
		methods, err := client.Methods(t.Context(), "a")
		require.NoError(t, err)
		require.Empty(t, methods)
		for _, n := range []*daffi.Node{a, b} {
			_, err = testkit.RegisterKit(n, new(testkit.Impl), daffi.As("Kit."+n.Name()))
			require.NoError(t, err)
		}
		time.Sleep(tableTime)
		methods, err = client.Methods(t.Context(), "a")
		require.NoError(t, err)
		names := make([]string, len(methods))
		for i, m := range methods {
			require.Equal(t, []string{"a"}, m.Nodes)
			names[i] = m.Name
		}
		require.True(t, slices.IsSorted(names))
		i := slices.Index(names, "Kit.a.Add")
		require.GreaterOrEqual(t, i, 0)
		require.Equal(t, "(int)()", methods[i].Signature)
		require.Equal(t, []string{"n"}, methods[i].Params)
	})
}

// one is a service of one method.
func one(name string) (*daffi.Service[any], *daffi.Client) {
	const method, sig = "Get", "()(int)"
	serve := func(_ context.Context, _ any, in *daffi.Incoming) error {
		err := in.Args().Close()
		in.Results(1).Int(1)
		return err
	}
	return &daffi.Service[any]{Name: name, Handlers: []daffi.Handler[any]{{Name: method, Sig: sig, Serve: serve}}},
		&daffi.Client{Service: name, Methods: []daffi.Method{{Name: method, Sig: sig}}}
}

// TestACC34Waiters has many wait, in all three ways, for what comes at random moments: nobody waits for longer than the table's pause, and nobody for ever.
func TestACC34Waiters(t *testing.T) {
	const most = 50 * time.Millisecond
	waiters, changes := testkit.Full(100, 1000), testkit.Full(100, 1000)
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server := net.Node("server")
		clients := []*daffi.Node{net.Node("a"), net.Node("b"), net.Node("c")}
		came := make([]atomic.Int64, changes)
		var wg sync.WaitGroup
		for i := range waiters {
			wg.Go(func() {
				r, client := rand.New(rand.NewPCG(34, uint64(i))), clients[i%len(clients)]
				for k := r.IntN(10); k < changes; k += 1 + r.IntN(10) {
					name, began := fmt.Sprintf("One%d", k), time.Now().UnixNano()
					var err error
					switch r.IntN(3) {
					case 0:
						_, c := one(name)
						err = daffi.Bind(client, c).WaitReady(t.Context())
					case 1:
						err = client.WaitMethod(t.Context(), name+".Get")
					case 2:
						err = client.WaitNode(t.Context(), strings.ToLower(name))
					}
					if late := time.Duration(time.Now().UnixNano() - max(began, came[k].Load())); err != nil || late > most {
						t.Errorf("waiter %d for %s: %v late, %v", i, name, late, err)
					}
				}
			})
		}
		var nodes []*daffi.Node
		for k := range changes {
			time.Sleep(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
			came[k].Store(time.Now().UnixNano())
			name := fmt.Sprintf("One%d", k)
			service, _ := one(name)
			_, err := daffi.Register[any](server, service, 1)
			require.NoError(t, err)
			nodes = append(nodes, net.Node(strings.ToLower(name)))
			other, _ := one("Other" + name) // which comes and goes
			reg, err := daffi.Register[any](server, other, 1)
			require.NoError(t, err)
			require.NoError(t, reg.Close())
		}
		wg.Wait()
		for _, n := range nodes {
			require.NoError(t, n.Close())
		}
	})
}
