package daffi_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

func TestD67StopNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		allowed, asked := func(name string) *daffi.Node {
			return net.NodeWith(daffi.Options{Name: name, AllowRemoteStop: true})
		}, 0
		a, busy, shut := allowed("a"), allowed("busy"), net.Node("shut")
		polite := net.NodeWith(daffi.Options{Name: "polite", AllowRemoteStop: true, OnStopRequest: func() bool { asked++; return asked > 1 }})
		_, err := testkit.RegisterKit(busy, new(testkit.Impl))
		require.NoError(t, err)
		running := waiting(func() error { return testkit.NewKit(shut).Block(t.Context()) })

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		left, err := net.Controller.StopNodes(ctx, nil)
		require.Equal(t, []string{"busy", "polite", "shut"}, left)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "busy: is still there, polite: has refused (by OnStopRequest), shut: does not allow it")
		<-a.Done()
		require.Equal(t, daffi.StateDraining, busy.State())
		requireWaiting(t, running)

		left, err = net.Controller.StopNodes(t.Context(), func(name string) bool { return name != "shut" }) // waits for what was asked before
		require.Empty(t, left)
		require.NoError(t, err)
		require.Error(t, <-running, "it was given DrainTimeout")
		require.Equal(t, 2, asked)
		<-busy.Done()
		<-polite.Done()
		require.Equal(t, daffi.StateReady, shut.State())
	})
}

// What chooses the nodes may ask the controller, and what it does wrong is its own.
func TestD67StopNodesAsksWithoutALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		n := net.NodeWith(daffi.Options{Name: "n", AllowRemoteStop: true})
		require.PanicsWithValue(t, "boom", func() { net.Controller.StopNodes(t.Context(), func(string) bool { panic("boom") }) })
		left, err := net.Controller.StopNodes(t.Context(), func(string) bool { return net.Controller.Stats().Nodes == 1 })
		require.NoError(t, err)
		require.Empty(t, left)
		<-n.Done()
	})
}

// A node that runs until it is stopped returns from Run when it has left.
func TestD67RunReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		n := daffi.New(daffi.Options{Name: "n", Controller: net.Controller, AllowRemoteStop: true, Labels: map[string]string{"zone": "eu"}})
		ran := waiting(func() error { return n.Run(t.Context()) })
		left, err := net.Controller.StopNodes(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, left)
		require.NoError(t, <-ran)
	})
}

func TestD11OnNodeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(logbook)
		ctl := controller.New(controller.Options{
			OnNodeJoined: func(name string) { d.add(name + " joined") },
			OnNodeLeft:   func(name string, why controller.LeftReason) { d.add(fmt.Sprint(name, " left: ", why)) },
		})
		w := &wire{ctl: ctl}
		a := connect(t, daffi.Options{Name: "a", Controller: w})
		require.Equal(t, []string{"a joined"}, d.take())
		w.last().Close()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"a left: lost", "a joined"}, d.take())
		w.last().Stall(true)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"a left: silent", "a joined"}, d.take())
		require.NoError(t, a.Close())
		require.Equal(t, []string{"a left: goodbye"}, d.take())
		b := connect(t, daffi.Options{Name: "b", Controller: w})
		require.Equal(t, []string{"b joined"}, d.take())
		require.NoError(t, ctl.Close())
		require.Equal(t, []string{"b left: closed"}, d.take())
		require.NoError(t, b.Close())
	})
}

// A hook that blocks holds up no node, and is told afterwards how things are.
func TestD11SlowHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, free := new(logbook), make(chan struct{})
		net := daffitest.With(t, controller.Options{
			OnNodeJoined: func(name string) { d.add(name + " joined"); <-free; panic("of a hook") },
			OnNodeLeft:   func(name string, why controller.LeftReason) { d.add(fmt.Sprint(name, " left: ", why)) },
		})
		net.Node("a")
		for range 5 {
			require.NoError(t, net.Node("b").Close())
			c := net.Node("c")
			time.Sleep(time.Second)
			require.NoError(t, c.Close())
		}
		net.Node("c")
		require.Equal(t, []string{"a joined"}, d.take())
		close(free)
		require.Equal(t, []string{"c joined"}, d.take())
	})
}

// A connection that is resumed is nobody's leaving.
func TestD11ResumedHasNotLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, o := new(logbook), resuming()
		o.OnNodeJoined = func(name string) { d.add(name + " joined") }
		o.OnNodeLeft = func(name string, why controller.LeftReason) { d.add(fmt.Sprint(name, " left: ", why)) }
		l := newLine(t, o)
		n := connect(t, l.options("n"))
		node, _ := l.last()
		node.Close()
		time.Sleep(testGrace)
		require.Equal(t, []string{"n joined"}, d.take())
		require.NoError(t, n.Close())
		require.Equal(t, []string{"n left: goodbye"}, d.take())
	})
}
