package controller

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func caught(t *testing.T, p *rawpeer.Peer, prefix string) *control.Failure {
	t.Helper()
	return p.Ask(t, (&control.Catch{Prefix: prefix}).Append, control.OpOK, nil)
}

// TestE16Introduced follows what a node that takes unknown methods is told of them.
func TestE16Introduced(t *testing.T) {
	w := start(t, Options{})
	node, caller := w.join("node"), w.join("caller")
	require.Nil(t, caught(t, node, "S"))
	why := caught(t, node, "S")
	require.NotNil(t, why)
	require.Equal(t, alreadyExists, why.Code)
	require.Equal(t, invalidArgument, caught(t, node, "no name").Code)

	route := caller.Route(t, "S.deep", "M", "()()")
	id := caller.Call(route, 1, 1, "\x90")
	f := node.Expect(t, transport.Control)
	require.Zero(t, f.Call)
	var d codec.Decoder
	d.Reset(f.Payload)
	require.Equal(t, control.OpIntroduce, control.ReadOp(&d))
	var m control.Introduce
	require.NoError(t, m.Read(&d))
	require.Equal(t, control.Introduce{Number: control.Introduced | route, Service: "S.deep", Method: "M", Sig: "()()"}, m)
	f = node.Served(t)
	require.Equal(t, m.Number, f.Route)
	node.Reply(f.Call, "\x90")
	require.Equal(t, id, caller.Expect(t, transport.Reply).Call)

	// Once is enough.
	caller.Call(route, 1, 2, "\x90")
	f = node.Served(t)
	require.Equal(t, m.Number, f.Route)
	node.Reply(f.Call, "\x90")
	caller.Expect(t, transport.Reply)

	require.Nil(t, node.Ask(t, (&control.Uncatch{Prefix: "S"}).Append, control.OpOK, nil))
	require.Nil(t, node.Ask(t, (&control.Uncatch{Prefix: "S"}).Append, control.OpOK, nil))
	id = caller.Call(route, 1, 3, "\x90")
	failed := caller.Failed(t, id)
	require.Equal(t, reasonNoProvider, failed.Reason)
	require.Zero(t, w.catching.Load())
	require.Empty(t, w.catchers)

	require.Nil(t, caught(t, node, "")) // which goes with the node
}

// TestE16IntroducedAtMost calls as many unknown methods as a node may be told of, and one more.
func TestE16IntroducedAtMost(t *testing.T) {
	w := start(t, Options{})
	node, caller := w.join("node"), w.join("caller")
	require.Nil(t, caught(t, node, ""))
	var route uint32
	for i := range maxIntroduced {
		route = caller.Route(t, "S", fmt.Sprintf("M%d", i), "()()")
		caller.Call(route, 1, uint64(i+1), "\x90")
		node.Expect(t, transport.Control)
		node.Reply(node.Served(t).Call, "\x90")
		caller.Expect(t, transport.Reply)
	}
	caller.Call(route, 1, maxIntroduced+1, "\x90")
	node.Reply(node.Served(t).Call, "\x90")
	caller.Expect(t, transport.Reply)
	other := w.join("other") // whose call the first one has to make room for
	other.Call(other.Route(t, "S", "Further", "()()"), 1, 1, "\x90")
	node.Expect(t, transport.Control)
	node.Reply(node.Served(t).Call, "\x90")
	other.Expect(t, transport.Reply)
	for i, c := range []struct {
		method string
		again  bool
	}{{"M1", false}, {"M0", true}, {"M1", true}} {
		other.Call(other.Route(t, "S", c.method, "()()"), 1, uint64(i+2), "\x90")
		if c.again {
			node.Expect(t, transport.Control)
		}
		node.Reply(node.Served(t).Call, "\x90")
		other.Expect(t, transport.Reply)
	}
}

// TestE16CaughtAtMost takes as many prefixes as a node may, and one more.
func TestE16CaughtAtMost(t *testing.T) {
	w := start(t, Options{})
	node := w.join("node")
	for i := range maxCaught {
		require.Nil(t, caught(t, node, fmt.Sprintf("P%d", i)))
	}
	why := caught(t, node, "Further")
	require.NotNil(t, why)
	require.Equal(t, reasonLimit, why.Reason)
}
