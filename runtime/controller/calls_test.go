package controller

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

type frame = transport.Frame
type header = transport.Header

// pair returns a caller, a callee that serves Svc.M, and the route to it.
func (w *world) pair() (caller, callee *rawpeer.Peer, route uint32) {
	w.Helper()
	callee = w.join("callee").Register(w, "Svc", "M")
	caller = w.join("caller")
	return caller, callee, caller.Route(w, "Svc", "M", "sig")
}

func TestUnary(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		id := transport.CallID(3, 1)
		caller.Send(frame{Payload: []byte("arguments"), Header: header{
			Kind: transport.Request, Call: id, Route: route, Depth: 7, Mode: transport.Output, Flags: transport.Meta, Arg: 12345,
		}})

		intro := callee.Expect(t, transport.Peer)
		require.Equal(t, "caller", string(intro.Payload))
		require.Equal(t, caller.Session, intro.Header.Peer)

		got := callee.Expect(t, transport.Request)
		require.NotZero(t, got.Call&transport.Served)
		require.EqualValues(t, 1, transport.GenerationOf(got.Call))
		require.Equal(t, "arguments", string(got.Payload))
		require.Equal(t, header{
			Kind: transport.Request, Call: got.Call, Route: 100, Peer: caller.Session, Depth: 7, Mode: transport.Output, Flags: transport.Meta, Arg: 12345,
		}, got.Header)
		require.Equal(t, 1, w.Stats().Calls)
		require.Equal(t, 1, w.Stats().Serving)

		callee.Send(frame{Header: header{Kind: transport.Reply, Call: got.Call, Flags: transport.Zstd}, Payload: []byte("result")})
		reply := caller.Expect(t, transport.Reply)
		require.Equal(t, header{Kind: transport.Reply, Call: id, Flags: transport.Zstd}, reply.Header)
		require.Equal(t, "result", string(reply.Payload))

		// The second call finds the callee introduced, and a fresh generation.
		caller.Call(route, 3, 2, "again")
		again := callee.Expect(t, transport.Request)
		require.NotEqual(t, got.Call, again.Call)
		callee.Send(frame{Header: header{Kind: transport.Error, Call: again.Call}, Payload: rawpeer.ErrorPayload(control.Failure{Code: 9, Node: "callee"})})
		require.Equal(t, control.Failure{Code: 9, Node: "callee"}, caller.Failed(t, transport.CallID(3, 2)))
		require.Zero(t, w.Stats().Calls)
		require.Zero(t, w.Stats().Serving)
	})
}

func TestSelfCall(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		p := w.join("both").Register(t, "Svc", "M")
		route := p.Route(t, "Svc", "M", "sig")
		id := p.Call(route, 0, 1, "x")
		p.Reply(p.Served(t).Call, "y")
		reply := p.Expect(t, transport.Reply)
		require.Equal(t, id, reply.Call)

		// With another provider there, the caller is not chosen.
		other := w.join("other").Register(t, "Svc", "M")
		for i := range 20 {
			p.Call(route, 0, uint64(2+i), "x")
			other.Reply(other.Served(t).Call, "y")
			p.Expect(t, transport.Reply)
		}
	})
}

func TestLargeBufferMoves(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		big := strings.Repeat("x", transport.MaxContent)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(0, 1), Route: route, Flags: transport.Bulk}, Payload: []byte(big)})
		got := callee.Served(t)
		require.Equal(t, big, string(got.Payload))
		callee.Send(frame{Header: header{Kind: transport.Reply, Call: got.Call, Flags: transport.Bulk}, Payload: []byte(big)})
		require.Equal(t, big, string(caller.Expect(t, transport.Reply).Payload))
	})
}

func TestUnknownRoute(t *testing.T) {
	w := start(t, Options{})
	caller, _, route := w.pair()
	for i, r := range []uint32{0, route + 1, 1<<32 - 1} {
		f := caller.Failed(t, caller.Call(r, 0, uint64(i+1), ""))
		require.Equal(t, [3]any{unavailable, reasonStaleRoute, notRun}, [3]any{f.Code, f.Reason, f.Outcome})
	}
}

func TestDepth(t *testing.T) {
	w := start(t, Options{})
	caller, callee, route := w.pair()
	id := transport.CallID(0, 1)
	caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Depth: transport.MaxDepth + 1}})
	f := caller.Failed(t, id)
	require.Equal(t, [3]any{resourceExhausted, reasonDepth, notRun}, [3]any{f.Code, f.Reason, f.Outcome})
	caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(0, 2), Route: route, Depth: transport.MaxDepth}})
	require.EqualValues(t, transport.MaxDepth, callee.Served(t).Depth)
}

// TestNoProvider goes through the reasons for which a call finds nobody.
func TestNoProvider(t *testing.T) {
	w := start(t, Options{})
	caller := w.join("caller")
	a, b := w.join("a"), w.join("b")
	a.TryRegister(t, "Svc", rawpeer.Methods("old", "M", "Only"))
	generation := uint64(0)
	call := func(method, sig string, peer uint32) control.Failure {
		t.Helper()
		generation++
		id := transport.CallID(0, generation)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: caller.Route(t, "Svc", method, sig), Peer: peer}})
		f := caller.Failed(t, id)
		require.Equal(t, "Svc."+method, f.Method)
		require.Equal(t, notRun, f.Outcome)
		return f
	}

	f := call("M", "new", 0)
	require.Equal(t, [3]any{failedPrecondition, reasonSchema, "a"}, [3]any{f.Code, f.Reason, f.Node})
	require.Contains(t, f.Message, "old")
	require.Contains(t, f.Message, "new")
	require.Equal(t, f, call("M", "new", a.Session))

	require.Equal(t, unimplemented, call("Missing", "sig", 0).Code)
	require.Equal(t, unimplemented, call("Missing", "sig", a.Session).Code)

	f = call("M", "old", b.Session)
	require.Equal(t, [3]any{unavailable, reasonNoProvider, "b"}, [3]any{f.Code, f.Reason, f.Node})
	f = call("M", "old", 12345)
	require.Equal(t, [2]any{unavailable, reasonStaleRoute}, [2]any{f.Code, f.Reason})

	a.Ask(t, (&control.Unregister{Service: "Svc"}).Append, control.OpOK, nil)
	f = call("M", "old", 0)
	require.Equal(t, [2]any{unavailable, reasonNoProvider}, [2]any{f.Code, f.Reason})
	require.Contains(t, f.Message, "WaitMethod")
}

// TestLongSignatures wants a call to end that fails with more text than a frame holds.
func TestLongSignatures(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller := w.join("caller")
		require.Nil(t, w.join("callee").Serve(t, "Svc", "(old"+strings.Repeat("o", signature.MaxText-5)+")", "M"))
		f := caller.Failed(t, caller.Call(caller.Route(t, "Svc", "M", "(new"+strings.Repeat("n", signature.MaxText-5)+")"), 0, 1, ""))
		require.Equal(t, [4]any{failedPrecondition, reasonSchema, notRun, "callee"}, [4]any{f.Code, f.Reason, f.Outcome, f.Node})
		require.Contains(t, f.Message, "(old")
		require.Contains(t, f.Message, "(new")
		require.Less(t, len(f.Message), 1<<10)
	})
	long := strings.Repeat("x", 1000)
	for _, c := range [][4]string{
		{"(a)b", "(a)c", "(a)b", "(a)c"},
		{"", long, "", long[:192] + "…"},
		{long, long + "y", "…" + long[:64], "…" + long[:64] + "y"},
		{long + "1" + long, long + "2", "…" + long[:64] + "1" + long[:127] + "…", "…" + long[:64] + "2"},
	} {
		mine, its := differing(c[0], c[1])
		require.Equal(t, c[2:], []string{mine, its})
	}
}

func TestTargeted(t *testing.T) {
	w := start(t, Options{})
	caller := w.join("caller")
	var callees []*rawpeer.Peer
	for i := range 5 {
		callees = append(callees, w.join(fmt.Sprintf("callee-%d", i)).Register(t, "Svc", "M"))
	}
	route := caller.Route(t, "Svc", "M", "sig")
	for i, callee := range callees {
		caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(uint32(i), 1), Route: route, Peer: callee.Session}})
		callee.Reply(callee.Served(t).Call, "")
		caller.Expect(t, transport.Reply)
	}
}

// TestSpread lets three providers keep what they get: each next call goes to the less busy of two.
func TestSpread(t *testing.T) {
	w := start(t, Options{})
	caller := w.join("caller")
	count := map[string]int{}
	var callees []*rawpeer.Peer
	for _, name := range []string{"a", "b", "c"} {
		callees = append(callees, w.join(name).Register(t, "Svc", "M"))
	}
	route := caller.Route(t, "Svc", "M", "sig")
	const calls = 300
	for i := range calls {
		caller.Call(route, uint32(i), 1, "")
	}
	w.eventually(func(st Stats) bool { return st.Serving == calls }, "not all are routed")
	for _, s := range w.Controller.sessions {
		if s.name != "caller" {
			count[s.name] = int(s.running.Load())
		}
	}
	for name, n := range count {
		require.InDelta(t, calls/3, n, calls/10, "node %s has %d calls", name, n)
	}
	for _, callee := range callees {
		for range count[callee.Name] {
			callee.Reply(callee.Served(t).Call, "")
		}
	}
	for range calls {
		caller.Expect(t, transport.Reply)
	}
	for _, s := range w.Controller.sessions {
		require.Zero(t, s.running.Load())
	}
}

func TestOneway(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		post := func(generation uint64) frame {
			id := transport.CallID(0, generation)
			caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Oneway}, Payload: []byte("post")})
			require.Equal(t, id, caller.Expect(t, transport.Accepted).Call)
			require.Zero(t, w.Stats().Calls)
			require.Equal(t, 1, w.Stats().Serving)
			return callee.Served(t)
		}
		callee.Reply(post(1).Call, "")
		w.eventually(func(st Stats) bool { return st.Serving == 0 }, "not retired when admitted")

		for i, reason := range []string{reasonBusy, "of my own"} {
			callee.Send(frame{Header: header{Kind: transport.Error, Call: post(uint64(2 + i)).Call},
				Payload: rawpeer.ErrorPayload(control.Failure{Code: resourceExhausted, Reason: reason})})
			w.eventually(func(st Stats) bool { return st.Serving == 0 }, "not retired when refused")
		}
		require.Equal(t, map[string]uint64{reasonBusy: 1, "other": 1}, w.Stats().Lost)

		// The caller's cancel and its end do not reach an accepted call; the callee's end loses it.
		post(4)
		caller.Send(frame{Header: header{Kind: transport.Cancel, Call: transport.CallID(0, 4)}})
		w.eventually(func(st Stats) bool { return st.Late == 1 }, "the cancel is not late")
		caller.Close()
		require.Equal(t, caller.Session, callee.Expect(t, transport.Peer).Header.Peer)
		callee.Nothing(t, 0)
		require.Equal(t, 1, w.Stats().Serving)
		callee.Close()
		w.eventually(func(st Stats) bool { return st.Lost[reasonNodeLost] == 1 }, "the loss is not counted")
	})
}

func TestOnewayNoProvider(t *testing.T) {
	w := start(t, Options{})
	caller := w.join("caller")
	route := caller.Route(t, "Svc", "M", "sig")
	id := transport.CallID(0, 1)
	caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Oneway}})
	require.Equal(t, reasonNoProvider, caller.Failed(t, id).Reason)
	caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(0, 2), Route: route, Mode: transport.Oneway | transport.Input}})
	require.Equal(t, reasonShape, caller.Failed(t, transport.CallID(0, 2)).Reason)
}

// announce sends a Request or another frame that announces a message.
func announce(kind transport.Kind, call uint64, h header) frame {
	h.Kind, h.Call = kind, call
	h.Flags |= transport.Large | transport.Bulk
	return frame{Header: h, Payload: transport.AppendAnnounced(nil, 100_000)}
}

func chunk(call uint64, more bool) frame {
	f := frame{Header: header{Kind: transport.Chunk, Call: call, Flags: transport.Bulk}, Payload: []byte("chunk")}
	if more {
		f.Flags |= transport.More
	}
	return f
}

func TestLarge(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		id := transport.CallID(0, 1)
		caller.Send(announce(transport.Request, id, header{Route: route}))
		served := callee.Served(t)
		require.EqualValues(t, 100_000, transport.AnnouncedLength(served.Payload))
		callee.Send(frame{Header: header{Kind: transport.Grant, Call: served.Call}})
		require.Equal(t, id, caller.Expect(t, transport.Grant).Call)
		caller.Send(chunk(id, true), chunk(id, false))
		require.NotZero(t, callee.Expect(t, transport.Chunk).Flags&transport.More)
		require.Zero(t, callee.Expect(t, transport.Chunk).Flags&transport.More)
		require.Equal(t, 1, w.Stats().Calls)

		callee.Send(announce(transport.Reply, served.Call, header{}))
		require.Equal(t, id, caller.Expect(t, transport.Reply).Call)
		caller.Send(frame{Header: header{Kind: transport.Grant, Call: id}})
		require.Equal(t, served.Call, callee.Expect(t, transport.Grant).Call)
		require.Equal(t, 1, w.Stats().Calls)
		callee.Send(chunk(served.Call, true), chunk(served.Call, false))
		caller.Expect(t, transport.Chunk)
		caller.Expect(t, transport.Chunk)
		require.Zero(t, w.Stats().Calls)
		require.Zero(t, w.Stats().Serving)
	})
}

func TestLargeOneway(t *testing.T) {
	w := start(t, Options{})
	caller, callee, route := w.pair()
	for generation := uint64(1); generation <= 3; generation++ {
		id := transport.CallID(0, generation)
		caller.Send(announce(transport.Request, id, header{Route: route, Mode: transport.Oneway}))
		served := callee.Served(t)
		callee.Send(frame{Header: header{Kind: transport.Grant, Call: served.Call}})
		caller.Expect(t, transport.Grant)
		caller.Send(chunk(id, true))
		callee.Expect(t, transport.Chunk)
		caller.Nothing(t, 0)
		switch generation {
		case 1:
			caller.Send(chunk(id, false))
			require.Equal(t, id, caller.Expect(t, transport.Accepted).Call)
			callee.Expect(t, transport.Chunk)
			callee.Reply(served.Call, "")
		case 2: // refused before it is whole: the caller is told
			callee.Send(frame{Header: header{Kind: transport.Error, Call: served.Call}, Payload: rawpeer.ErrorPayload(control.Failure{Reason: reasonBusy})})
			require.Equal(t, reasonBusy, caller.Failed(t, id).Reason)
			caller.Send(chunk(id, false))
		case 3: // given up before it is whole
			caller.Close()
			require.Equal(t, served.Call, callee.Expect(t, transport.Cancel).Call)
		}
	}
	require.Empty(t, w.Stats().Lost)
}

// TestLargeOnewayLost ends callees while the last chunk of a one-way call is on its way: the caller learns that the call has failed, or that
// it was accepted and then it is counted as lost, never both and never neither (SEM-9).
func TestLargeOnewayLost(t *testing.T) {
	w := start(t, Options{})
	caller := w.join("caller")
	accepted := uint64(0)
	for generation := uint64(1); generation <= 300; generation++ {
		callee := w.join(fmt.Sprintf("callee-%d", generation)).Register(t, "Svc", "M")
		id := transport.CallID(0, generation)
		caller.Send(announce(transport.Request, id, header{Route: caller.Route(t, "Svc", "M", "sig"), Mode: transport.Oneway, Peer: callee.Session}))
		served := callee.Served(t).Call
		callee.Send(frame{Header: header{Kind: transport.Grant, Call: served}})
		caller.Expect(t, transport.Grant)
		refuses := generation%2 == 0
		var ending sync.WaitGroup
		ending.Go(func() {
			if refuses {
				callee.Send(frame{Header: header{Kind: transport.Error, Call: served}, Payload: rawpeer.ErrorPayload(control.Failure{Reason: reasonNodeLost})})
			} else {
				callee.Close()
			}
		})
		caller.Send(chunk(id, false))
		ending.Wait()
		switch f := caller.Next(t); f.Kind {
		case transport.Accepted:
			accepted++
		default:
			require.Equal(t, reasonNodeLost, rawpeer.Failure(t, f).Reason)
		}
		callee.Close()
	}
	w.eventually(func(st Stats) bool { return st.Nodes == 1 && st.Serving == 0 }, "callees are left")
	w.eventually(func(st Stats) bool { // a call is out of the table before it is counted
		lost := uint64(0)
		for _, n := range st.Lost {
			lost += n
		}
		return lost == accepted
	}, "what was accepted is not counted as lost")
}

func TestStream(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		id := transport.CallID(9, 4)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Input | transport.Output}})
		served := callee.Served(t)
		pass := func(from, to *rawpeer.Peer, at, want uint64, k transport.Kind, flags transport.Flags, payload string) {
			t.Helper()
			from.Send(frame{Header: header{Kind: k, Call: at, Arg: 77, Flags: transport.Bulk | flags}, Payload: []byte(payload)})
			got := to.Expect(t, k)
			require.Equal(t, header{Kind: k, Call: want, Arg: 77, Flags: transport.Bulk | flags}, got.Header)
			require.Equal(t, payload, string(got.Payload))
		}
		large := string(transport.AppendAnnounced(nil, 5))
		for range 2 { // each side sends, and the other allows it
			from, to, at, want := caller, callee, id, served.Call
			pass(from, to, at, want, transport.Data, 0, "item")
			pass(from, to, at, want, transport.Data, transport.Large, large)
			pass(to, from, want, at, transport.Grant, 0, "")
			pass(from, to, at, want, transport.Chunk, transport.More, "it")
			pass(from, to, at, want, transport.Chunk, 0, "em3")
			pass(to, from, want, at, transport.Credit, 0, "")
			pass(from, to, at, want, transport.Data, transport.End, "item")
			caller, callee, id, served.Call = to, from, want, at
		}
		pass(callee, caller, served.Call, id, transport.Stop, 0, "")
		pass(callee, caller, served.Call, id, transport.Reply, 0, "")
		callee.Send(frame{Header: header{Kind: transport.Credit, Call: served.Call}})
		caller.Send(frame{Header: header{Kind: transport.Credit, Call: id}})
		w.eventually(func(st Stats) bool { return st.Late == 2 }, "late frames are not counted")
	})
}

func TestD64Cancel(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		id := caller.Call(route, 0, 1, "")
		served := callee.Served(t)
		caller.Send(frame{Header: header{Kind: transport.Cancel, Call: id}})
		cancel := callee.Expect(t, transport.Cancel)
		require.Equal(t, header{Kind: transport.Cancel, Call: served.Call}, cancel.Header)
		require.Zero(t, w.Stats().Calls)
		require.Zero(t, w.Stats().Serving)

		callee.Reply(served.Call, "late")
		w.eventually(func(st Stats) bool { return st.Late == 1 }, "a late reply is not counted")
		caller.Nothing(t, 0)

		// The cancel of a call whose request went in the bulk lane goes there as well.
		id = transport.CallID(0, 2)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Flags: transport.Bulk}})
		callee.Served(t)
		caller.Send(frame{Header: header{Kind: transport.Cancel, Call: id}})
		require.Equal(t, transport.Bulk, callee.Expect(t, transport.Cancel).Flags)
	})
}

// TestOvertakenCancel uses a slot again while the Cancel of the call before is on its way in the bulk lane.
func TestOvertakenCancel(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		first := caller.Call(route, 0, 1, "")
		served := callee.Served(t)
		second := caller.Call(route, 0, 3, "")
		require.Equal(t, served.Call, callee.Expect(t, transport.Cancel).Call)
		callee.Reply(served.Call, "late")
		callee.Reply(callee.Served(t).Call, "")
		require.Equal(t, second, caller.Expect(t, transport.Reply).Call)

		// What was overtaken itself is late.
		caller.Send(frame{Header: header{Kind: transport.Cancel, Call: first}})
		caller.Call(route, 0, 2, "")
		caller.Send(frame{Header: header{Kind: transport.Cancel, Call: transport.CallID(0, 2)}})
		w.eventually(func(st Stats) bool { return st.Late == 4 }, "late frames are not counted")
		callee.Nothing(t, 0)
		require.Zero(t, w.Stats().Calls+w.Stats().Serving)
	})
}

func TestProviderDies(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		small := caller.Call(route, 0, 1, "")
		callee.Served(t)
		stream := transport.CallID(1, 1)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: stream, Route: route, Mode: transport.Output}})
		served := callee.Served(t)
		callee.Send(frame{Header: header{Kind: transport.Data, Call: served.Call, Flags: transport.Bulk}, Payload: []byte("item")})
		caller.Expect(t, transport.Data)
		callee.Close()
		for range 2 {
			f := caller.Next(t)
			require.Equal(t, transport.Error, f.Kind)
			require.Contains(t, []uint64{small, stream}, f.Call)
			require.Equal(t, f.Call == stream, f.Flags&transport.Bulk != 0, "the error must not overtake the items")
		}
		require.Equal(t, reasonNoProvider, caller.Failed(t, caller.Call(route, 0, 2, "")).Reason)
		st := w.Stats()
		require.Zero(t, st.Calls+st.Serving+st.Services+st.Providers+st.Introductions)
	})
}

func TestProviderDiesFailure(t *testing.T) {
	w := start(t, Options{})
	caller, callee, route := w.pair()
	id := caller.Call(route, 0, 1, "")
	callee.Close()
	f := caller.Failed(t, id)
	require.Equal(t, [4]any{unavailable, reasonNodeLost, mayHaveRun, "callee"}, [4]any{f.Code, f.Reason, f.Outcome, f.Node})
}

func TestCallerDies(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		caller.Call(route, 0, 1, "")
		served := callee.Served(t)
		caller.Close()
		require.Equal(t, served.Call, callee.Expect(t, transport.Cancel).Call)
		leave := callee.Expect(t, transport.Peer)
		require.Empty(t, leave.Payload)
		require.Equal(t, caller.Session, leave.Header.Peer)
		st := w.Stats()
		require.Zero(t, st.Calls+st.Serving+st.Introductions)
		callee.Reply(served.Call, "nobody is there")
		w.eventually(func(st Stats) bool { return st.Late == 1 }, "a late reply is not counted")
	})
}

// TestE25ForeignIds sends frames for calls that never were, or that are others'.
func TestE25ForeignIds(t *testing.T) {
	w := start(t, Options{})
	caller, callee, route := w.pair()
	other := w.join("other")
	id := caller.Call(route, 0, 1, "")
	served := callee.Served(t)
	ids := []uint64{0, id, id + 1<<transport.SlotBits, transport.CallID(1<<transport.SlotBits-1, 1), 1<<63 - 1}
	late := uint64(0)
	for _, id := range ids {
		for _, k := range []transport.Kind{transport.Data, transport.Chunk, transport.Credit, transport.Grant, transport.Cancel} {
			other.Send(frame{Header: header{Kind: k, Call: id}})
			late++
		}
	}
	for _, id := range append(ids, served.Call) {
		for _, k := range []transport.Kind{transport.Data, transport.Chunk, transport.Credit, transport.Grant, transport.Stop, transport.Reply, transport.Error} {
			other.Send(frame{Header: header{Kind: k, Call: id | transport.Served}})
			late++
		}
	}
	w.eventually(func(st Stats) bool { return st.Late == late }, "not all were counted")
	caller.Nothing(t, 0)
	callee.Nothing(t, 0)
	callee.Reply(served.Call, "still there")
	caller.Expect(t, transport.Reply)
}

func TestDrain(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		other := w.join("other").Register(t, "Svc", "M")
		for i := range 50 {
			caller.Call(route, uint32(i), 1, "")
		}
		callee.Send(frame{Header: header{Kind: transport.Drain}})
		kept := 0
		for {
			f := callee.Next(t)
			if f.Kind == transport.Drain {
				require.Equal(t, transport.Bulk, f.Flags)
				break
			}
			if f.Kind == transport.Request {
				kept++
				callee.Reply(f.Call, "")
			}
		}
		for i := range 50 {
			caller.Call(route, uint32(i+50), 1, "")
		}
		for range 100 - kept {
			other.Reply(other.Served(t).Call, "")
		}
		for range 100 {
			caller.Expect(t, transport.Reply)
		}
		callee.Nothing(t, 0)

		id := transport.CallID(0, 9)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Peer: callee.Session}})
		require.Equal(t, reasonDraining, caller.Failed(t, id).Reason)
		other.Close()
		w.eventually(func(st Stats) bool { return st.Nodes == 2 }, "the other node is there")
		require.Equal(t, reasonDraining, caller.Failed(t, caller.Call(route, 0, 10, "")).Reason)

		callee.Send(frame{Header: header{Kind: transport.Goodbye}})
		require.Error(t, callee.Closed(t))
		w.eventually(func(st Stats) bool { return st.Nodes == 1 }, "the node that drained is there")
		require.Equal(t, reasonNoProvider, caller.Failed(t, caller.Call(route, 0, 11, "")).Reason)
	})
}

// stall joins a node that stops to read at the first frame of a call, until it is let go on.
func (w *world) stall(name string) (goOn func(), p *rawpeer.Peer) {
	w.Helper()
	gate := make(chan struct{})
	goOn = sync.OnceFunc(func() { close(gate) })
	w.Cleanup(goOn) // before the peers are closed
	p = rawpeer.New(w.link())
	p.OnFrame = func(f *transport.Frame) bool {
		if f.Kind == transport.Request || f.Kind == transport.Chunk || f.Kind == transport.Reply || f.Kind == transport.Data {
			<-gate
		}
		return f.Kind == transport.Credit || f.Kind == transport.Grant // there may be very many
	}
	w.peers = append(w.peers, p)
	return goOn, p.Start().Join(w, name)
}

// TestBusy fills the queue of a node that takes nothing, as far as one caller may: its calls go to another node while there is one, and are refused then.
func TestBusy(t *testing.T) {
	w := start(t, Options{})
	w.conn = true
	goOn, stuck := w.stall("stuck")
	stuck.Register(t, "Svc", "M")
	caller := w.join("caller")
	route := caller.Route(t, "Svc", "M", "sig")
	big := strings.Repeat("x", transport.MaxContent)
	n := uint64(0)
	call := func() uint64 {
		n++
		id := transport.CallID(0, n)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Oneway, Peer: 0, Flags: transport.Bulk}, Payload: []byte(big)})
		return id
	}
	accepted := 0
	for {
		id := call()
		f := caller.Next(t)
		require.Equal(t, id, f.Call)
		if f.Kind == transport.Error {
			break
		}
		accepted++
		require.Less(t, accepted, 2*transport.QueueBytes/len(big))
	}
	require.Greater(t, accepted, transport.QueueBytes/len(big)/2)
	other := w.join("other") // who finds room, though the caller has all that it may
	for i := range uint64(10) {
		id := transport.CallID(0, i+1)
		other.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Oneway, Flags: transport.Bulk}, Payload: []byte(big)})
		require.Equal(t, id, other.Expect(t, transport.Accepted).Call)
		accepted++
	}

	f := caller.Failed(t, call())
	require.Equal(t, [4]any{resourceExhausted, reasonBusy, notRun, "stuck"}, [4]any{f.Code, f.Reason, f.Outcome, f.Node})

	free := w.join("free").Register(t, "Svc", "M")
	for range 20 {
		call()
		free.Reply(free.Served(t).Call, "")
		caller.Expect(t, transport.Accepted)
	}
	goOn()
	for range accepted {
		stuck.Reply(stuck.Served(t).Call, "")
	}
}

// TestCallerTakesNothing fills the queue of a caller with replies.
func TestCallerTakesNothing(t *testing.T) {
	w := start(t, Options{})
	w.conn = true
	callee := w.join("callee").Register(t, "Svc", "M")
	goOn, caller := w.stall("caller")
	route := caller.Route(t, "Svc", "M", "sig")
	const calls = 2*transport.QueueBytes/transport.MaxContent + 40
	for i := range uint32(calls) {
		caller.Call(route, i, 1, "")
	}
	big := strings.Repeat("x", transport.MaxContent)
	for range calls {
		reply := frame{Header: header{Kind: transport.Reply, Call: callee.Served(t).Call, Flags: transport.Bulk}, Payload: []byte(big)}
		for errors.Is(callee.Link.Enqueue(reply), transport.ErrFull) { // all of them are more than the callee's own queue holds
			callee.Link.Flush()
			<-callee.Link.Room()
		}
		callee.Link.Flush()
	}
	w.eventually(func(st Stats) bool { return st.Calls == 0 }, "calls are open")
	goOn()
	replies, failures := 0, 0
	for range calls {
		switch f := caller.Next(t); f.Kind {
		case transport.Reply:
			replies++
		case transport.Error:
			failures++
		}
	}
	require.Greater(t, failures, 10)
	require.Greater(t, replies, transport.QueueBytes/transport.MaxContent)
}

// TestWindowFlood tells a node that takes nothing of credit without end: that call fails at both ends, and the node stays.
func TestWindowFlood(t *testing.T) {
	for _, kind := range []transport.Kind{transport.Credit, transport.Grant} {
		for _, fromCallee := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, callee=%v", kind, fromCallee), func(t *testing.T) {
				w := start(t, Options{PingInterval: time.Minute})
				w.conn = true
				goOn, stuck := w.stall("stuck")
				sender := w.join("sender")
				other, caller, callee := w.join("other"), sender, stuck
				if fromCallee {
					caller, callee = stuck, sender
				}
				callee.Register(t, "Svc", "M")
				stuck.Register(t, "Else", "M")
				route, elsewhere := caller.Route(t, "Svc", "M", "sig"), other.Route(t, "Else", "M", "sig")
				innocent := other.Call(elsewhere, 0, 1, "") // the node stops to read here
				id := transport.CallID(0, 1)
				caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Input | transport.Output}})
				w.eventually(func(st Stats) bool { return st.Calls == 2 }, "not routed")
				send := id
				if fromCallee {
					send = callee.Served(t).Call
				}
				for w.Stats().Calls > 1 {
					for range 256 {
						sender.Link.Enqueue(frame{Header: header{Kind: kind, Call: send, Arg: 1}})
					}
					sender.Link.Flush()
				}
				if fromCallee {
					require.Equal(t, send, sender.Expect(t, transport.Cancel).Call)
				} else {
					require.Equal(t, reasonBusy, sender.Failed(t, id).Reason)
				}
				require.Nil(t, other.TryRegister(t, "Third", rawpeer.Methods("sig", "M")))
				other.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(1, 1), Route: elsewhere}})
				w.eventually(func(st Stats) bool { return st.Calls == 2 }, "the node takes no more calls")

				goOn()
				for answered := 0; answered < 2; {
					if f := stuck.Next(t); f.Kind == transport.Request && f.Peer == other.Session {
						stuck.Reply(f.Call, "")
						answered++
					}
				}
				require.Equal(t, innocent, other.Expect(t, transport.Reply).Call)
				require.Equal(t, transport.CallID(1, 1), other.Expect(t, transport.Reply).Call)
			})
		}
	}
}

// TestCalleeRepeats sends twice what a callee says once for a call.
func TestCalleeRepeats(t *testing.T) {
	w := start(t, Options{})
	caller, callee, route := w.pair()
	id := caller.Call(route, 0, 1, "")
	served := callee.Served(t).Call
	stop := frame{Header: header{Kind: transport.Stop, Call: served}}
	callee.Send(stop, stop, stop)
	require.Equal(t, id, caller.Expect(t, transport.Stop).Call)
	w.eventually(func(st Stats) bool { return st.Late == 2 }, "they were not dropped")
	caller.Nothing(t, 0)

	callee.Send(announce(transport.Reply, served, header{}))
	caller.Expect(t, transport.Reply)
	callee.Send(announce(transport.Reply, served, header{}))
	require.ErrorIs(t, callee.Closed(t), io.EOF)
	require.Equal(t, reasonNodeLost, caller.Failed(t, id).Reason)
}
