package controller

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// The versions of a method in these tests, as callers and providers: narrow reaches wide, not the reverse, and text neither.
const (
	narrow = "(int32)()"
	wide   = "(int64)()"
	more   = "(int32,string)()"
	text   = "(string)()"
)

// caller makes calls one after the other and says where each went.
type caller struct {
	*rawpeer.Peer
	t          *testing.T
	generation uint64
}

func (c *caller) send(route, peer uint32) uint64 {
	c.generation++
	id := transport.CallID(0, c.generation)
	c.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Peer: peer}})
	return id
}

// reaches makes many calls, which must go to these providers and to each of them.
func (c *caller) reaches(route uint32, providers ...string) {
	c.t.Helper()
	got := map[string]bool{}
	for range 200 {
		id := c.send(route, 0)
		f := c.Expect(c.t, transport.Reply)
		require.Equal(c.t, id, f.Call)
		got[string(f.Payload)] = true
	}
	require.Equal(c.t, providers, slices.Sorted(maps.Keys(got)))
}

// refused expects a call to be refused because of the signatures and returns the text.
func (c *caller) refused(route, peer uint32, node string) string {
	c.t.Helper()
	f := c.Failed(c.t, c.send(route, peer))
	require.Equal(c.t, [4]any{failedPrecondition, reasonSchema, notRun, node}, [4]any{f.Code, f.Reason, f.Outcome, f.Node}, f.Message)
	require.Less(c.t, len(f.Message), 1<<10)
	return f.Message
}

// server is a node that serves Svc.M under a number of its own, and answers with its name every call that comes under it.
func (w *world) server(name, sig string, number uint32) *rawpeer.Peer {
	w.Helper()
	p := rawpeer.New(w.link())
	p.OnFrame = func(f *transport.Frame) bool {
		if f.Kind == transport.Request {
			answer := name
			if f.Route != number {
				answer = fmt.Sprintf("%s was called as %d", name, f.Route)
			}
			p.Link.Enqueue(frame{Header: header{Kind: transport.Reply, Call: f.Call}, Payload: []byte(answer)})
		}
		return f.Kind != transport.Control && !f.Kind.Handshake()
	}
	w.peers = append(w.peers, p.Start().Join(w, name))
	methods := rawpeer.Methods(sig, "M")
	methods[0].Number = number
	require.Nil(w, p.TryRegister(w, "Svc", methods))
	return p
}

// TestReach lets versions of a method come and go, before and after those who call them.
func TestReach(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		c := &caller{Peer: w.join("caller"), t: t}
		gone := func(p *rawpeer.Peer) {
			nodes := w.Stats().Nodes
			p.Close()
			w.eventually(func(st Stats) bool { return st.Nodes == nodes-1 }, "the node is still there")
		}
		early := c.Route(t, "Svc", "M", narrow) // known before anybody serves it
		a := w.server("a", wide, 7)
		c.reaches(early, "a")
		late := c.Route(t, "Svc", "M", more)
		c.reaches(late, "a")
		b := w.server("b", narrow, 8)
		d := w.server("d", text, 9)
		e := w.server("e", more, 10)
		c.reaches(early, "a", "b", "e")
		c.reaches(late, "a", "b", "e")
		c.reaches(c.Route(t, "Svc", "M", wide), "a")
		c.reaches(c.Route(t, "Svc", "M", text), "d")

		// At a node that was named, the same.
		id := c.send(early, a.Session)
		require.Equal(t, "a", string(c.Expect(t, transport.Reply).Payload), id)
		message := c.refused(early, d.Session, "d")
		require.Contains(t, message, "argument 1: the caller sends int32, the provider reads string")
		require.Contains(t, message, "`"+narrow+"`")
		require.Contains(t, message, "`"+text+"`")

		// A node that comes back in another version is another provider.
		gone(a)
		c.reaches(early, "b", "e")
		require.Contains(t, c.refused(c.Route(t, "Svc", "M", wide), 0, "b"), "the caller sends int64, the provider reads int32")
		b.Ask(t, (&control.Unregister{Service: "Svc"}).Append, control.OpOK, nil)
		c.reaches(late, "e")
		methods := rawpeer.Methods(wide, "M")
		methods[0].Number = 8
		require.Nil(t, b.TryRegister(t, "Svc", methods))
		c.reaches(c.Route(t, "Svc", "M", wide), "b")
		c.reaches(early, "b", "e")

		// One that drains is not called, and what it serves is no reason to refuse.
		b.Send(frame{Header: header{Kind: transport.Drain}})
		w.eventually(func(st Stats) bool { return st.Providers == 2 }, "it is still offered")
		c.reaches(early, "e")
		gone(e)
		for _, sig := range []string{wide, narrow, "(int16)()"} { // the last was never compared with what drains
			why := c.Failed(t, c.send(c.Route(t, "Svc", "M", sig), 0))
			require.Equal(t, [3]any{unavailable, reasonDraining, "b"}, [3]any{why.Code, why.Reason, why.Node}, why.Message)
		}
		c.refused(c.Route(t, "Svc", "M", "(int32,<int)()"), 0, "b")
	})
}

// TestReachUnreadable meets signatures of a version that this one cannot read: they understand only themselves.
func TestReachUnreadable(t *testing.T) {
	w := start(t, Options{})
	c := &caller{Peer: w.join("caller"), t: t}
	w.server("a", "(int", 1)
	w.server("b", wide, 2)
	c.reaches(c.Route(t, "Svc", "M", "(int"), "a")
	require.Contains(t, c.refused(c.Route(t, "Svc", "M", "(string,"), 0, "a"), "the caller's signature is not known here")
	require.Contains(t, c.refused(c.Route(t, "Svc", "M", text), 0, "a"), "the provider's signature is not known here")
}

// TestGroupLimit names as many signatures of one method as are compared, and one more: that one meets only the same.
func TestGroupLimit(t *testing.T) {
	w := start(t, Options{})
	c := &caller{Peer: w.join("caller"), t: t}
	w.server("a", "()()", 1) // understood by all
	some := c
	for i := 2; i < maxGroup; i++ {
		if i%(maxGroupBy-2) == 0 {
			some = &caller{Peer: w.join(fmt.Sprint("caller-", i)), t: t}
		}
		some.Route(t, "Svc", "M", fmt.Sprintf("([%d]string)()", i))
	}
	c.reaches(c.Route(t, "Svc", "M", "([1]int)()"), "a")
	beyond := c.Route(t, "Svc", "M", "([0]int)()")
	require.Contains(t, c.refused(beyond, 0, "a"), "more than 256 signatures of this method were named, or 64 by one node")
	w.server("b", "([0]int)()", 2)
	c.reaches(beyond, "b")
	c.reaches(c.Route(t, "Svc", "M", "([1]int)()"), "a")
	c.reaches(c.Route(t, "Svc", "M", "([2]string)()"), "a")
	other := w.join("other")
	require.Nil(t, other.TryRegister(t, "Svc", rawpeer.Methods("()()", "N")))
	c.Call(c.Route(t, "Svc", "N", "(int)()"), 1, 1, "") // other methods have their own share
	other.Served(t)
}

// TestCompareLimit leaves a session two comparisons.
func TestCompareLimit(t *testing.T) {
	w := start(t, Options{})
	w.server("a", wide, 1)
	w.server("b", text, 2)
	p := w.join("caller")
	w.Controller.mu.Lock()
	s := w.session(p.Session)
	s.compared = maxCompared - 2
	w.Controller.mu.Unlock()
	ask := func(sig string) *control.Failure {
		return p.Ask(t, (&control.Resolve{Service: "Svc", Methods: rawpeer.Methods(sig, "M")}).Append, control.OpRoutes, nil)
	}
	require.Nil(t, ask(narrow))
	require.Equal(t, resourceExhausted, ask(more).Code)
	require.Nil(t, ask(narrow), "it is remembered")
	require.Equal(t, resourceExhausted, p.TryRegister(t, "Svc", rawpeer.Methods("()()", "M")).Code)
	require.Equal(t, 2, w.Stats().Providers)
	c := &caller{Peer: w.join("another"), t: t}
	c.reaches(c.Route(t, "Svc", "M", more), "a")
}

// TestReachConcurrently lets nodes register and resolve versions of a method at the same time: in the end each caller reaches whom it
// understands.
func TestReachConcurrently(t *testing.T) {
	w := start(t, Options{})
	kinds := []string{"int8", "int16", "int32", "int64"}
	var callers []*caller
	var servers []*rawpeer.Peer
	for i := range kinds {
		callers = append(callers, &caller{Peer: w.join(fmt.Sprintf("caller-%d", i)), t: t})
		servers = append(servers, w.join(fmt.Sprintf("server-%d", i)))
	}
	for round := range 50 {
		service := fmt.Sprintf("Svc%d", round)
		routes := make([]uint32, len(kinds))
		var wg sync.WaitGroup
		for i, kind := range kinds {
			wg.Go(func() { assert.Nil(t, servers[i].TryRegister(t, service, rawpeer.Methods("("+kind+")()", "M"))) })
			wg.Go(func() { routes[i] = callers[i].Route(t, service, "M", "("+kind+")()") })
		}
		wg.Wait()
		for i := range kinds {
			require.Len(t, *w.route(routes[i]).providers.Load(), len(kinds)-i, "%s", kinds[i])
		}
	}
}
