package controller

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

var (
	panicked = control.Failure{Code: internal, Reason: reasonPanic, Outcome: ran, Message: "handler panicked"}
	noMore   = control.Failure{Code: unavailable, Reason: reasonClosed, Outcome: notRun, Message: "no more"}
)

// inBubble runs f over memory and over connections, in a bubble of fake time.
func inBubble(t *testing.T, f func(t *testing.T, w *world)) {
	for _, conn := range []bool{false, true} {
		t.Run(fmt.Sprintf("conn %v", conn), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, Options{PingInterval: time.Hour})
				w.conn = conn
				f(t, w)
			})
		})
	}
}

// clinic has providers that answer as they are told, and one caller.
type clinic struct {
	*world
	t       *testing.T
	caller  *rawpeer.Peer
	callees []*rawpeer.Peer
	route   uint32
	calls   uint64
	fails   map[string]*control.Failure // by name; others reply
}

func newClinic(t *testing.T, w *world, callees int) *clinic {
	c := &clinic{world: w, t: t, caller: w.join("caller"), fails: map[string]*control.Failure{}}
	for i := range callees {
		c.callees = append(c.callees, w.join(fmt.Sprint("n", i)).Register(t, "Svc", "M"))
	}
	c.route = c.caller.Route(t, "Svc", "M", "sig")
	return c
}

// send makes one call, and returns who has it.
func (c *clinic) send(h header) (string, uint64, *rawpeer.Peer) {
	c.t.Helper()
	c.calls++
	h.Kind, h.Route, h.Call = transport.Request, c.route, transport.CallID(uint32(c.calls), 1)
	c.caller.Send(frame{Header: h})
	synctest.Wait()
	for _, p := range c.callees {
		for f, ok := p.Poll(); ok; f, ok = p.Poll() {
			if f.Kind == transport.Request {
				return p.Name, f.Call, p
			}
		}
	}
	c.t.Fatal("nobody was called")
	return "", 0, nil
}

// call makes one call, waits for its end and returns who had it.
func (c *clinic) call(h header) string {
	c.t.Helper()
	name, id, p := c.send(h)
	c.end(name, id, p)
	return name
}

func (c *clinic) end(name string, id uint64, p *rawpeer.Peer) {
	if f := c.fails[name]; f != nil {
		p.Send(frame{Header: header{Kind: transport.Error, Call: id}, Payload: rawpeer.ErrorPayload(*f)})
		c.caller.Expect(c.t, transport.Error)
		return
	}
	p.Reply(id, "")
	c.caller.Expect(c.t, transport.Reply)
}

// count makes n calls and counts who has had them.
func (c *clinic) count(n int) map[string]int {
	c.t.Helper()
	got := map[string]int{}
	for range n {
		got[c.call(header{})]++
	}
	return got
}

// ejected reports who is out.
func (c *clinic) out() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.health.trial.Load() == out {
			names = append(names, s.name)
		}
	}
	return names
}

func TestEjectionAndTrial(t *testing.T) {
	for _, how := range []*control.Failure{&panicked, &noMore} {
		inBubble(t, func(t *testing.T, w *world) {
			c := newClinic(t, w, 4)
			c.fails["n1"] = how
			for fell := 0; fell < ejectAfter; {
				require.Empty(t, c.out())
				if c.call(header{}) == "n1" {
					fell++
				}
			}
			require.Equal(t, []string{"n1"}, c.out())
			require.Zero(t, c.count(100)["n1"], "it is left out")
			time.Sleep(ejectFirst + ejectFirst/8)
			require.Equal(t, 1, c.count(100)["n1"], "one call tries it")
			require.Equal(t, []string{"n1"}, c.out())
			time.Sleep(ejectFirst + ejectFirst/8)
			require.Zero(t, c.count(20)["n1"], "it is out for twice as long")
			time.Sleep(ejectFirst + ejectFirst/8)
			c.fails["n1"] = nil
			require.Greater(t, c.count(200)["n1"], 20, "after one answer it is like any other")

			c.fails["n1"] = how // and has no debt
			for fell := 0; fell < ejectAfter; {
				require.Empty(t, c.out())
				if c.call(header{}) == "n1" {
					fell++
				}
			}
			time.Sleep(ejectFirst + ejectFirst/8)
			require.Equal(t, 1, c.count(100)["n1"])
			require.Equal(t, uint64(4), w.Stats().Ejected)
		})
	}
}

// What says nothing of the node does not count, and any answer begins the count anew.
func TestEjectionCountsFailuresInARow(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := newClinic(t, w, 2)
		for _, f := range []control.Failure{
			{Code: notFound, Outcome: ran, Message: "the handler's own"},
			{Code: unavailable, Outcome: ran, Message: "the handler's own, of another call"},
			{Code: internal, Outcome: ran, Message: "the handler's own"},
			{Code: resourceExhausted, Reason: reasonBusy, Outcome: notRun},
			{Code: unavailable, Reason: reasonDraining, Outcome: notRun},
			{Code: invalidArgument, Reason: "decode", Outcome: notRun},
			{Code: failedPrecondition, Reason: reasonSchema, Outcome: notRun},
			{Code: unimplemented, Outcome: notRun},
		} {
			c.fails["n0"], c.fails["n1"] = &f, &f
			c.count(4 * ejectAfter)
			require.Empty(t, c.out(), f.Message)
		}
		for _, good := range []*control.Failure{nil, {Code: notFound, Outcome: ran}} {
			for range 5 {
				c.fails["n0"], c.fails["n1"] = &panicked, &panicked
				for range ejectAfter - 1 {
					c.call(header{Peer: c.callees[0].Session})
				}
				require.Empty(t, c.out())
				c.fails["n0"] = good
				c.call(header{Peer: c.callees[0].Session})
			}
		}
	})
}

// At most half of the providers are left out, and never the last.
func TestEjectionLeavesHalf(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for n, most := range []int{0, 0, 1, 1, 2, 2} {
			if n == 0 {
				continue
			}
			c := newClinic(t, w, n)
			for i := range n {
				c.fails[fmt.Sprint("n", i)] = &panicked
				for range ejectAfter {
					c.call(header{Peer: c.callees[i].Session})
				}
			}
			require.Len(t, c.out(), n)
			got := c.count(100)
			require.Len(t, got, n-most)
			for i := range most {
				require.Zero(t, got[fmt.Sprint("n", i)], "those that were first are left out")
			}
			for _, p := range append(c.callees, c.caller) {
				p.Close()
			}
			w.eventually(func(s Stats) bool { return s.Nodes == 0 }, "all have left")
		}
	})
}

// A call that names a node or has a key goes there all the same, and so do copies to all.
func TestEjectionIsForTheChoiceAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := newClinic(t, w, 2)
		c.fails["n0"] = &panicked
		for range ejectAfter {
			c.call(header{Peer: c.callees[0].Session})
		}
		require.Equal(t, []string{"n0"}, c.out())
		require.Equal(t, "n0", c.call(header{Peer: c.callees[0].Session}))
		got := map[string]bool{}
		for key := range uint32(40) {
			got[c.call(header{Mode: transport.Keyed, Peer: key * 0x9e3779b9})] = true
		}
		require.Len(t, got, 2)
		var m control.Sessions
		require.Nil(t, c.caller.Ask(t, (&control.Targets{Route: c.route}).Append, control.OpSessions, &m))
		require.Len(t, m.Numbers, 2)
		view, f := choose(t, c.caller, control.Choice{Self: true})
		require.Nil(t, f)
		c.route = view
		require.Equal(t, map[string]int{"n1": 20}, c.count(20), "a view made meanwhile knows of it")
	})
}

// A call that tries a node and does not end lets another one try after a while.
func TestTrialThatDoesNotEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := newClinic(t, w, 2)
		c.fails["n0"] = &panicked
		for range ejectAfter {
			c.call(header{Peer: c.callees[0].Session})
		}
		time.Sleep(2 * ejectFirst)
		c.route, _ = choose(t, c.caller, control.Choice{Balance: control.BalanceRandom}) // which does not look at the call that runs
		c.fails["n0"] = nil
		try := func() (id uint64, p *rawpeer.Peer) {
			for range 50 {
				name, id, p := c.send(header{})
				if name == "n0" {
					return id, p
				}
				c.end(name, id, p)
			}
			return 0, nil
		}
		id, p := try()
		require.NotNil(t, p)
		again, q := try()
		require.Nil(t, q, "one at a time: %d", again)
		time.Sleep(ejectFirst + 1)
		again, q = try()
		require.NotNil(t, q)
		q.Reply(again, "")
		p.Reply(id, "")
		c.caller.Expect(t, transport.Reply)
		c.caller.Expect(t, transport.Reply)
		require.Greater(t, c.count(100)["n0"], 10)
	})
}

func TestLIM42EjectAfter(t *testing.T) {
	for after, want := range map[int]int{-1: 0, 1: 1, 3: 1, 21: 0} {
		synctest.Test(t, func(t *testing.T) {
			c := newClinic(t, start(t, Options{EjectAfter: after}), 2)
			c.fails["n0"] = &panicked
			for range 20 {
				c.call(header{Peer: c.callees[0].Session})
			}
			require.Len(t, c.out(), want, after)
		})
	}
}

// A request that handlers panic at, sent over and over by one caller, does not take a node from the others that it answers. If it answers nobody any more, or panics at the calls of several, it is left out.
func TestPoisonEjectsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := newClinic(t, w, 2)
		honest, route := c.caller, c.route
		poisoner, other := w.join("poisoner"), w.join("other")
		as := func(p *rawpeer.Peer, route uint32, how *control.Failure, times int) {
			t.Helper()
			c.caller, c.route = p, route
			for _, n := range c.callees {
				c.fails[n.Name] = how
			}
			for range times {
				c.call(header{})
			}
		}
		theirs, others := poisoner.Route(t, "Svc", "M", "sig"), other.Route(t, "Svc", "M", "sig")
		for range 10 {
			as(honest, route, nil, 20)
			as(poisoner, theirs, &panicked, 20)
			require.Empty(t, c.out())
		}
		time.Sleep(blameTime) // and nobody was answered since
		as(poisoner, theirs, &panicked, 20)
		require.NotEmpty(t, c.out())

		time.Sleep(time.Minute)
		as(honest, route, nil, 20)
		require.Empty(t, c.out())
		as(poisoner, theirs, &panicked, 4)
		as(other, others, &panicked, 20)
		require.NotEmpty(t, c.out(), "several callers")
	})
}

// Failures of one node's schedules are those of one caller, and balance by caller tells nodes' schedules apart.
func TestSchedulesAreOfTheirOwner(t *testing.T) {
	c := New(Options{})
	defer c.Close()
	a, b := (&owner{name: "a"}).session(c), (&owner{name: "b"}).session(c)
	require.Equal(t, transport.NameHash("a"), a.nameHash)
	require.NotEqual(t, a.nameHash, b.nameHash)
}

// A node does not give its methods the numbers of those that it is told of, whose failures are not held to be its own.
func TestNumbersOfTheController(t *testing.T) {
	w := start(t, Options{})
	p := w.join("p")
	methods := rawpeer.Methods("sig", "M")
	methods[0].Number = control.Introduced
	why := p.TryRegister(t, "S", methods)
	require.NotNil(t, why)
	require.Equal(t, invalidArgument, why.Code)
	methods[0].Number--
	require.Nil(t, p.TryRegister(t, "S", methods))
}
