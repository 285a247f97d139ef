package controller

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// trickling is a connection that, once told so, reads some bytes each second.
type trickling struct {
	net.Conn
	on atomic.Bool
}

func (c *trickling) Read(p []byte) (int, error) {
	if c.on.Load() {
		time.Sleep(time.Second)
		p = p[:min(len(p), 100)]
	}
	return c.Conn.Read(p)
}

// trickler joins a node that reads so slowly when it is told to.
func (w *world) trickler(name, service string) (*rawpeer.Peer, *trickling) {
	x, y := net.Pipe()
	c := &trickling{Conn: x}
	info := transport.Info{Network: "tcp", Remote: "test", Local: true, UID: -1}
	w.Serve(transport.NewConn(y, info), nil)
	p := rawpeer.New(transport.NewConn(c, info)).Start()
	w.peers = append(w.peers, p)
	return p.Join(w, name).Register(w, service, "M"), c
}

// quiet is a controller that asks nobody whether it is there.
func quiet(l Limits) Options {
	return Options{PingInterval: 10 * time.Hour, DeadInterval: 20 * time.Hour, Limits: l}
}

// A node takes some bytes each second of what waits for it, which is so much that nobody is let in any more. It loses its link when it has needed as long for that as another may take nothing, and not before, and then
// calls are let in again. Its callers are told, and a node that keeps up has not noticed.
func TestLIM75NodeThatTakesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, quiet(Limits{Memory: 2 << 20, ProcessMemory: -1}))
		caller, callee, route := w.pair()
		_, slow := w.trickler("slow", "Slow")
		to := caller.Route(t, "Slow", "M", "sig")
		slow.on.Store(true)
		taken := uint32(0)
		for w.Stats().Shed == 0 {
			require.Less(t, taken, uint32(60))
			caller.Call(to, taken, 1, strings.Repeat("x", 60<<10))
			taken++
			synctest.Wait()
		}
		require.Equal(t, reasonOverloaded, caller.Failed(t, transport.CallID(taken-1, 1)).Reason)
		time.Sleep(transport.StallTimeout - reliefPause)
		caller.Call(route, 100, 1, "too early")
		require.Equal(t, reasonOverloaded, caller.Failed(t, transport.CallID(100, 1)).Reason)
		require.Equal(t, 3, w.Stats().Nodes)
		time.Sleep(3 * reliefPause)
		require.Equal(t, 2, w.Stats().Nodes)
		for range taken - 1 {
			require.Equal(t, reasonNodeLost, rawpeer.Failure(t, caller.Expect(t, transport.Error)).Reason)
		}
		time.Sleep(reliefPause)
		caller.Call(route, 101, 1, "in time")
		callee.Served(t)
		time.Sleep(time.Minute)
		require.False(t, w.looked())
	})
}

// What was granted before may still come when memory is short. At the bound the node for which most is held loses its link at once, and no other.
func TestLIM75AtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		w := start(t, quiet(Limits{Memory: most, ProcessMemory: -1}))
		caller, callee, route := w.pair()
		greedy, deaf := w.trickler("greedy", "Greedy")
		call := transport.CallID(1, 1)
		caller.Send(frame{Header: header{Kind: transport.Request, Call: call, Route: caller.Route(t, "Greedy", "M", "sig"), Mode: transport.Input}})
		asked := greedy.Served(t)
		greedy.Send(frame{Header: header{Kind: transport.Credit, Call: asked.Call, Arg: transport.MaxCredit}}, frame{Header: header{Kind: transport.Credit, Call: asked.Call, Arg: transport.MaxCredit}})
		caller.Expect(t, transport.Credit)
		caller.Expect(t, transport.Credit)
		deaf.on.Store(true)
		begin := time.Now()
		sent := 0
		for ; w.Stats().Nodes == 3; sent += 60 << 10 {
			require.Less(t, sent, 2*most)
			require.Less(t, w.memory.held(), int64(most+64<<10))
			caller.Send(frame{Header: header{Kind: transport.Data, Flags: transport.Bulk, Call: call}, Payload: make([]byte, 60<<10)})
			time.Sleep(memoryTick + time.Millisecond)
		}
		require.Greater(t, sent, most-64<<10)
		require.Less(t, time.Since(begin), transport.StallTimeout/2)
		require.Equal(t, reasonNodeLost, caller.Failed(t, call).Reason)
		time.Sleep(time.Second)
		caller.Call(route, 101, 1, "in time")
		callee.Served(t)
		require.Equal(t, 2, w.Stats().Nodes)
	})
}

// Nodes whose links resume acknowledge some bytes each second of what they receive. Each is sent no more than it leaves others of what may be kept, and loses its link when it has needed as long for the
// acknowledgement as another may give none; a node that acknowledges has not noticed.
func TestLIM75NodeThatAcknowledgesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		o := quiet(Limits{})
		o.ResumeMemory = most
		w, good := resumable(t, o)
		caller := w.join("caller")
		var evil []*resumer
		for i, name := range []string{"evil-a", "evil-b"} {
			r := w.resumer(name)
			r.Register(t, name, "M")
			route := caller.Route(t, name, "M", "sig")
			for n := range 40 {
				caller.Call(route, uint32(i*100+n), 1, strings.Repeat("x", 30<<10))
			}
			synctest.Wait()
			evil = append(evil, r)
		}
		require.InDelta(t, most*3/4, w.Stats().Kept, 160<<10, "a half, and a half of the rest")
		acked := uint64(0)
		for s := range 9 {
			time.Sleep(time.Second)
			acked += 100
			for _, r := range evil {
				r.Send(frame{Header: header{Kind: transport.Ack, Arg: acked}})
			}
			require.Equal(t, 4, w.Stats().Nodes, "after %d s", s)
		}
		for range 4 {
			time.Sleep(time.Second)
			acked += 100
			for _, r := range evil {
				r.Send(frame{Header: header{Kind: transport.Ack, Arg: acked}})
			}
		}
		require.Equal(t, 2, w.Stats().Nodes)
		synctest.Wait()
		good.alive()
		require.Less(t, w.Stats().Kept, 64<<10)
		time.Sleep(time.Minute)
		require.False(t, w.looked())
	})
}
