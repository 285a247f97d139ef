package controller

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// These tests play nodes of a later version, which send what this one does not know (ACC-81).

// laterFrame is one of a kind that is not known, with everything set that a frame has.
func laterFrame(flags transport.Flags, size int) frame {
	return frame{Payload: make([]byte, size), Header: header{Kind: 99, Flags: flags, Depth: 255, Mode: 255, Call: 1<<64 - 1, Route: 1<<32 - 1, Peer: 1<<32 - 1, Arg: 1<<64 - 1}}
}

// TestLaterKinds sends them before the Hello, instead of the Proof, and after the Welcome.
func TestLaterKinds(t *testing.T) {
	proof := frame{Header: header{Kind: transport.Proof}, Payload: transport.AppendProof(nil, [32]byte{})}
	for _, conn := range []bool{false, true} {
		for moment, send := range map[string]func(t *testing.T, p *rawpeer.Peer, f frame){
			"before the Hello": func(t *testing.T, p *rawpeer.Peer, f frame) { p.Send(f) },
			"before the Proof": func(t *testing.T, p *rawpeer.Peer, f frame) {
				h := hello("later", 1, 1)
				p.Send(frame{Header: header{Kind: transport.Hello}, Payload: transport.AppendHello(nil, &h)})
				p.Expect(t, transport.Challenge)
				p.Send(f, proof)
			},
			"after joining": func(t *testing.T, p *rawpeer.Peer, f frame) {
				p.Join(t, "later")
				p.Send(f)
			},
		} {
			most := transport.MaxUnproven
			if moment == "after joining" {
				most = transport.MaxPayload
			}
			for _, size := range []int{0, 4, most} {
				t.Run(fmt.Sprintf("%s, %d bytes, conn %v", moment, size, conn), func(t *testing.T) {
					log := new(testkit.Journal)
					w := start(t, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
					w.conn = conn
					p := w.peer()
					send(t, p, laterFrame(0xff, size))
					switch moment {
					case "before the Hello":
						p.Join(t, "later")
					case "before the Proof":
						p.Expect(t, transport.Welcome)
						p.Link.SetMaxPayload(transport.MaxPayload)
					}
					p.Register(t, "Svc", "M")
					p.Close()

					p = w.peer()
					send(t, p, laterFrame(0xff&^transport.Optional, size))
					require.Error(t, p.Closed(t))
					want := "protocol error: frame of the unknown kind 99, which is not optional: the peer is of a later version, or does not speak daffi"
					w.eventually(func(Stats) bool { return strings.Contains(log.String(), want) }, "the log does not say why")
				})
			}
		}
	}
}

// TestLaterHandshake joins with payloads that are longer than known, and with features that are not known.
func TestLaterHandshake(t *testing.T) {
	token := []byte("token")
	for _, conn := range []bool{false, true} {
		for _, more := range []int{0, 1, 67, transport.MaxUnproven - 200} {
			t.Run(fmt.Sprintf("%d bytes more, conn %v", more, conn), func(t *testing.T) {
				w := start(t, Options{})
				p := w.guarded(token, conn)
				h := hello("later", 1, 1) // with all features
				payload := append(transport.AppendHello(nil, &h), make([]byte, more)...)
				p.Send(frame{Header: header{Kind: transport.Hello}, Payload: payload})
				f := p.Expect(t, transport.Challenge)
				challenge, err := transport.ParseChallenge(f.Payload)
				require.NoError(t, err)
				require.EqualValues(t, transport.FeatureZstd, challenge.Features, "what is not known is not taken up")
				require.Equal(t, transport.ControllerProof(token, payload, f.Payload), challenge.Proof, "it covers what was not understood")
				proof := transport.NodeProof(token, payload, f.Payload)
				p.Send(frame{Header: header{Kind: transport.Proof}, Payload: append(transport.AppendProof(nil, proof), make([]byte, more)...)})
				p.Expect(t, transport.Welcome)
			})
		}
	}
}

// guarded returns a peer that must prove a token.
func (w *world) guarded(token []byte, conn bool) *rawpeer.Peer {
	a, b := transport.Pipe()
	if conn {
		a, b = w.wires()
	}
	w.Serve(b, token)
	p := rawpeer.New(a).Start()
	w.peers = append(w.peers, p)
	return p
}

// TestLaterControl asks what is not known, and what is known with elements of a later version.
func TestLaterControl(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		p := w.join("later").Register(t, "Svc", "M")
		for _, op := range []uint8{0, 42, 127, 255} {
			for _, more := range [][]byte{nil, {0xc0}, make([]byte, 60_000)} {
				ask := func(e *codec.Encoder) {
					e.Array(2)
					e.Uint8(op)
					e.Blob(more)
				}
				f := p.Ask(t, ask, control.OpOK, nil)
				require.NotNil(t, f)
				require.Equal(t, control.Failure{Code: unimplemented, Outcome: notRun, Message: fmt.Sprintf("the controller does not know the control message %d", op)}, *f)
				p.Send(frame{Header: header{Kind: transport.Control}, Payload: encode(ask)}) // nobody waits for an answer
			}
		}
		// One element more in the message and in each row of it.
		var routes control.Routes
		require.Nil(t, p.Ask(t, func(e *codec.Encoder) {
			e.Array(4)
			e.Uint8(uint8(control.OpResolve))
			e.String("Svc")
			e.Array(1)
			e.Array(4)
			e.String("M")
			e.String("sig")
			e.Uint32(0)
			e.Map(1)
			e.String("later")
			e.Array(2)
			e.Nil()
			e.Bool(true)
			e.String("later")
		}, control.OpRoutes, &routes))
		require.Len(t, routes.Routes, 1)
		// One less, as an earlier version would.
		var table control.Found
		require.Nil(t, p.Ask(t, func(e *codec.Encoder) { e.Array(1); e.Uint8(uint8(control.OpFind)) }, control.OpFound, &table))
		require.Zero(t, table.Session)
		if f, ok := p.Poll(); ok {
			t.Fatalf("%v was not asked for", f.Kind)
		}
	})
}

// TestLaterModes refuses the calls and keeps the link. Features, flags and fields that a kind does not use are not looked at.
func TestLaterModes(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		for i, mode := range []transport.Mode{128, 128 | transport.Oneway, 128 | transport.Input | transport.Output} {
			for j, large := range []transport.Flags{0, transport.Large} {
				id := transport.CallID(uint32(i), uint64(j+1))
				caller.Send(frame{Header: header{Kind: transport.Request, Flags: large, Call: id, Route: route, Mode: mode}, Payload: make([]byte, 4)})
				f := caller.Failed(t, id)
				require.Equal(t, failedPrecondition, f.Code)
				require.Equal(t, reasonShape, f.Reason)
				require.Equal(t, notRun, f.Outcome)
				require.Contains(t, f.Message, fmt.Sprintf("the mode %d, which this controller does not know", mode&128))
			}
		}
		id := transport.CallID(9, 1)
		caller.Send(frame{Header: header{Kind: transport.Request, Flags: transport.Optional | transport.More | transport.Broken, Call: id, Route: route}, Payload: []byte("x")})
		served := callee.Served(t)
		require.Equal(t, "x", string(served.Payload))
		callee.Send(frame{Header: header{Kind: transport.Reply, Flags: transport.Optional | transport.More, Mode: 255, Depth: 255, Route: 9, Peer: 9, Call: served.Call, Arg: 9}, Payload: []byte("y")})
		f := caller.Expect(t, transport.Reply)
		require.Equal(t, "y", string(f.Payload))
		require.Zero(t, f.Flags&transport.Optional, "it is of one link")
		caller.Send(frame{Header: header{Kind: transport.Ping, Flags: 0xff &^ transport.Large, Call: 9, Route: 9, Peer: 9, Mode: 255, Arg: 5}, Payload: make([]byte, 1000)})
		require.Equal(t, header{Kind: transport.Pong, Arg: 5}, caller.Expect(t, transport.Pong).Header)
	})
}
