// Package daffitest is what tests of code that uses daffi import: a controller in memory, and nodes that have joined it.
//
//	net := daffitest.New(t)
//	server, client := net.Node("server"), net.Node("client")
//
// No socket is opened and no time passes but what the test lets pass, so it works inside a testing/synctest bubble. Everything is closed
// when the test ends, and a node that cannot be closed in time fails the test.
package daffitest

import (
	"context"
	"testing"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// joinTimeout bounds what takes microseconds in memory.
const joinTimeout = 10 * time.Second

// Net is a controller in memory.
type Net struct {
	// Controller is the controller itself, for what the methods of Net do not do.
	Controller *controller.Controller

	t testing.TB
}

// New starts a controller that ends with the test.
func New(t testing.TB) *Net {
	t.Helper()
	return With(t, controller.Options{})
}

// With is New with options. They must not name an address: there is none.
func With(t testing.TB, o controller.Options) *Net {
	t.Helper()
	n := &Net{Controller: controller.New(o), t: t}
	t.Cleanup(func() {
		if err := n.Controller.Close(); err != nil {
			t.Errorf("close the controller: %v", err)
		}
	})
	return n
}

// Node returns a node of that name that has joined.
func (n *Net) Node(name string) *daffi.Node {
	n.t.Helper()
	return n.NodeWith(daffi.Options{Name: name})
}

// NodeWith is Node with options; their Controller is set here.
func (n *Net) NodeWith(o daffi.Options) *daffi.Node {
	n.t.Helper()
	o.Controller = n.Controller
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	node, err := daffi.Connect(ctx, o)
	if err != nil {
		n.t.Fatalf("join %s: %v", o.Name, err)
	}
	n.t.Cleanup(func() {
		if err := node.Close(); err != nil {
			n.t.Errorf("close %s: %v", o.Name, err)
		}
	})
	return node
}
