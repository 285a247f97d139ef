package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

const notYet = 5 * time.Millisecond

// done expects the answer OK to a question.
func done(t *testing.T, p *rawpeer.Peer, number uint64) {
	t.Helper()
	op, _ := p.Answer(t, number)
	require.Equal(t, control.OpOK, op)
}

func TestSEM14Await(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		a, b, c := w.join("a"), w.join("b"), w.join("c")
		first, second := a.Route(t, "Svc", "M", "sig"), a.Route(t, "Other", "N", "sig")
		number := a.Control((&control.Await{Routes: []uint32{first, second}}).Append)
		a.Nothing(t, notYet)
		b.Register(t, "Svc", "M")
		a.Nothing(t, notYet)
		b.Close()
		w.eventually(func(st Stats) bool { return st.Nodes == 2 }, "b is still there")
		c.Register(t, "Other", "N")
		a.Nothing(t, notYet) // each had a provider, but not at the same moment
		c.Register(t, "Svc", "M")
		done(t, a, number)
		done(t, a, a.Control((&control.Await{Routes: []uint32{first, second}}).Append)) // at once
		done(t, a, a.Control((&control.Await{}).Append))

		var f control.Failure
		op, d := a.Answer(t, a.Control((&control.Await{Routes: []uint32{first, second + 100}}).Append))
		require.Equal(t, control.OpFailed, op)
		require.NoError(t, f.Read(d))
		require.Equal(t, reasonStaleRoute, f.Reason)
	})
}

// Who counts: another signature does not, a node that drains does not, and the node that asks does unless it wants another.
func TestSEM14AwaitCountsWhoCanBeCalled(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		a, b := w.join("a"), w.join("b")
		route := a.Route(t, "Svc", "M", "(int)()")
		alone := a.Control((&control.Await{Others: []uint32{route}}).Append)
		require.Nil(t, a.Serve(t, "Svc", "(int)()", "M"))
		a.Nothing(t, notYet)
		done(t, a, a.Control((&control.Await{Routes: []uint32{route}}).Append))
		named := a.Control((&control.Await{Routes: []uint32{route}, Nodes: []string{"c", "d"}}).Append)
		require.Nil(t, b.Serve(t, "Svc", "(string)()", "M"))
		a.Nothing(t, notYet)

		c := w.join("c")
		c.Send(frame{Header: header{Kind: transport.Drain}})
		c.Expect(t, transport.Drain)
		require.Nil(t, c.Serve(t, "Svc", "(int)()", "M"))
		a.Nothing(t, notYet)
		d := w.join("d")
		require.Nil(t, d.Serve(t, "Svc", "(int)()", "M"))
		numbers := []uint64{a.Expect(t, transport.Control).Call, a.Expect(t, transport.Control).Call}
		slices.Sort(numbers)
		require.Equal(t, []uint64{alone, named}, numbers)
	})
}

func TestSEM14ForgottenAwait(t *testing.T) {
	w := start(t, Options{})
	a, b := w.join("a"), w.join("b")
	route := a.Route(t, "Svc", "M", "sig")
	many := &control.Await{Routes: slices.Repeat([]uint32{route}, maxAwaited/16)}
	var numbers []uint64
	for range 16 {
		numbers = append(numbers, a.Control(many.Append))
	}
	a.Nothing(t, notYet)
	one := &control.Await{Routes: []uint32{route}}
	var f control.Failure
	op, d := a.Answer(t, a.Control(one.Append))
	require.Equal(t, control.OpFailed, op)
	require.NoError(t, f.Read(d))
	require.Equal(t, reasonLimit, f.Reason)
	require.Equal(t, notRun, f.Outcome)

	forget := control.Forget{Number: numbers[0]}
	a.Send(frame{Header: header{Kind: transport.Control}, Payload: encode(forget.Append)})
	last := a.Control(one.Append)
	a.Nothing(t, notYet)
	b.Register(t, "Svc", "M")
	var answered []uint64
	for range 16 {
		answered = append(answered, a.Expect(t, transport.Control).Call)
	}
	slices.Sort(answered)
	require.Equal(t, append(numbers[1:], last), answered)
	a.Nothing(t, notYet)
	a.Control((&control.Await{Routes: []uint32{b.Route(t, "Svc", "Never", "sig")}}).Append) // and is gone with its node
}

// The names of nodes that count are kept as well, so they are counted, long ones by their length.
func TestLIM36NamesOfNodes(t *testing.T) {
	w := start(t, Options{})
	a := w.join("a")
	route := a.Route(t, "Svc", "M", "sig")
	await := func(nodes ...string) *control.Await { return &control.Await{Routes: []uint32{route}, Nodes: nodes} }
	wait := func(left int, nodes ...string) (refused bool) {
		w.mu.Lock()
		w.session(a.Session).awaited = maxAwaited - left
		w.mu.Unlock()
		number := a.Control(await(nodes...).Append)
		a.Send(frame{Header: header{Kind: transport.Control}, Payload: encode((&control.Forget{Number: number}).Append)})
		var found control.Found
		require.Nil(t, a.Ask(t, (&control.Find{Node: "a"}).Append, control.OpFound, &found)) // all of it was read
		for f, ok := a.Poll(); ok; f, ok = a.Poll() {
			refused = refused || f.Call == number
		}
		w.mu.Lock()
		w.session(a.Session).awaited = 0
		w.mu.Unlock()
		return refused
	}
	many := strings.Fields(strings.Repeat("n ", 20_000))
	require.False(t, wait(20_001, many...))
	require.True(t, wait(20_000, many...))
	long := strings.Repeat("x", 60_000)
	require.False(t, wait(2+60_000/64, long))
	require.True(t, wait(1+60_000/64, long))
}
