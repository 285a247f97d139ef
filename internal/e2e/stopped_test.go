//go:build unix

package e2e

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/e2e/probe"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// onlyNight skips a test of figures.
func onlyNight(t *testing.T) {
	t.Helper()
	if os.Getenv("DAFFI_NIGHT") == "" || len(buildFlags) > 0 {
		t.Skip("only make night runs it: it takes minutes, or its figures need a machine with nothing else to do, and no race detector")
	}
}

// freeze stops a program as SIGSTOP does, until it is let go on.
func (p *process) freeze() (goOn func()) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	var ws syscall.WaitStatus // all its threads have stopped when the parent is told
	_, err := syscall.Wait4(p.cmd.Process.Pid, &ws, syscall.WUNTRACED, nil)
	require.NoError(p.t, err)
	require.True(p.t, ws.Stopped())
	goOn = sync.OnceFunc(func() { p.cmd.Process.Signal(syscall.SIGCONT) })
	p.t.Cleanup(goOn)
	return goOn
}

// A node that was stopped for so long that the controller holds it for dead does not run what came for it meanwhile: callers were told that it is gone (SEM-5).
func TestStoppedNodeDropsWhatCameMeanwhile(t *testing.T) {
	const ping, dead = time.Second, 3 * time.Second // on a busy machine nobody is silent for so long
	for name, later := range map[string]time.Duration{
		"longer than it waits for the controller": dead, // the end of the connection lies behind the calls for that long
		"only longer than the controller waits":   0,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			addr := address(t, "unix")
			ctl, err := controller.Listen(t.Context(), controller.Options{Addr: addr, PingInterval: ping, DeadInterval: dead})
			require.NoError(t, err)
			t.Cleanup(func() { ctl.Close() })
			provider := start(t, "provider", "-addr", addr)
			provider.wait("ready")
			node := connect(t, daffi.Options{Addr: addr})
			p := probe.NewProbe(node)
			echo(t, p)
			time.Sleep(ping * 3 / 4)
			holds := []<-chan error{holding(t, provider, p)} // the node hears this, and the controller hears nothing

			goOn := provider.freeze()
			for range 50 {
				ended := make(chan error, 1)
				holds = append(holds, ended)
				ctx := soon(t)
				go func() { ended <- p.Prepare().Hold().Do(ctx) }()
			}
			for _, ended := range holds {
				if err := <-ended; !errors.Is(err, nodeLost) {
					require.ErrorIs(t, err, noProvider)
				}
			}
			time.Sleep(later)
			goOn()
			require.NoError(t, node.WaitMethod(soon(t), "Probe.Hold"))
			echo(t, p)
			require.Equal(t, 1, strings.Count(provider.out.String(), "holding"))
			provider.stop()
		})
	}
}

var noProvider = &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNoProvider}

// ACC-23: calls to one node go on as before while another one is stopped and others call it without end.
func TestStoppedNodeHarmsNobody(t *testing.T) {
	onlyNight(t)
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) { stoppedNode(t, network) })
	}
}

func stoppedNode(t *testing.T, network string) {
	addr := address(t, network)
	ctl := controllerAt(t, addr)
	good := start(t, "provider", "-addr", addr, "-name", "good")
	bad := start(t, "provider", "-addr", addr, "-name", "bad")
	good.wait("ready")
	bad.wait("ready")
	p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}), daffi.To("good"))
	flooder := connect(t, daffi.Options{Addr: addr})
	q := probe.NewProbe(flooder, daffi.To("bad"))

	before := ctl.resident(t)
	var ratios []float64     // of rounds, so that what else the machine does meanwhile matters less
	var told [3]atomic.Int64 // busy, deadline, gone
	for range 5 {
		quiet := rate(t, p, 2*time.Second)
		goOn := bad.freeze()
		stopped := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 200 { // a good part of them finds no room
			flood.Go(func() { callStopped(ctx, t, q, &told) })
		}
		time.Sleep(time.Second) // the queue is full
		beside := rate(t, p, 2*time.Second)
		ratios = append(ratios, beside/quiet)
		held := ctl.resident(t) - before
		require.Less(t, held, 8<<20+slack, "bytes held for a node that takes nothing")
		line := ctl.waitLog(`msg="node lost" node=bad`)
		t.Logf("others made %.0f calls a second, and %.0f beside the stopped node; held %d KiB for it; ended after %v: %s",
			quiet, beside, held>>10, time.Since(stopped).Round(time.Second/10), line[strings.Index(line, "msg="):])
		require.Less(t, time.Since(stopped), 16*time.Second)
		cancel()
		flood.Wait()
		goOn()
		wait, stop := context.WithTimeout(t.Context(), patience)
		require.NoError(t, flooder.WaitNode(wait, "bad"))
		stop()
	}
	slices.Sort(ratios)
	t.Logf("%.1f %% of the rate beside the stopped node; its callers were told busy %d times, deadline %d, gone %d", 100*ratios[len(ratios)/2], told[0].Load(), told[1].Load(), told[2].Load())
	require.Greater(t, ratios[len(ratios)/2], 0.95)
}

// slack is what a process's memory may grow by itself.
const slack = 16 << 20

// callStopped calls a node that does not answer, until ctx ends, and counts what it is told.
func callStopped(ctx context.Context, t *testing.T, p probe.Probe, told *[3]atomic.Int64) {
	b := make([]byte, 32<<10)
	for ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		_, err := p.Echo(ctx, b)
		cancel()
		switch code := daffi.CodeOf(err); code {
		case daffi.ResourceExhausted:
			told[0].Add(1)
			time.Sleep(500 * time.Millisecond) // what is measured is whether others are held up, not whether they have less of the processors
		case daffi.DeadlineExceeded:
			told[1].Add(1)
		case daffi.Unavailable:
			told[2].Add(1)
			time.Sleep(500 * time.Millisecond)
		case daffi.Canceled:
		default:
			t.Errorf("a caller of the stopped node got %v", err)
		}
	}
}

// rate is how many calls a second four callers make.
func rate(t *testing.T, p probe.Probe, d time.Duration) float64 {
	t.Helper()
	var n atomic.Int64
	var callers sync.WaitGroup
	begun := time.Now()
	for range 4 {
		callers.Go(func() {
			for time.Since(begun) < d {
				if _, err := p.Echo(t.Context(), make([]byte, 64)); err != nil {
					t.Errorf("a caller of another node got %v", err)
					return
				}
				n.Add(1)
			}
		})
	}
	callers.Wait()
	return float64(n.Load()) / time.Since(begun).Seconds()
}

// resident is the memory of a program, in bytes.
func (p *process) resident(t *testing.T) int { return p.memory(t, "VmRSS:") }

func (p *process) memory(t *testing.T, which string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the memory of a process is not to be had here")
	}
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, which); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return n << 10
		}
	}
	t.Fatalf("no %s", which)
	return 0
}
