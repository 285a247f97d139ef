package controller

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// stream is a call with items in both directions, seen from the side that sends.
type stream struct {
	sender, receiver *rawpeer.Peer
	call, there      uint64 // at the sender, at the receiver
	fromCallee       bool
}

// overStreams runs f with a stream in either direction.
func overStreams(t *testing.T, f func(t *testing.T, w *world, s stream)) {
	for _, fromCallee := range []bool{false, true} {
		t.Run(fmt.Sprintf("callee=%v", fromCallee), func(t *testing.T) {
			w := start(t, Options{})
			caller, callee, route := w.pair()
			id := transport.CallID(3, 1)
			caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Input | transport.Output}})
			s := stream{caller, callee, id, callee.Served(t).Call, fromCallee}
			if fromCallee {
				s.sender, s.receiver, s.call, s.there = s.receiver, s.sender, s.there, s.call
			}
			f(t, w, s)
		})
	}
}

func (s stream) send(kind transport.Kind, flags transport.Flags, payload []byte) {
	s.sender.Send(frame{Header: header{Kind: kind, Call: s.call, Flags: flags | transport.Bulk}, Payload: payload})
}

func (s stream) allow(t *testing.T, kind transport.Kind, n uint64) {
	t.Helper()
	s.receiver.Send(frame{Header: header{Kind: kind, Call: s.there, Arg: n}})
	s.sender.Expect(t, kind)
}

// arrives expects a frame at the receiver.
func (s stream) arrives(t *testing.T, kind transport.Kind) {
	t.Helper()
	require.Equal(t, s.there, s.receiver.Expect(t, kind).Call)
}

// broken expects the end of the call at both ends, for the fault of the sender.
func (s stream) broken(t *testing.T, w *world) {
	t.Helper()
	caller, callee, id, served := s.sender, s.receiver, s.call, s.there
	if s.fromCallee {
		caller, callee, id, served = callee, caller, served, id
	}
	f := caller.Failed(t, id)
	require.Equal(t, reasonProtocol, f.Reason)
	require.Equal(t, s.sender.Name, f.Node)
	require.Equal(t, served, callee.Expect(t, transport.Cancel).Call)
	require.Zero(t, w.Stats().Calls)
	require.Zero(t, w.Stats().Serving)
}

// A sender is kept to what the receiver has granted: one byte more ends the call at both ends, and reaches nobody.
func TestSenderIsKeptToItsCredit(t *testing.T) {
	overStreams(t, func(t *testing.T, w *world, s stream) {
		s.send(transport.Data, 0, make([]byte, 1)) // costs 256
		s.send(transport.Data, 0, make([]byte, transport.MinCredit-transport.MinCost))
		s.allow(t, transport.Credit, 5000)
		s.send(transport.Data, 0, make([]byte, 4000))
		s.send(transport.Data, 0, make([]byte, 1000))
		for range 4 {
			s.arrives(t, transport.Data)
		}
		s.send(transport.Data, 0, make([]byte, 1))
		s.broken(t, w)
		s.send(transport.Data, 0, make([]byte, 1000)) // and what follows is late
		w.eventually(func(st Stats) bool { return st.Late == 1 }, "what follows is not dropped")
		s.receiver.Nothing(t, 0)
	})
}

// What costs nothing does not come without end.
func TestSenderIsKeptToTheShapeOfAStream(t *testing.T) {
	large := transport.AppendAnnounced(nil, 1000)
	type step struct {
		kind    transport.Kind
		flags   transport.Flags
		payload []byte
	}
	for name, c := range map[string]struct {
		before []step
		grant  bool
		then   step
	}{
		"items after the end":           {[]step{{transport.Data, transport.End, nil}}, false, step{transport.Data, 0, []byte("x")}},
		"two ends":                      {[]step{{transport.Data, transport.End, nil}}, false, step{transport.Data, transport.End, nil}},
		"two announcements":             {[]step{{transport.Data, transport.Large, large}}, false, step{transport.Data, transport.Large, large}},
		"an announcement after the end": {[]step{{transport.Data, transport.End, nil}}, false, step{transport.Data, transport.Large, large}},
		"a chunk that was not granted":  {[]step{{transport.Data, transport.Large, large}}, false, step{transport.Chunk, transport.More, []byte("x")}},
		"a chunk of nothing announced":  {nil, false, step{transport.Chunk, 0, []byte("x")}},
		"an empty chunk":                {[]step{{transport.Data, transport.Large, large}}, true, step{transport.Chunk, transport.More, nil}},
		"more than was announced":       {[]step{{transport.Data, transport.Large, large}}, true, step{transport.Chunk, 0, make([]byte, 1001)}},
		"empty items without end": {[]step{{transport.Data, 0, nil}, {transport.Data, 0, nil}, {transport.Data, 0, nil}, {transport.Data, 0, nil}}, false,
			step{transport.Data, 0, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			overStreams(t, func(t *testing.T, w *world, s stream) {
				for _, b := range c.before {
					s.send(b.kind, b.flags, b.payload)
					s.arrives(t, b.kind)
				}
				if c.grant {
					s.allow(t, transport.Grant, 0)
				}
				s.send(c.then.kind, c.then.flags, c.then.payload)
				s.broken(t, w)
			})
		})
	}
}

// Only items and results are announced: in other frames the flag may come to mean something else.
func TestOthersAnnounceNothing(t *testing.T) {
	overStreams(t, func(t *testing.T, w *world, s stream) {
		for range 2 {
			s.send(transport.Credit, transport.Large, transport.AppendAnnounced(nil, 1000))
			s.arrives(t, transport.Credit)
		}
		s.send(transport.Data, transport.Large, transport.AppendAnnounced(nil, 1000))
		s.arrives(t, transport.Data)
	})
}

// A message that is granted in steps comes in steps.
func TestSenderIsKeptToEachStepOfAMessage(t *testing.T) {
	overStreams(t, func(t *testing.T, w *world, s stream) {
		s.send(transport.Data, transport.Large, transport.AppendAnnounced(nil, 5000))
		s.arrives(t, transport.Data)
		s.allow(t, transport.Grant, 1000)
		s.send(transport.Chunk, transport.More, make([]byte, 400))
		s.allow(t, transport.Grant, 1000)
		s.send(transport.Chunk, transport.More, make([]byte, 1600))
		s.allow(t, transport.Grant, math.MaxUint64)
		s.send(transport.Chunk, 0, make([]byte, 3000))
		s.send(transport.Data, transport.Large, transport.AppendAnnounced(nil, 5000))
		for range 3 {
			s.arrives(t, transport.Chunk)
		}
		s.arrives(t, transport.Data)
		s.allow(t, transport.Grant, 1000)
		s.send(transport.Chunk, transport.More, make([]byte, 1001))
		s.broken(t, w)
	})
}

// An output whose caller says so begins with more.
func TestWideOutput(t *testing.T) {
	w := start(t, Options{})
	caller, callee, route := w.pair()
	id := transport.CallID(0, 1)
	caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: transport.Output | transport.Wide}})
	s := stream{callee, caller, callee.Served(t).Call, id, true}
	s.send(transport.Data, 0, make([]byte, transport.InitialCredit))
	s.arrives(t, transport.Data)
	s.send(transport.Data, 0, nil)
	s.broken(t, w)
}

// A node that sends without credit harms nobody else's stream to the same node, though that takes nothing meanwhile.
func TestFloodLeavesRoomToOthers(t *testing.T) {
	w := start(t, Options{PingInterval: 1 << 40, DeadInterval: 1 << 41})
	w.conn = true
	goOn, stuck := w.stall("stuck")
	flooder, other := w.join("flooder"), w.join("other")
	stuck.Register(t, "Svc", "M")
	open := func(p *rawpeer.Peer, slot uint32) uint64 {
		id := transport.CallID(slot, 1)
		p.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: p.Route(t, "Svc", "M", "sig"), Mode: transport.Input}})
		return id
	}
	innocent := open(other, 0)
	w.eventually(func(st Stats) bool { return st.Calls == 1 }, "not routed")
	const streams = 100
	for i := range uint32(streams) {
		id := open(flooder, i)
		for range 16 { // a megabyte each, 100 in all
			item := frame{Header: header{Kind: transport.Data, Call: id, Flags: transport.Bulk}, Payload: make([]byte, transport.MaxContent)}
			for flooder.Link.Enqueue(item) != nil {
				flooder.Link.Flush()
				<-flooder.Link.Room()
			}
		}
		flooder.Link.Flush()
	}
	for range streams {
		require.Equal(t, reasonProtocol, rawpeer.Failure(t, flooder.Expect(t, transport.Error)).Reason)
	}
	other.Send(frame{Header: header{Kind: transport.Data, Call: innocent, Flags: transport.Bulk | transport.End}, Payload: []byte("item")})
	w.eventually(func(st Stats) bool { return st.Calls == 1 }, "the innocent call is gone")
	goOn()
	for {
		if f := stuck.Next(t); f.Kind == transport.Data {
			require.Equal(t, "item", string(f.Payload))
			stuck.Reply(f.Call, "")
			break
		}
	}
	require.Equal(t, innocent, other.Expect(t, transport.Reply).Call)
}
