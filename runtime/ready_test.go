package daffi_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit/skewed"
)

// waiting starts wait and returns where its end comes.
func waiting(wait func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	synctest.Wait()
	return done
}

func requireWaiting(t *testing.T, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		require.FailNow(t, "does not wait", "%v", err)
	default:
	}
}

func TestD19WaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client := net.Node("client")
		p, named := testkit.NewKit(client), testkit.NewKit(client, daffi.To("b"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.WaitReady(ctx)
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
		require.ErrorContains(t, err, "providers of Kit")

		any, one := waiting(func() error { return p.WaitReady(t.Context()) }), waiting(func() error { return named.WaitReady(t.Context()) })
		requireWaiting(t, any)
		a := net.Node("a")
		_, err = testkit.RegisterKit(a, new(testkit.Impl))
		require.NoError(t, err)
		require.NoError(t, <-any)
		_, err = p.Echo(t.Context(), nil)
		require.NoError(t, err)
		requireWaiting(t, one)
		b := net.Node("b")
		_, err = testkit.RegisterKit(b, new(testkit.Impl))
		require.NoError(t, err)
		require.NoError(t, <-one)
		_, err = named.Echo(t.Context(), nil)
		require.NoError(t, err)

		require.NoError(t, a.Shutdown(t.Context()))
		require.NoError(t, b.Shutdown(t.Context()))
		again := waiting(func() error { return p.WaitReady(t.Context()) })
		requireWaiting(t, again)
		_, err = testkit.RegisterKit(client, new(testkit.Impl)) // a node that is alone serves itself
		require.NoError(t, err)
		require.NoError(t, <-again)
		_, err = p.Echo(t.Context(), nil)
		require.NoError(t, err)
	})
}

// WaitMethod waits for a name, WaitReady for somebody who can be called.
func TestD19WaitReadyWaitsForTheRightVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		other, err := testkit.RegisterKit(server, new(testkit.Impl), daffi.As("SkewedKit"))
		require.NoError(t, err)
		require.NoError(t, client.WaitMethod(t.Context(), "SkewedKit.Echo"))
		p := skewed.NewKit(client)
		done := waiting(func() error { return p.WaitReady(t.Context()) })
		requireWaiting(t, done)
		require.NoError(t, other.Close())
		requireWaiting(t, done)
		require.NoError(t, client.Close())
		requireError(t, <-done, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
	})
}

func TestD19WaitReadyGoesOnOverALostLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		client := connect(t, daffi.Options{Name: "client", Controller: w})
		p := testkit.NewKit(client)
		done := waiting(func() error { return p.WaitReady(t.Context()) })
		w.last().Close()
		requireWaiting(t, done)
		server := connect(t, daffi.Options{Name: "server", Controller: w})
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		require.NoError(t, <-done)
	})
}

// An event needs a provider that is another node.
func TestD19WaitReadyOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		a, b := net.Node("a"), net.Node("b")
		client := daffi.Client{Service: "Kit", Methods: []daffi.Method{{Name: "Note", Sig: "(string)()", Oneway: true, Event: true}}}
		_, err := testkit.RegisterKit(a, new(testkit.Impl))
		require.NoError(t, err)
		done := waiting(func() error { return daffi.Bind(a, &client).WaitReady(t.Context()) })
		requireWaiting(t, done)
		require.NoError(t, daffi.Bind(b, &client).WaitReady(t.Context()))
		_, err = testkit.RegisterKit(b, new(testkit.Impl))
		require.NoError(t, err)
		require.NoError(t, <-done)
	})
}
