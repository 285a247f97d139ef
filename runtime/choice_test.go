package daffi_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
	"github.com/daffi-rpc/daffi/testdata/golden/keyed"
)

// labelled returns a node with labels that answers with its name.
func labelled(t *testing.T, net *daffitest.Net, name string, labels map[string]string) *daffi.Node {
	t.Helper()
	n := net.NodeWith(daffi.Options{Name: name, Labels: labels})
	_, err := keyed.RegisterCarts(n, new(carts))
	require.NoError(t, err)
	return n
}

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
		synctest.Wait()
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
			synctest.Wait()
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

func TestD70Where(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		labelled(t, net, "eu-1", map[string]string{"zone": "eu", "tier": "1"})
		labelled(t, net, "eu-2", map[string]string{"zone": "eu", "tier": "2"})
		us := labelled(t, net, "us-1", map[string]string{"zone": "us", "tier": "1"})
		serving(t, net, "plain")
		client := net.Node("client")
		p := keyed.NewCarts(client)
		call := p.Prepare().Plain("x")
		require.Len(t, answers(t, call, 200), 4)
		eu := call.With(daffi.Where("zone", "eu"))
		got := answers(t, eu, 100)
		require.Len(t, got, 2)
		require.Equal(t, 100, got["eu-1"]+got["eu-2"])
		require.Equal(t, map[string]int{"eu-2": 20}, answers(t, eu.With(daffi.Where("tier", "2")), 20), "all must hold")
		require.Equal(t, map[string]int{"eu-2": 20}, answers(t, call.With(daffi.Where("tier", "2"), daffi.Where("zone", "eu")), 20))
		require.Equal(t, map[string]int{"us-1": 20}, answers(t, keyed.NewCarts(client, daffi.Where("zone", "us")).Prepare().Plain("x"), 20))

		labelled(t, net, "eu-3", map[string]string{"zone": "eu"})
		require.Len(t, answers(t, eu, 100), 3, "a new node is there at once")
		require.NoError(t, us.Close())
		synctest.Wait()
		_, err := call.With(daffi.Where("zone", "us")).Do(t.Context())
		e := requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Contains(t, e.Message, "no node with zone=us serves")
		require.Contains(t, e.Message, "those that do, 4, have zone=eu")

		peers, err := client.Peers(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]string{"zone": "eu", "tier": "1"}, peers[1].Labels)
		require.Equal(t, "eu-1", peers[1].Name)
		require.Nil(t, peers[0].Labels)
	})
}

func TestD70WhereAndTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		labelled(t, net, "eu-1", map[string]string{"zone": "eu"})
		labelled(t, net, "us-1", map[string]string{"zone": "us"})
		call := keyed.NewCarts(net.Node("client")).Prepare().Plain("x").With(daffi.Where("zone", "eu"))
		require.Equal(t, map[string]int{"eu-1": 5}, answers(t, call.With(daffi.To("eu-1")), 5))
		_, err := call.With(daffi.To("us-1")).Do(t.Context())
		e := requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Equal(t, "us-1", e.Node)
		require.Contains(t, e.Message, "its labels: zone=us")
		_, err = call.With(daffi.To("nobody")).Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

// A key decides among the nodes that have the labels: when one leaves, only its keys move, and no key leaves the zone.
func TestD70WhereAndKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		var eu []*daffi.Node
		for i := range 3 {
			eu = append(eu, labelled(t, net, fmt.Sprint("eu-", i), map[string]string{"zone": "eu"}))
			labelled(t, net, fmt.Sprint("us-", i), map[string]string{"zone": "us"})
		}
		call := keyed.NewCarts(net.Node("client")).Prepare().Plain("x").With(daffi.Where("zone", "eu"))
		owners := func() map[string]string {
			got := map[string]string{}
			for i := range 60 {
				key := fmt.Sprint("key-", i)
				for range 2 {
					at, err := call.With(daffi.HashKey(key)).Do(t.Context())
					require.NoError(t, err)
					require.Contains(t, at, "eu-")
					if got[key] != "" {
						require.Equal(t, got[key], at, "equal keys meet")
					}
					got[key] = at
				}
			}
			return got
		}
		before := owners()
		require.NoError(t, eu[1].Close())
		synctest.Wait()
		for key, at := range owners() {
			if before[key] != "eu-1" {
				require.Equal(t, before[key], at, "only the keys of who has left go elsewhere")
			}
		}
	})
}

// A wrong label is the error of the call, as a wrong one of a node is that of joining.
func TestWhereWithWrongLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		serving(t, net, "a")
		call := keyed.NewCarts(net.Node("client")).Prepare().Plain("x")
		for label, value := range map[string]string{"Zone": "eu", "": "x", "zone": "a\nb", "long": strings.Repeat("x", 129)} {
			_, err := call.With(daffi.Where(label, value)).Do(t.Context())
			requireError(t, err, daffi.InvalidArgument, "limit", daffi.NotRun)
			_, err = daffi.Connect(t.Context(), daffi.Options{Name: "b", Controller: net.Controller, Labels: map[string]string{label: value}})
			requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		}
	})
}

func TestLIM40LabelLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		connect := func(labels map[string]string) error {
			n, err := daffi.Connect(t.Context(), daffi.Options{Name: "n", Controller: net.Controller, Labels: labels})
			if err != nil {
				return err
			}
			peers, err := n.Peers(t.Context())
			require.NoError(t, err)
			require.Equal(t, labels, peers[0].Labels)
			return n.Close()
		}
		many := map[string]string{}
		for i := range 16 {
			many[fmt.Sprint("n", i)] = ""
		}
		require.NoError(t, connect(many))
		many["n16"] = ""
		require.ErrorContains(t, connect(many), "17 labels")

		long := map[string]string{strings.Repeat("n", 64): ""}
		require.NoError(t, connect(long))
		require.ErrorContains(t, connect(map[string]string{strings.Repeat("n", 65): ""}), "1 to 64")

		large := map[string]string{}
		for i := range 7 {
			large[fmt.Sprint("n", i)] = strings.Repeat("é", 64)
		}
		large["n7"] = strings.Repeat("x", 1024-7*130-2)
		require.NoError(t, connect(large))
		large["n7"] += "x"
		require.ErrorContains(t, connect(large), "1025 bytes")
	})
}

// Events go to those that have the labels, and to the own node if it counts.
func TestEventsChooseAmongProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, b := daffitest.New(t), new(board)
		nodes := map[string]*daffi.Node{}
		for name, zone := range map[string]string{"a": "eu", "b": "eu", "c": "us"} {
			nodes[name] = net.NodeWith(daffi.Options{Name: name, Labels: map[string]string{"zone": zone}})
			_, err := events.RegisterBoard(nodes[name], b)
			require.NoError(t, err)
		}
		pin := events.NewTown(nodes["a"]).Prepare().Pin("x")
		for want, call := range map[string]daffi.Action{
			"b: x, c: x":       pin,
			"a: x, b: x, c: x": pin.With(daffi.AllowSelf()),
			"b: x":             pin.With(daffi.Where("zone", "eu")),
			"a: x, b: x":       pin.With(daffi.Where("zone", "eu"), daffi.AllowSelf()),
		} {
			require.NoError(t, call.Do(t.Context()))
			require.Equal(t, want, strings.Join(b.take(), ", "))
		}
		requireError(t, pin.With(daffi.Where("zone", "mars")).Do(t.Context()), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

// A call for several nodes goes to any of them, and on to the next at once if one is not there, does not serve the method or does not take the call.
func TestD70ToSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		nodes := serving(t, net, "a", "b", "c")
		net.Node("idle")
		client := net.Node("client")
		call := keyed.NewCarts(client).Prepare().Plain("x")
		got := answers(t, call.With(daffi.To("a", "c")), 400)
		require.Len(t, got, 2)
		require.InDelta(t, 200, got["a"], 5*10)
		start := time.Now()
		require.Equal(t, map[string]int{"b": 50}, answers(t, call.With(daffi.To("nobody", "idle", "b")), 50))
		require.Zero(t, time.Since(start), "without a pause")
		require.NoError(t, nodes[0].Close())
		synctest.Wait()
		require.Equal(t, map[string]int{"c": 50}, answers(t, call.With(daffi.To("a", "c")), 50))

		_, err := call.With(daffi.To("nobody", "none")).Do(t.Context())
		e := requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Contains(t, e.Message, `"nobody", "none"`)
		_, err = call.With(daffi.To("idle", "nobody")).Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		_, err = call.With(daffi.To("nobody")).Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Contains(t, err.Error(), `no node is named "nobody"`)
	})
}

// A node that is full does not keep the call from another of those that it names.
func TestD70ToSeveralOfWhichOneIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		impl := &testkit.Impl{Blocked: make(chan struct{}, 1), Ended: make(chan error, 1)}
		_, err := testkit.RegisterKit(net.NodeWith(daffi.Options{Name: "full", MaxRunning: 1, MaxRunningPerCaller: 1, MaxQueue: -1}), impl)
		require.NoError(t, err)
		_, err = testkit.RegisterKit(net.Node("free"), new(testkit.Impl))
		require.NoError(t, err)
		p := testkit.NewKit(net.Node("client"))
		ctx, cancel := context.WithCancel(t.Context())
		blocked := make(chan error, 1)
		go func() { blocked <- p.Prepare().Block().With(daffi.To("full")).Do(ctx) }()
		<-impl.Blocked
		start := time.Now()
		for range 20 {
			_, err := p.Prepare().Echo(nil).With(daffi.To("full", "free")).Do(t.Context())
			require.NoError(t, err)
		}
		require.Zero(t, time.Since(start))
		cancel()
		require.ErrorIs(t, <-blocked, context.Canceled)
	})
}

// T1: whatever a call's shape, it goes to one provider; only an event goes to all.
func TestT1RoutingDoesNotDependOnTheShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, ctx := daffitest.New(t), t.Context()
		serving(t, net, "a", "b", "c")
		p := keyed.NewCarts(net.Node("client"))
		numbers := func(yield func(int, error) bool) {
			for i := range 10 {
				if !yield(i, nil) {
					return
				}
			}
		}
		for shape, call := range map[string]func() (string, error){
			"unary":         func() (string, error) { return p.Plain(ctx, "u") },
			"server stream": func() (string, error) { return sole(p.Watch(ctx, "u")) },
			"client stream": func() (string, error) { return p.Fill(ctx, "u", numbers) },
			"bidirectional": func() (string, error) { return sole(p.Chat(ctx, "u", numbers)) },
		} {
			at, err := call()
			require.NoError(t, err, shape)
			require.Contains(t, []string{"a", "b", "c"}, at, "%s: one node has answered", shape)
		}
	})
}

// sole is the only item of a sequence, or what is wrong with it.
func sole(seq iter.Seq2[string, error]) (item string, err error) {
	n := 0
	for item, err = range seq {
		n++
	}
	if n != 1 {
		return "", fmt.Errorf("%d items", n)
	}
	return item, err
}

// T4: what a node remembers is a hint. The controller decides, and what it decides on an old hint is put right before anything runs.
func TestT4TheControllerDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		nodes := serving(t, net, "a", "b")
		client := net.Node("client")
		call := keyed.NewCarts(client).Prepare().Plain("x")
		toA := call.With(daffi.To("a"))
		require.Equal(t, map[string]int{"a": 1}, answers(t, toA, 1)) // the client remembers the session of a
		require.NoError(t, nodes[0].Close())
		synctest.Wait()
		_, err := toA.Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		serving(t, net, "a")
		require.Equal(t, map[string]int{"a": 1}, answers(t, toA, 1), "it is another session")

		net.Node("late")
		require.NoError(t, client.WaitMethod(t.Context(), keyed.CartsPlainMethod), "what is waited for")
		require.Len(t, answers(t, call, 50), 2, "is what is called")
	})
}

// T4: a proxy that chooses is ready when somebody is there whom its calls would go to, by the same look that routes them.
func TestT4ReadyForTheChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		labelled(t, net, "us-1", map[string]string{"zone": "us"})
		eu := keyed.NewCarts(net.Node("client"), daffi.Where("zone", "eu"))
		ready := make(chan error, 1)
		go func() { ready <- eu.WaitReady(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-ready:
			t.Fatalf("nobody is in the zone: %v", err)
		default:
		}
		labelled(t, net, "eu-1", map[string]string{"zone": "eu"})
		require.NoError(t, <-ready)
		require.Equal(t, map[string]int{"eu-1": 5}, answers(t, eu.Prepare().Plain("x"), 5))
	})
}
