package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/e2e/probe"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

// toldWithin is how soon a caller on a unix socket must know that a process is gone: less than half of what the keepalive takes, on a machine that does many things at once. On
// other links it is logged only.
const toldWithin = 2500 * time.Millisecond

var (
	nodeLost = &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNodeLost}
	linkLost = &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonLinkLost}
)

// holding makes a call that lasts, and returns when its handler runs.
func holding(t *testing.T, provider *process, p probe.Probe) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	ctx := soon(t)
	go func() { ended <- p.Hold(ctx) }()
	provider.wait("holding")
	return ended
}

// told kills a process and returns how the call ended. On a unix socket that must be soon after the system has closed what the process
// had open, its sockets and its standard output: what a busy system takes to end a process is not counted.
func told(t *testing.T, network string, victim *process, ended <-chan error) error {
	t.Helper()
	require.NoError(t, victim.cmd.Process.Kill())
	err := <-ended
	now := time.Now()
	<-victim.exited
	after := now.Sub(victim.out.at)
	t.Logf("%s: the caller was told after %v", network, after)
	if network == "unix" {
		require.Less(t, after, toldWithin)
	}
	return err
}

// echo demands that a call works, at the first attempt.
func echo(t *testing.T, p probe.Probe) {
	t.Helper()
	b, err := p.Echo(soon(t), []byte("still there?"))
	require.NoError(t, err)
	require.Equal(t, "still there?", string(b))
}

func TestServiceKilled(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			addr := address(t, network)
			controllerAt(t, addr)
			first := start(t, "provider", "-addr", addr)
			first.wait("ready")
			p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}))
			echo(t, p)

			err := told(t, network, first, holding(t, first, p))
			require.ErrorIs(t, err, nodeLost)
			require.Equal(t, daffi.MayHaveRun, daffi.OutcomeOf(err))

			_, err = p.Echo(soon(t), nil)
			require.ErrorIs(t, err, &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNoProvider})
			require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))

			second := start(t, "provider", "-addr", addr) // under the same name
			second.wait("ready")
			echo(t, p)
			second.stop()
		})
	}
}

// What had arrived of a stream before its provider was killed is yielded, then the error.
func TestServiceKilledMidStream(t *testing.T) {
	addr := address(t, "unix")
	controllerAt(t, addr)
	provider := start(t, "provider", "-addr", addr)
	provider.wait("ready")
	p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}))
	const n = 1000
	next := 0
	var ended error
	for i, err := range p.Count(soon(t), n) {
		if err != nil {
			ended = err
			break
		}
		require.Equal(t, next, i)
		if next++; next == n {
			provider.wait("holding")
			provider.kill()
		}
	}
	require.Equal(t, n, next)
	require.ErrorIs(t, ended, nodeLost)
}

// A service with an embedded controller takes the controller with it.
func TestServiceKilledWithController(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			addr := address(t, network)
			first := start(t, "provider", "-addr", addr, "-embedded")
			first.wait("ready")
			p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}))
			err := told(t, network, first, holding(t, first, p))
			require.ErrorIs(t, err, linkLost)
			require.Equal(t, daffi.MayHaveRun, daffi.OutcomeOf(err))

			second := start(t, "provider", "-addr", addr, "-embedded")
			second.wait("ready")
			echo(t, p) // waits for the link, within its context
			second.stop()
		})
	}
}

func TestD63ControllerKilled(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			addr := address(t, network)
			first := controllerAt(t, addr)
			provider := start(t, "provider", "-addr", addr)
			provider.wait("ready")
			node := connect(t, daffi.Options{Addr: addr})
			p := probe.NewProbe(node)
			err := told(t, network, first, holding(t, provider, p))
			require.ErrorIs(t, err, linkLost)
			require.Equal(t, daffi.MayHaveRun, daffi.OutcomeOf(err))

			second := controllerAt(t, addr)
			require.NoError(t, node.WaitMethod(soon(t), probe.ProbeEchoMethod)) // both join again by themselves
			echo(t, p)
			provider.stop()
			second.stop()
		})
	}
}

// After SIGTERM a service takes no more calls, ends those that run, and exits with 0.
func TestDrain(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr := address(t, network)
			controllerAt(t, addr)
			provider := start(t, "provider", "-addr", addr)
			provider.wait("ready")
			node := connect(t, daffi.Options{Addr: addr})
			p := probe.NewProbe(node)
			ended := holding(t, provider, p)
			provider.terminate()
			provider.wait("draining")

			ctx := soon(t)
			for { // until the controller knows
				_, err := p.Echo(ctx, nil)
				if err != nil {
					require.Equal(t, daffi.Unavailable, daffi.CodeOf(err), err)
					require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err), err)
					break
				}
			}
			select {
			case err := <-ended:
				t.Fatalf("the running call ended early: %v", err)
			default:
			}
			_, err := provider.stdin.Write([]byte("go on\n"))
			require.NoError(t, err)
			require.NoError(t, <-ended)
			require.Zero(t, provider.code())
		})
	}
}

// The end of a caller's context reaches the handler in the other process: it has nothing else to end it.
func TestDeadline(t *testing.T) {
	t.Parallel()
	addr := address(t, "unix")
	controllerAt(t, addr)
	provider := start(t, "provider", "-addr", addr)
	provider.wait("ready")
	p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.Hold(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	provider.stop() // does not wait for the handler, since it has ended
}
