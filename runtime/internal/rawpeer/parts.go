package rawpeer

import (
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Guest is how a node answers a controller until it has joined. What it sends afterwards is up to whoever has it.
type Guest struct {
	Hello transport.HelloPayload
	Token []byte

	Welcome transport.WelcomePayload   // once joined
	Secret  [transport.ProofSize]byte  // of the link, for a Resume
	Joined  bool                       // the Welcome has come
	Refused *transport.RefusePayload   // or this
	Offered transport.ChallengePayload // what the controller has asked for
}

// First is the frame that a node begins with.
func (g *Guest) First() transport.Frame {
	return transport.Frame{Header: transport.Header{Kind: transport.Hello}, Payload: transport.AppendHello(nil, &g.Hello)}
}

// Answer is what a node says to a frame of the handshake.
func (g *Guest) Answer(f *transport.Frame) []transport.Frame {
	switch f.Kind {
	case transport.Challenge:
		c, err := transport.ParseChallenge(f.Payload)
		if err != nil {
			return nil
		}
		g.Offered = c
		hello := transport.AppendHello(nil, &g.Hello)
		g.Secret = transport.ResumeSecret(g.Token, hello, f.Payload)
		var proof [transport.ProofSize]byte
		switch c.Auth {
		case transport.AuthToken:
			proof = transport.NodeProof(g.Token, hello, f.Payload)
		case transport.AuthTokenTLS:
			copy(proof[:], g.Token)
		}
		return []transport.Frame{{Header: transport.Header{Kind: transport.Proof}, Payload: transport.AppendProof(nil, proof)}}
	case transport.Welcome:
		w, err := transport.ParseWelcome(f.Payload)
		g.Welcome, g.Joined = w, err == nil
	case transport.Refuse:
		if r, err := transport.ParseRefuse(f.Payload); err == nil {
			g.Refused = &r
		}
	}
	return nil
}

// Host is how a controller answers a node that joins it, and what it asks then: each method has a route, from 1 in the order of the first question, and is
// called by it. What else it sends is up to whoever has it.
type Host struct {
	Token    []byte
	Features uint8  // that it takes up
	Session  uint32 // that it gives the node
	Name     string

	hello, challenge []byte
	Secret           [transport.ProofSize]byte // of the link, for a Resume
	Controller       [16]byte                  // its incarnation
}

// Answer is what a controller says to f: nothing to the frames of calls.
func (h *Host) Answer(f *transport.Frame) []transport.Frame {
	switch f.Kind {
	case transport.Hello:
		c := transport.ChallengePayload{Features: h.Features}
		h.hello = append([]byte(nil), f.Payload...)
		if h.Token != nil {
			c.Auth = transport.AuthToken
			c.Proof = transport.ControllerProof(h.Token, h.hello, transport.AppendChallengeWithoutProof(nil, &c))
		}
		h.challenge = transport.AppendChallenge(nil, &c)
		h.Secret = transport.ResumeSecret(h.Token, h.hello, h.challenge)
		return []transport.Frame{{Header: transport.Header{Kind: transport.Challenge}, Payload: h.challenge}}
	case transport.Proof:
		w := transport.WelcomePayload{Session: max(h.Session, 1), Incarnation: h.Controller, Ping: time.Minute, Dead: time.Hour, MessageLimit: 1 << 20, Name: h.Name}
		return []transport.Frame{{Header: transport.Header{Kind: transport.Welcome}, Payload: transport.AppendWelcome(nil, &w)}}
	case transport.Control:
		return h.control(f)
	}
	return nil
}

func (h *Host) control(f *transport.Frame) []transport.Frame {
	var d codec.Decoder
	var e codec.Encoder
	d.Reset(f.Payload)
	routes := func(methods []control.Method) {
		var a control.Routes
		for i := range methods {
			a.Routes = append(a.Routes, control.Route{Number: uint32(i + 1)})
		}
		a.Append(&e)
	}
	switch control.ReadOp(&d) {
	case control.OpRegister, control.OpDescribe, control.OpAbout, control.OpUnregister, control.OpCatch:
		control.AppendPlain(&e, control.OpOK)
	case control.OpResolve:
		var q control.Resolve
		if q.Read(&d) != nil {
			return nil
		}
		routes(q.Methods)
	case control.OpSelect:
		var q control.Select
		if q.Read(&d) != nil {
			return nil
		}
		routes(q.Methods)
	default:
		return nil
	}
	return []transport.Frame{{Header: transport.Header{Kind: transport.Control, Call: f.Call}, Payload: e.Bytes()}}
}
