package controller

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// remembered is what a controller knows of routes, which is nothing when nobody is there who has named one.
func (w *world) remembered() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d routes, %d named, %d groups, %d services, %d bytes", w.routes.count, len(w.routeIndex), len(w.groups), len(w.spoken), w.routeBytes)
}

const nothing = "0 routes, 0 named, 0 groups, 0 services, 0 bytes"

// A node cannot fill what all share by joining over and over, LIM-60: routes are forgotten with the last node that has named them, with the choices of calls, signatures and comments.
func TestLIM65RoutesAreForgotten(t *testing.T) {
	w := start(t, Options{})
	stays := w.join("stays")
	kept := stays.Route(t, "Svc", "M", "(int)(int)")
	var last uint32
	for i := range 5 {
		p := w.join("comes and goes"[:5])
		require.Nil(t, p.Serve(t, "Other", long("A", 200), "M", "N"))
		for j := range 300 {
			last = p.Route(t, "Svc", fmt.Sprintf("M%d", j), "()()")
		}
		require.Equal(t, kept, p.Route(t, "Svc", "M", "(int)(int)"))
		_, f := choose(t, p, control.Choice{Self: true})
		require.Nil(t, f)
		require.Nil(t, caught(t, p, "x"))
		other := w.join("other")
		other.Call(other.Route(t, "x", "M", "()()"), 1, 1, "\x90")
		p.Expect(t, transport.Control)
		p.Served(t)
		other.Close() // what it has called is known to p
		w.eventually(func(st Stats) bool { return st.Nodes == 2 }, "still there")
		require.NotNil(t, w.routeIndex[routeKey{methodKey{"x", "M"}, "()()"}], i)
		p.Close()
		w.eventually(func(st Stats) bool { return st.Nodes == 1 && st.Routes == 1 }, "not forgotten")
	}
	id := stays.Call(kept, 1, 1, "")
	require.Equal(t, reasonNoProvider, stays.Failed(t, id).Reason, "it is still known")
	id = stays.Call(last, 1, 2, "")
	require.Equal(t, reasonStaleRoute, stays.Failed(t, id).Reason)
	w.join("server").Register(t, "Svc", "M")
	stays.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 1 }, "still there")
	w.peers[len(w.peers)-1].Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 0 && st.Routes == 0 }, "not forgotten")
	require.Equal(t, nothing, w.remembered())
}

// A signature that is forgotten leaves its place to another, which is compared anew.
func TestPlaceOfAForgottenSignature(t *testing.T) {
	w := start(t, Options{})
	c := &caller{Peer: w.join("caller"), t: t}
	w.server("a", "(int)()", 1)
	narrow := c.Route(t, "Svc", "M", "(int32)()")
	c.reaches(narrow, "a")
	other := w.join("other")
	require.Nil(t, other.Serve(t, "Svc", "(int64)()", "M"))
	other.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 2 }, "still there")
	third := w.join("third") // whose signature is where that of the other was, and is not understood
	require.Nil(t, third.Serve(t, "Svc", "(string)()", "M"))
	for range 20 {
		c.reaches(narrow, "a")
	}
	text := c.Route(t, "Svc", "M", "(string)()")
	c.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(99, 1), Route: text}})
	third.Served(t)
}

// One node adds no more than its part of the signatures that are compared.
func TestSignaturesOfOneNode(t *testing.T) {
	w := start(t, Options{})
	w.server("a", "()()", 1)
	greedy := w.join("greedy")
	for i := range maxGroup {
		greedy.Route(t, "Svc", "M", fmt.Sprintf("([%d]string)()", i))
	}
	c := &caller{Peer: w.join("caller"), t: t}
	c.reaches(c.Route(t, "Svc", "M", "(int)()"), "a")
}

// TestRouteNumbers gives numbers again when all were given, the oldest first.
func TestRouteNumbers(t *testing.T) {
	table := newRoutes()
	one := func() *route {
		r := new(route)
		table.add(r)
		return r
	}
	require.Nil(t, table.at(0))
	first, second := one(), one()
	require.Equal(t, uint32(1), first.number)
	table.drop(first)
	require.Nil(t, table.at(1))
	require.Equal(t, uint32(3), one().number, "as long as there are few none is given again")
	table.next = manyRoutes - 1
	table.pages.Store(func() *[]*routePage {
		pages := *table.pages.Load()
		for len(pages) < manyRoutes>>routePageBits {
			pages = append(pages, new(routePage))
		}
		return &pages
	}())
	require.Equal(t, uint32(manyRoutes-1), one().number)
	table.drop(second)
	require.Equal(t, uint32(1), one().number)
	again := one()
	require.Equal(t, uint32(2), again.number)
	require.Same(t, again, table.at(2))
	require.Equal(t, uint32(manyRoutes), one().number)
	require.Nil(t, table.at(manyRoutes+1))
	require.Nil(t, table.at(1<<32-1))
	require.False(t, table.full(6))
	require.True(t, table.full(5))
	table.next, table.free = 1<<31-1, nil
	require.True(t, table.full(math.MaxInt))
}

// A node names so many routes, also such as there are, and one more.
func TestLIM65Named(t *testing.T) {
	w := start(t, Options{})
	p := w.join("p")
	w.mu.Lock()
	s := w.session(p.Session)
	s.named = map[*route]struct{}{}
	for range maxNamed - 1 {
		s.named[&route{users: 2}] = struct{}{}
	}
	w.mu.Unlock()
	ask := func(q *control.Resolve) *control.Failure { return p.Ask(t, q.Append, control.OpRoutes, nil) }
	one := &control.Resolve{Service: "Svc", Methods: rawpeer.Methods("()()", "M")}
	require.Nil(t, ask(one))
	require.Nil(t, ask(one))
	w.join("other").Route(t, "Svc", "N", "()()")
	for _, name := range []string{"N", "New"} {
		f := ask(&control.Resolve{Service: "Svc", Methods: rawpeer.Methods("()()", name)})
		require.NotNil(t, f)
		require.Equal(t, resourceExhausted, f.Code)
	}
}

// A node calls by a number that it has not named, of a method that is forgotten at that moment: nobody is told of that method.
func TestForgottenMethodIsNotIntroduced(t *testing.T) {
	w := start(t, Options{})
	node, caller, other := w.join("node"), w.join("caller"), w.join("other")
	require.Nil(t, caught(t, node, "x"))
	r := w.route(other.Route(t, "x", "M", "()()"))
	other.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 2 && st.Routes == 0 }, "not forgotten")
	var picked [2]provider
	n, why := w.session(caller.Session).unserved(r, &frame{}, 0, &picked)
	require.Zero(t, n)
	require.NotNil(t, why)
	require.Equal(t, reasonStaleRoute, why.Reason)
	require.Empty(t, w.session(node.Session).introduced)
	node.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 1 && st.Routes == 0 }, "still there")
	require.Equal(t, nothing, w.remembered())
}

// A node that waits for a method by a number that it has guessed, and one that does not end a call of it, hold no more of what is forgotten than its names: what is remembered of routes is bounded, what
// nodes hold of those that are not is not.
func TestForgottenRouteHoldsNothing(t *testing.T) {
	w := start(t, Options{})
	waits, other, server := w.join("waits"), w.join("other"), w.join("server")
	sig := long("A", 200)
	r := w.route(other.Route(t, "x", "M", sig))
	number := waits.Control((&control.Await{Routes: []uint32{r.number}, Nodes: []string{"nobody"}}).Append)
	require.Nil(t, server.Serve(t, "x", sig, "M"))
	require.Len(t, *r.providers.Load(), 1)
	require.Equal(t, sig, r.text)
	server.Close()
	other.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 1 && st.Routes == 0 }, "not forgotten")
	require.Same(t, r, w.session(waits.Session).awaits[number].routes[0])
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, r.text)
	require.Nil(t, r.doc)
	require.Empty(t, *r.providers.Load())
}

// A number that was given to nobody for calls is no route for who guesses it, also while its signature is not known: a node that takes what nobody serves would be told of a method without one, and
// for good.
func TestRouteThatNobodyCalls(t *testing.T) {
	w := start(t, Options{})
	node, caller, other, server := w.join("node"), w.join("caller"), w.join("other"), w.join("server")
	require.Nil(t, caught(t, node, "x"))
	sig := long("A", 200)
	q := control.Resolve{Service: "x", Methods: rawpeer.Methods(sig, "M")}
	require.Nil(t, other.Ask(t, q.Append, control.OpMissing, nil))
	require.Equal(t, reasonStaleRoute, caller.Failed(t, caller.Call(1, 1, 1, "\x90")).Reason)
	server.Register(t, "y", "M")
	f := caller.Failed(t, caller.Call(2, 1, 2, "\x90"))
	require.Equal(t, reasonStaleRoute, f.Reason, "it is only served")
	require.Equal(t, notRun, f.Outcome)
	require.EqualValues(t, 1, other.Route(t, "x", "M", sig))
	other.Call(1, 1, 1, "\x90")
	_, d := node.Answer(t, 0)
	var m control.Introduce
	require.NoError(t, m.Read(d))
	require.Equal(t, sig, m.Sig)
}
