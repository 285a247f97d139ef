package controller

import (
	"bytes"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestSEM27ProcessMemory: what is refused at which share of the process's memory, and when that ends.
func TestSEM27ProcessMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var locked sync.Mutex
		var share, garbage, sweeps atomic.Int64
		w := start(t, Options{PingInterval: 10 * time.Hour, DeadInterval: 20 * time.Hour, Logger: slog.New(slog.NewTextHandler(&lockedWriter{mu: &locked, w: &log}, nil))})
		w.memory.process = func() int { return int(share.Load() + garbage.Load()) }
		w.memory.sweep = func() { sweeps.Add(1); garbage.Store(0) }
		w.memory.level.Store(unwatched)
		caller, callee, route := w.pair()
		var n uint64
		call := func(depth uint8) (taken bool) {
			t.Helper()
			n++
			id := transport.CallID(9, n)
			caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Depth: depth}})
			synctest.Wait()
			for f, ok := caller.Poll(); ok; f, ok = caller.Poll() {
				if f.Kind == transport.Error {
					require.Equal(t, control.Failure{Code: resourceExhausted, Reason: reasonOverloaded, Outcome: notRun, Method: "Svc.M", Message: "the controller runs short of memory: call again later"}, rawpeer.Failure(t, f))
					return false
				}
			}
			callee.Reply(callee.Served(t).Call, "x")
			require.Equal(t, "x", string(caller.Expect(t, transport.Reply).Payload))
			return true
		}
		at := func(percent int64, plain, nested bool) {
			t.Helper()
			share.Store(percent)
			call(1)
			time.Sleep(sweepPause + 2*memoryTick)
			synctest.Wait()
			require.Equal(t, plain, call(0), "%d %%", percent)
			time.Sleep(2 * memoryTick)
			require.Equal(t, plain, call(0), "%d %%", percent)
			require.Equal(t, nested, call(1), "%d %%", percent)
		}
		at(0, true, true)
		at(79, true, true)
		require.Zero(t, sweeps.Load())
		time.Sleep(time.Minute)
		require.False(t, w.looked(), "nobody looks while nothing is called")
		require.Equal(t, unwatched, w.memory.level.Load())

		share.Store(60)
		garbage.Store(25)
		require.True(t, call(0))
		time.Sleep(2 * memoryTick)
		require.True(t, call(0), "garbage is no load")
		require.EqualValues(t, 1, sweeps.Load())

		// A call that was taken before ends as usual.
		before := caller.Call(route, 1, 1, "before")
		old := callee.Served(t).Call
		share.Store(80)
		synctest.Wait()
		at(80, false, true)
		callee.Reply(old, "late")
		require.Equal(t, before, caller.Expect(t, transport.Reply).Call)
		w.join("other")
		at(75, false, true)
		at(90, false, false)
		why, err := transport.ParseRefuse(w.peer().Hello(t, transport.HelloPayload{Name: "refused"}, nil).Payload)
		require.NoError(t, err)
		require.Equal(t, transport.RefusePayload{Code: resourceExhausted, Reason: reasonOverloaded, Message: "the controller runs short of memory: join later"}, why)
		at(85, false, false)
		at(79, false, true)
		w.join("another")
		at(69, true, true)
		require.Positive(t, w.Stats().Shed)
		time.Sleep(time.Second)
		require.False(t, w.looked())
		share.Store(math.MaxInt32)
		require.True(t, call(0), "the first has somebody look")
		synctest.Wait()
		require.False(t, call(0))
		share.Store(0)
		time.Sleep(time.Minute)
		require.False(t, w.looked(), "it ends by itself")
		w.end()
		require.Equal(t, 2, strings.Count(log.String(), "memory suffices again"))
		require.Equal(t, 2, strings.Count(log.String(), "calls are refused"), log.String())
		require.Equal(t, 2, strings.Count(log.String(), "calls and nodes are refused"))
	})
}

func (w *world) looked() bool {
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	return w.memory.looks
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(b)
}

// halted is a connection whose reader can be held.
type halted struct {
	net.Conn
	mu sync.Mutex
}

func (c *halted) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.mu.Unlock() //lint:ignore SA2001 it waits
	return c.Conn.Read(p)
}

// testHeldMemory: what waits for a node that takes nothing counts, whoever calls, at once and exactly; it is over when that is gone.
func testHeldMemory(t *testing.T) {
	for _, lost := range []bool{false, true} {
		w := start(t, Options{Limits: Limits{Memory: 2 << 20, ProcessMemory: -1}})
		caller, _, route := w.pair()
		x, y := net.Pipe()
		stop := &halted{Conn: x}
		info := transport.Info{Network: "tcp", Remote: "test", Local: true, UID: -1}
		w.Serve(transport.NewConn(y, info), nil)
		slow := rawpeer.New(transport.NewConn(stop, info)).Start()
		w.peers = append(w.peers, slow)
		slow.Join(t, "slow").Register(t, "Slow", "M")
		to := caller.Route(t, "Slow", "M", "sig")
		payload := strings.Repeat("x", 60<<10)
		stop.mu.Lock()
		taken := uint32(0)
		for w.Stats().Shed == 0 {
			require.Less(t, taken, uint32(60))
			caller.Call(to, taken, 1, payload)
			taken++
			w.eventually(func(st Stats) bool { return st.Calls == int(taken) || st.Shed == 1 }, "the call is neither taken nor refused")
		}
		held := float64(taken-2) * float64(len(payload)+transport.HeaderSize) // the last was refused, and one is being written
		require.InDelta(t, 0.8*(2<<20), held, 2*(64<<10)+float64(len(payload)), "one step of the meter, and a frame")
		require.Equal(t, reasonOverloaded, caller.Failed(t, transport.CallID(taken-1, 1)).Reason)
		caller.Call(route, 100, 1, "to another")
		require.Equal(t, reasonOverloaded, caller.Failed(t, transport.CallID(100, 1)).Reason)
		if lost {
			x.Close()
		}
		stop.mu.Unlock()
		w.eventually(func(st Stats) bool { return st.Queued == 0 && w.memory.level.Load() == watched }, "it is not over")
		if lost {
			for i := range taken - 1 {
				require.Equal(t, reasonNodeLost, caller.Failed(t, transport.CallID(i, 1)).Reason)
			}
		} else {
			for range taken - 1 {
				slow.Reply(slow.Served(t).Call, "")
			}
		}
		w.end()
	}
}

// TestLIM16Defaults: the controller's own share follows the ceiling of the process, and nothing looks at the process where it has none.
func TestLIM16Defaults(t *testing.T) {
	require.EqualValues(t, 128<<20, heldMemory(256<<20))
	require.EqualValues(t, defaultMemory, heldMemory(1<<40))
	require.Nil(t, processShare(0, math.MaxInt64), "the user's own memory is none of our business")
	total, garbage := occupied()
	require.Greater(t, total, garbage)
	require.Positive(t, garbage)
	require.InDelta(t, 50, processShare(2*total, math.MaxInt64)(), 10)
	require.Less(t, processShare(0, 2*total)(), 60)
	c := New(Options{Limits: Limits{ProcessMemory: -1, Memory: -1}})
	require.Nil(t, c.memory.process)
	require.Equal(t, watched, c.memory.level.Load())
	require.NoError(t, c.Close())
	for _, l := range []Limits{{Memory: 1<<20 - 1}, {ProcessMemory: 16<<20 - 1}, {ProcessMemory: 1}} {
		require.ErrorIs(t, build(Options{Limits: l}).check(), errBadOption)
	}
	for _, l := range []Limits{{Memory: 1 << 20}, {ProcessMemory: 16 << 20}, {Memory: math.MaxInt64, ProcessMemory: math.MaxInt64}, {Memory: math.MinInt64, ProcessMemory: math.MinInt64}} {
		require.NoError(t, build(Options{Limits: l}).check())
	}
}
