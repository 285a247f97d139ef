package controller

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func TestTargets(t *testing.T) {
	w := start(t, Options{})
	a, b, c := w.join("a"), w.join("b"), w.join("c")
	route := a.Route(t, "Svc", "M", "sig")
	ask := func(p *rawpeer.Peer, route uint32) ([]uint32, *control.Failure) {
		var m control.Sessions
		f := p.Ask(t, (&control.Targets{Route: route}).Append, control.OpSessions, &m)
		return m.Numbers, f
	}
	_, f := ask(a, route)
	require.Equal(t, reasonNoProvider, f.Reason)
	require.Equal(t, notRun, f.Outcome)
	_, f = ask(a, route+100)
	require.Equal(t, reasonStaleRoute, f.Reason)

	a.Register(t, "Svc", "M")
	_, f = ask(a, route)
	require.Equal(t, reasonNoProvider, f.Reason, "who asks is left out")
	require.Contains(t, f.Message, "the caller itself")
	numbers, f := ask(b, route)
	require.Nil(t, f)
	require.Equal(t, []uint32{a.Session}, numbers)

	b.Register(t, "Svc", "M")
	c.Register(t, "Svc", "M")
	numbers, _ = ask(a, route)
	require.Equal(t, []uint32{b.Session, c.Session}, numbers)
	b.Send(frame{Header: header{Kind: transport.Drain}})
	b.Expect(t, transport.Drain)
	numbers, _ = ask(a, route)
	require.Equal(t, []uint32{c.Session}, numbers)
	_, f = ask(c, c.Route(t, "Svc", "M", "other"))
	require.Equal(t, reasonSchema, f.Reason)
}

// What does not fit into one frame comes in several, and more than a node has slots for is refused.
func TestTargetsOfMany(t *testing.T) {
	w := start(t, Options{})
	p := w.join("p")
	route := p.Route(t, "Svc", "M", "sig")
	name := strings.Repeat("n", 64-5) // the longest, but for its digits
	serve := func(n int) {
		list := make([]provider, n)
		for i := range list {
			list[i].s = &session{number: 1<<31 + uint32(i), name: fmt.Sprintf("%s%05d", name, i)}
		}
		w.route(route).providers.Store(&list)
	}
	for _, n := range []int{1, targetsBytes / 5, targetsBytes/5 + 1, maxTargets} {
		for _, named := range []bool{false, true} {
			serve(n)
			number := p.Control((&control.Targets{Route: route, Named: named}).Append)
			var got []uint32
			var names []string
			for more := true; more; {
				f := p.Expect(t, transport.Control)
				require.Equal(t, number, f.Call)
				require.LessOrEqual(t, len(f.Payload), transport.MaxContent)
				more = f.Flags&transport.More != 0
				m := read(t, f)
				got, names = append(got, m.Numbers...), append(names, m.Names...)
			}
			require.Len(t, got, n)
			require.True(t, slices.IsSorted(got))
			if !named {
				require.Empty(t, names)
				continue
			}
			require.Len(t, names, n)
			require.True(t, slices.IsSorted(names))
		}
	}
	serve(maxTargets + 1)
	f := p.Ask(t, (&control.Targets{Route: route}).Append, control.OpSessions, new(control.Sessions))
	require.Equal(t, reasonLimit, f.Reason)
	serve(0) // what is not there cannot be told of the end
}

// A node that asks and takes no answers is refused at the limit (LIM-15), and answers that were taken make room.
func TestTargetsOpenQuestions(t *testing.T) {
	w := start(t, Options{})
	a, b := w.join("a"), w.join("b")
	a.Register(t, "Svc", "M")
	route := b.Route(t, "Svc", "M", "sig")
	s := w.session(b.Session)
	ask := func() *control.Failure {
		return b.Ask(t, (&control.Targets{Route: route}).Append, control.OpSessions, new(control.Sessions))
	}
	s.telling.Store(maxTelling - 1)
	require.Nil(t, ask())
	require.EqualValues(t, maxTelling-1, s.telling.Load())
	s.telling.Store(maxTelling)
	f := ask()
	require.Equal(t, resourceExhausted, f.Code)
	require.Equal(t, reasonBusy, f.Reason)
	require.Equal(t, notRun, f.Outcome)
	require.EqualValues(t, maxTelling, s.telling.Load())
}

func read(t *testing.T, f frame) (m control.Sessions) {
	t.Helper()
	var d codec.Decoder
	d.Reset(f.Payload)
	require.Equal(t, control.OpSessions, control.ReadOp(&d))
	require.NoError(t, m.Read(&d))
	return m
}

// Equal hashes reach the same provider, under whatever sessions, and the caller counts like any other.
func TestKeyed(t *testing.T) {
	owners := func(names ...string) map[uint32]string {
		w := start(t, Options{})
		var peers []*rawpeer.Peer
		for _, name := range names {
			peers = append(peers, w.join(name).Register(t, "Svc", "M"))
		}
		route := peers[0].Route(t, "Svc", "M", "sig")
		found := map[uint32]string{}
		for key := range uint32(60) {
			for _, caller := range peers[:2] {
				caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(key, 1), Route: route, Peer: key * 0x9e3779b9, Mode: transport.Keyed}})
				var served *rawpeer.Peer
				for served == nil {
					for _, p := range peers {
						if f, ok := p.Poll(); ok && f.Kind == transport.Request {
							require.Equal(t, caller.Session, f.Header.Peer)
							served = p
						}
					}
				}
				if was := found[key]; was != "" {
					require.Equal(t, was, served.Name, "whoever calls")
				}
				found[key] = served.Name
			}
		}
		return found
	}
	all := owners("a", "b", "c", "d", "e")
	again := owners("e", "d", "c", "b", "a")
	require.Equal(t, all, again, "names decide, not sessions")
	fewer := owners("a", "b", "d", "e")
	count := map[string]int{}
	for key, was := range all {
		count[was]++
		if was != "c" {
			require.Equal(t, was, fewer[key], "only the keys of who left move")
		}
	}
	require.Len(t, count, 5)
}

// Two in rank take a key: the second where the first shuts down, and not where it is full.
func TestRank(t *testing.T) {
	r := &route{}
	var list []provider
	for i := range 20 {
		list = append(list, provider{s: &session{number: uint32(i), nameHash: transport.NameHash(fmt.Sprint("n", i))}})
	}
	for n := range len(list) {
		part := list[:n]
		r.providers.Store(&part)
		for key := range uint32(100) {
			var to [2]provider
			require.Equal(t, min(n, 2), r.rank(key, &to))
			ranked := slices.Clone(part)
			slices.SortFunc(ranked, func(a, b provider) int {
				if transport.Score(a.s.nameHash, key) > transport.Score(b.s.nameHash, key) {
					return -1
				}
				return 1
			})
			for i := range min(n, 2) {
				require.Same(t, ranked[i].s, to[i].s)
			}
		}
	}
	var to [2]provider
	require.Zero(t, testing.AllocsPerRun(100, func() { r.rank(7, &to) }))
}

// The second in rank takes over for one that shuts down at this moment, but not for one that is full: it has keys of its own.
func TestKeyedAtTheFirstInRank(t *testing.T) {
	w := start(t, Options{})
	caller, a, b := w.join("caller"), w.join("a").Register(t, "Svc", "M"), w.join("b").Register(t, "Svc", "M")
	route := caller.Route(t, "Svc", "M", "sig")
	first, second := a, b
	if transport.Score(transport.NameHash("b"), 1) > transport.Score(transport.NameHash("a"), 1) {
		first, second = b, a
	}
	w.mu.Lock()
	s := w.session(first.Session)
	w.mu.Unlock()
	call := func(slot uint32) uint64 {
		id := transport.CallID(slot, 1)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Peer: 1, Mode: transport.Keyed}})
		return id
	}
	call(0)
	first.Served(t)
	s.draining.Store(true) // between its Drain and its leaving the route
	call(1)
	second.Served(t)
	s.draining.Store(false)

	s.mu.Lock()
	in := s.calls.in
	s.calls.in, s.calls.free = make([]inCall, transport.MaxCalls), 0
	s.mu.Unlock()
	f := caller.Failed(t, call(2))
	require.Equal(t, reasonBusy, f.Reason)
	require.Equal(t, first.Name, f.Node)
	second.Nothing(t, 0)
	s.mu.Lock()
	s.calls.in = in
	s.mu.Unlock()
}

// A node may ask as often as an int can say, and so it may without a limit (LIM-15).
func TestLIM15TargetsUnlimited(t *testing.T) {
	for _, most := range []int{-1, math.MaxInt, math.MaxInt32/2 + 1} {
		w := start(t, Options{Limits: Limits{TargetQuestions: most}})
		w.join("a").Register(t, "Svc", "M")
		b := w.join("b")
		route := b.Route(t, "Svc", "M", "sig")
		require.Nil(t, b.Ask(t, (&control.Targets{Route: route}).Append, control.OpSessions, new(control.Sessions)), most)
	}
}
