package controller

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// FuzzController takes bytes as frames of a node that has joined, beside one that answers and one that calls. Nothing may panic or hang, the
// others' call must end, and the tables must be empty when all have left.
//
// A frame is made of 6 bytes: kind, flags, mode and depth, call, route and peer, and the length of the payload that follows.
func FuzzController(f *testing.F) {
	plain := func(op control.Op) []byte {
		var e codec.Encoder
		control.AppendPlain(&e, op)
		return e.Bytes()
	}
	encoded := func(fill func(*codec.Encoder)) []byte {
		var e codec.Encoder
		fill(&e)
		return e.Bytes()
	}
	add := func(parts ...[]byte) {
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		f.Add(all)
	}
	one := func(kind transport.Kind, flags transport.Flags, mode, call, route byte, payload []byte) []byte {
		return append([]byte{byte(kind), byte(flags), mode, call, route, byte(len(payload))}, payload...)
	}
	register := one(transport.Control, 0, 0, 1, 0, encoded((&control.Register{Service: "Bad", Methods: rawpeer.Methods("sig", "M")}).Append))
	add(register, one(transport.Control, 0, 0, 2, 0, plain(control.OpWatch)), one(transport.Drain, 0, 0, 0, 0, nil), one(transport.Goodbye, 0, 0, 0, 0, nil))
	add(register, one(transport.Reply, 0, 0, 0x80, 0, nil), one(transport.Data, 0, 0, 0x80, 0, nil), one(transport.Error, 0, 0, 0x80, 0, nil))
	add(register, one(transport.Reply, transport.Large, 0, 0x80, 0, make([]byte, 4)), one(transport.Chunk, transport.More, 0, 0x80, 0, nil), one(transport.Chunk, 0, 0, 0x80, 0, nil))
	add(one(transport.Request, 0, 0, 1, 1, []byte("x")), one(transport.Cancel, 0, 0, 1, 0, nil), one(transport.Request, 0, 1, 2, 1, nil))
	add(one(transport.Request, transport.Large, 1, 1, 1, make([]byte, 4)), one(transport.Chunk, transport.More, 0, 1, 0, nil), one(transport.Chunk, 0, 0, 1, 0, nil))
	add(one(transport.Request, 0, 6, 1, 1, nil), one(transport.Data, transport.End, 0, 1, 0, []byte("x")), one(transport.Credit, 0, 0, 1, 0, nil), one(transport.Ping, 0, 0, 0, 0, nil))
	for _, k := range []transport.Kind{transport.Hello, transport.Proof, transport.Peer, transport.Accepted, transport.Stop, transport.Grant, transport.Pong} {
		add(one(k, 0, 0, 0x80, 1, nil))
	}
	add(one(transport.Control, 0, 0, 3, 0, encoded((&control.Resolve{Service: "Bad", Methods: rawpeer.Methods("sig", "M", "N")}).Append)),
		one(transport.Control, 0, 0, 4, 0, encoded((&control.Find{Node: "good"}).Append)),
		one(transport.Control, 0, 0, 6, 0, encoded((&control.Targets{Route: 1}).Append)), one(transport.Request, 0, byte(transport.Keyed|transport.Tagged), 1, 1, nil),
		one(transport.Control, 0, 0, 5, 0, encoded((&control.Unregister{Service: "Bad"}).Append)))
	label := control.Label{Name: "zone", Value: "eu"}
	add(one(transport.Control, 0, 0, 1, 0, encoded((&control.About{Labels: []control.Label{label}}).Append)), register,
		one(transport.Control, 0, 0, 3, 0, encoded((&control.Select{Service: "Bad", Methods: rawpeer.Methods("sig", "M"),
			Choice: control.Choice{Where: []control.Label{label}, Self: true, Balance: control.BalanceLeastLatency}}).Append)),
		one(transport.Request, 0, 0, 1, 3, nil), one(transport.Error, 0, 0, 0x80, 0, rawpeer.ErrorPayload(control.Failure{Code: internal, Reason: reasonPanic, Outcome: ran})))
	sig := long("A", 80)
	described := one(transport.Control, 0, 0, 2, 0, encoded((&control.Describe{Service: "New", Doc: "d", Served: true, Methods: []control.Description{
		{Name: "M", Sig: sig, Doc: "d", Params: []string{"p"}, Alias: "N", Oneway: true}, {Name: "N", Sig: "()()"}}}).Append))
	served := one(transport.Control, 0, 0, 1, 0, encoded((&control.Register{Service: "New", Methods: append(rawpeer.Methods(sig, "M"), rawpeer.Methods("()()", "N")...)}).Append))
	add(served, described, served, described, one(transport.Control, 0, 0, 3, 0, encoded((&control.Inspect{Service: "New"}).Append)),
		one(transport.Control, 0, 0, 4, 0, encoded((&control.Inspect{Service: "New", After: control.Cursor{Method: "M", Route: 4, Session: 3}}).Append)))
	add(one(transport.Control, 0, 0, 1, 0, encoded((&control.Resolve{Service: "New", Methods: rawpeer.Methods(sig, "M")}).Append)), described, described, served,
		one(transport.Control, 0, 0, 5, 0, encoded((&control.Resolve{Service: "New", Methods: rawpeer.Methods("(int)()", "M", "N")}).Append)))
	key := control.TaskKey{Owner: "bad", ID: "t"}
	add(one(transport.Control, 0, 0, 1, 0, encoded((&control.Schedule{ID: "t", Route: 1, Plan: control.Plan{Timing: control.Every, Interval: time.Hour}, Args: []byte{0x90}}).Append)),
		one(transport.Control, 0, 0, 2, 0, encoded((&control.TaskControl{TaskKey: key, Action: control.TaskRun}).Append)),
		one(transport.Control, 0, 0, 3, 0, encoded((&control.AwaitRuns{TaskKey: key}).Append)), one(transport.Control, 0, 0, 3, 0, encoded((&control.AwaitRuns{TaskKey: key}).Append)),
		one(transport.Control, 0, 0, 4, 0, encoded((&control.Tasks{Over: true}).Append)), one(transport.Control, 0, 0, 5, 0, encoded((&control.TaskControl{TaskKey: key, Action: control.TaskCancelAll}).Append)))

	f.Fuzz(func(t *testing.T, data []byte) {
		w := start(t, Options{})
		good := rawpeer.New(w.link())
		good.OnFrame = func(f *transport.Frame) bool {
			if f.Kind == transport.Request {
				good.Link.Enqueue(frame{Header: header{Kind: transport.Reply, Call: f.Call}})
			}
			return f.Kind != transport.Control && !f.Kind.Handshake()
		}
		w.peers = append(w.peers, good.Start().Join(t, "good").Register(t, "Svc", "M"))
		caller := w.join("caller")
		bad := w.peer()
		bad.OnFrame = func(f *transport.Frame) bool { return f.Kind != transport.Control && !f.Kind.Handshake() }
		bad.Join(t, "bad").Register(t, "Bad", "M")
		call := caller.Call(caller.Route(t, "Bad", "M", "sig"), 0, 1, "x")
		caller.Call(caller.Route(t, "Svc", "M", "sig"), 1, 1, "x")
		caller.Expect(t, transport.Reply)

		for len(data) >= 6 {
			n := min(int(data[5]), len(data)-6)
			f := frame{Payload: data[6 : 6+n], Header: header{
				Kind: transport.Kind(data[0]), Flags: transport.Flags(data[1]), Mode: transport.Mode(data[2] & 63), Depth: data[2] >> 4 * 3,
				Call: transport.CallID(uint32(data[3]>>4&7), uint64(data[3]&15)), Route: uint32(data[4] & 7), Peer: uint32(data[4] >> 4), Arg: uint64(data[3]),
			}}
			if data[3]&0x80 != 0 {
				f.Call = transport.Served | transport.CallID(uint32(data[3]>>4&7), 1)
			}
			if f.Kind == transport.Control {
				f.Call = binary.LittleEndian.Uint64(append(data[1:4:4], 0, 0, 0, 0, 0))
			}
			bad.Send(f)
			data = data[6+n:]
		}
		bad.Close()
		for range 1000 {
			f, ok := caller.Poll()
			if !ok {
				if w.Stats().Calls == 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if f.Call == call && (f.Kind == transport.Error || f.Kind == transport.Reply) {
				break
			}
		}
		w.eventually(func(st Stats) bool { return st.Nodes == 2 && st.Calls == 0 && st.Serving == 0 }, "the call has not ended")
		require.Equal(t, 1, w.Stats().Services)
	})
}
