package controller

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// pingPong joins a callee that answers on its link's goroutine, and a caller; it returns a function that makes one call after the other.
func (w *world) pingPong(size int) (call func()) {
	callee := rawpeer.New(w.link())
	callee.OnFrame = func(f *transport.Frame) bool {
		if f.Kind != transport.Request {
			return false
		}
		callee.Link.Enqueue(frame{Header: header{Kind: transport.Reply, Call: f.Call}, Payload: f.Payload, Buf: f.Buf})
		f.Buf = nil
		return true
	}
	w.peers = append(w.peers, callee.Start().Join(w, "callee").Register(w, "Svc", "M"))

	replies := make(chan struct{}, 1)
	caller := rawpeer.New(w.link())
	caller.OnFrame = func(f *transport.Frame) bool {
		if f.Kind == transport.Reply {
			replies <- struct{}{}
		}
		return f.Kind == transport.Reply
	}
	w.peers = append(w.peers, caller.Start().Join(w, "caller"))
	route := caller.Route(w, "Svc", "M", "sig")
	payload := make([]byte, size)
	generation := uint64(0)
	return func() {
		generation++
		caller.Link.Enqueue(frame{Payload: payload, Header: header{Kind: transport.Request, Call: transport.CallID(0, generation), Route: route}})
		caller.Link.Flush()
		<-replies
	}
}

// TestForwardAllocs holds the controller to no allocation per forwarded frame; what there is here is all of both peers as well.
func TestForwardAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	w := start(t, Options{})
	call := w.pingPong(64)
	for range 1000 {
		call()
	}
	require.Zero(t, int(testing.AllocsPerRun(2000, call)))
}

// TestStreamAllocs is TestForwardAllocs for items of a stream, handed to the session as a connection's reader does.
func TestStreamAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	w := start(t, Options{})
	callee := rawpeer.New(w.link())
	callee.OnFrame = func(f *transport.Frame) bool { return f.Kind == transport.Data }
	w.peers = append(w.peers, callee.Start().Join(t, "callee").Register(t, "Svc", "M"))
	caller := w.join("caller")
	route := caller.Route(t, "Svc", "M", "sig")
	id := transport.CallID(0, 1)
	caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Input}})
	callee.Served(t)
	s := w.sessions[1]
	require.Equal(t, "caller", s.name)
	payload := make([]byte, 1000)
	send := func() {
		f := frame{Header: header{Kind: transport.Data, Call: id, Flags: transport.Bulk}, Payload: payload}
		if err := s.HandleFrame(&f); err != nil {
			t.Fatal(err)
		}
		s.HandleBatch()
	}
	for range 1000 {
		send()
	}
	require.Zero(t, int(testing.AllocsPerRun(2000, send)))
}

func BenchmarkForward(b *testing.B) {
	for name, size := range map[string]int{"64B": 64, "16KiB": 16 << 10} {
		b.Run(name, func(b *testing.B) {
			w := start(b, Options{})
			call := w.pingPong(size)
			call()
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

// BenchmarkPick is flat but for keys, which ask every provider.
func BenchmarkPick(b *testing.B) {
	for _, balance := range []control.Balance{control.BalanceLeastRunning, control.BalanceRandom, control.BalanceRoundRobin, control.BalanceLeastLatency, control.BalanceByCaller} {
		for _, n := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%v/%d", balance, n), func(b *testing.B) {
				r, caller := routeOf(balance, n), &session{number: uint32(n / 2)}
				var to [2]provider
				b.ReportAllocs()
				for b.Loop() {
					r.pick(caller, rand.Uint64(), &to)
				}
			})
		}
	}
}
