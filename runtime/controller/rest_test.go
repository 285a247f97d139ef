package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// A stream of which nothing comes is no load: the node gets calls like any other. It is one again while something comes.
func TestD49IdleStreamWeighsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := newClinic(t, w, 2)
		w.mu.Lock()
		holder, other := w.names["n0"], w.names["n1"]
		w.mu.Unlock()
		type stream struct {
			id uint64
			p  *rawpeer.Peer
		}
		var streams []stream
		for range 10 {
			name, id, p := c.send(header{Mode: transport.Output, Peer: c.callees[0].Session})
			require.Equal(t, "n0", name)
			streams = append(streams, stream{id, p})
		}
		require.Equal(t, int64(10), holder.running.Load(), "they have only begun")
		require.Zero(t, c.count(20)["n0"])
		time.Sleep(2*restAfter + 1)
		require.Zero(t, holder.running.Load())
		require.NotZero(t, c.count(100)["n0"])

		item := func(i int) {
			s := streams[i]
			c.caller.Send(frame{Header: header{Kind: transport.Credit, Call: transport.CallID(uint32(i+1), 1), Arg: 1000}})
			synctest.Wait()
			s.p.Send(frame{Header: header{Kind: transport.Data, Call: s.id, Flags: transport.Bulk}, Payload: []byte("x")})
			c.caller.Expect(t, transport.Data)
		}
		for range 5 {
			item(0)
			require.Equal(t, int64(1), holder.running.Load(), "one moves")
			time.Sleep(restAfter / 2)
		}
		time.Sleep(2*restAfter + 1)
		require.Zero(t, holder.running.Load())
		for i, s := range streams { // some rest when they end, one does not
			if i == 5 {
				item(7)
			}
			s.p.Reply(s.id, "")
			c.caller.Expect(t, transport.Reply)
		}
		require.Zero(t, holder.running.Load())
		require.Zero(t, other.running.Load())
		require.NotZero(t, c.count(100)["n0"])
		synctest.Wait()
		require.Zero(t, holder.running.Load()+other.running.Load())
	})
}
