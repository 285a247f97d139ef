package controller

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestI5Admitted plays a caller that wants to know what the callee says of its one-way calls.
func TestI5Admitted(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, _ := w.pair()
		route, f := choose(t, caller, control.Choice{Admitted: true})
		require.Nil(t, f)
		post := func(generation uint64) (id uint64, served frame) {
			id = transport.CallID(0, generation)
			caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Oneway}, Payload: []byte("post")})
			served = callee.Served(t)
			caller.Nothing(t, 0)
			require.Equal(t, 1, w.Stats().Calls, "the caller waits")
			return id, served
		}
		id, served := post(1)
		callee.Reply(served.Call, "")
		require.Equal(t, id, caller.Expect(t, transport.Accepted).Call)
		require.Zero(t, w.Stats().Serving)

		id, served = post(2)
		callee.Send(frame{Header: header{Kind: transport.Error, Call: served.Call}, Payload: rawpeer.ErrorPayload(control.Failure{Code: resourceExhausted, Reason: reasonBusy})})
		require.Equal(t, reasonBusy, caller.Failed(t, id).Reason)

		id, served = post(3)
		caller.Send(frame{Header: header{Kind: transport.Cancel, Call: id}})
		require.Equal(t, served.Call, callee.Expect(t, transport.Cancel).Call)

		id, _ = post(4)
		callee.Close()
		require.Equal(t, reasonNodeLost, caller.Failed(t, id).Reason)
		require.Empty(t, w.Stats().Lost, "somebody was told")
	})
}

// TestD68Apart sends calls to other nodes than those that have other calls of the caller.
func TestD68Apart(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, first, plain := w.pair()
		route, f := choose(t, caller, control.Choice{Apart: true})
		require.Nil(t, f)
		caller.Call(plain, 7, 1, "first")
		first.Served(t)
		generation := uint64(0)
		apart := func(peer uint32) uint64 {
			generation++
			id := transport.CallID(8, generation)
			caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Peer: peer}, Payload: []byte("second")})
			return id
		}
		why := caller.Failed(t, apart(8))
		require.Equal(t, reasonNoProvider, why.Reason)
		require.Contains(t, why.Message, "no other node serves Svc")

		second := w.join("second").Register(t, "Svc", "M")
		for range 20 {
			id := apart(8)
			second.Reply(second.Served(t).Call, "")
			require.Equal(t, id, caller.Expect(t, transport.Reply).Call)
		}
		// A slot without a call, or that is none, names nobody.
		for _, peer := range []uint32{0, 1, 9, 1 << 20, 1<<32 - 1} {
			id := apart(peer)
			for answered := false; !answered; runtime.Gosched() {
				for _, p := range []*rawpeer.Peer{first, second} {
					if served, ok := p.Poll(); ok && served.Kind == transport.Request {
						p.Reply(served.Call, "")
						answered = true
					}
				}
			}
			require.Equal(t, id, caller.Expect(t, transport.Reply).Call)
		}
	})
}

// TestD68ApartOfCaught sends a second call of a method that nobody serves to another node than the first, of those that take it all the same.
func TestD68ApartOfCaught(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		first, caller := w.join("first"), w.join("caller")
		require.Nil(t, caught(t, first, "Svc"))
		plain := caller.Route(t, "Svc", "M", "sig")
		route, f := choose(t, caller, control.Choice{Apart: true})
		require.Nil(t, f)
		caller.Call(plain, 7, 1, "first")
		first.Expect(t, transport.Control)
		first.Served(t)
		id := transport.CallID(8, 1)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Peer: 8}})
		require.Equal(t, reasonNoProvider, caller.Failed(t, id).Reason)

		second := w.join("second")
		require.Nil(t, caught(t, second, "Svc"))
		for generation := range uint64(10) {
			id := transport.CallID(8, generation+2)
			caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Peer: 8}})
			if generation == 0 {
				second.Expect(t, transport.Control)
			}
			second.Reply(second.Served(t).Call, "")
			require.Equal(t, id, caller.Expect(t, transport.Reply).Call)
		}
	})
}
