package controller

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
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

// However calls begin, rest and end, a node runs those that are there and do not rest.
func TestRunningIsWhatIsThere(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, rng := newClinic(t, w, 2), rand.New(rand.NewPCG(9, 9))
		check := func(n int) {
			synctest.Wait()
			sum := 0
			for _, s := range []*session{w.session(c.callees[0].Session), w.session(c.callees[1].Session)} {
				s.mu.Lock()
				there, rests := 0, 0
				for i := range s.calls.in {
					if f := s.calls.in[i].flags; f&live != 0 {
						there++
						if f&resting != 0 {
							rests++
						}
					}
				}
				require.Equal(t, int64(there-rests), s.running.Load())
				s.mu.Unlock()
				sum += there
			}
			require.Equal(t, n, sum)
		}
		type open struct {
			slot uint64
			id   uint64
			p    *rawpeer.Peer
		}
		var calls []open
		for range 2000 {
			switch what := rng.IntN(10); {
			case what < 3:
				mode := []transport.Mode{0, transport.Input, transport.Output, transport.Input | transport.Output}[rng.IntN(4)]
				_, id, p := c.send(header{Mode: mode})
				calls = append(calls, open{c.calls, id, p})
			case what < 5:
				time.Sleep(time.Duration(rng.Int64N(int64(restAfter))))
			case len(calls) == 0:
			default:
				i := rng.IntN(len(calls))
				call := calls[i]
				caller := transport.CallID(uint32(call.slot), 1)
				switch what {
				case 5:
					call.p.Send(frame{Header: header{Kind: transport.Credit, Call: call.id, Arg: 1}})
				case 6:
					c.caller.Send(frame{Header: header{Kind: transport.Credit, Call: caller, Arg: 1}})
				default:
					calls = slices.Delete(calls, i, i+1)
					switch what {
					case 7:
						call.p.Reply(call.id, "")
					case 8:
						call.p.Send(frame{Header: header{Kind: transport.Error, Call: call.id}, Payload: rawpeer.ErrorPayload(control.Failure{Code: notFound, Outcome: ran})})
					case 9:
						c.caller.Send(frame{Header: header{Kind: transport.Cancel, Call: caller}})
					}
				}
			}
			check(len(calls))
			for _, ok := c.caller.Poll(); ok; _, ok = c.caller.Poll() {
			}
		}
		for _, call := range calls {
			call.p.Reply(call.id, "")
		}
		check(0)
	})
}
