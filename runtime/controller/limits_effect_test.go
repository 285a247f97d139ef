package controller

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestLimitsTakeEffect sets each field of Limits, reaches it, and goes one past it; a controller without it takes as much and more. What a node is told then is its own row.
func TestLimitsTakeEffect(t *testing.T) {
	hour := control.Plan{Timing: control.Every, Interval: time.Hour}
	for name, c := range map[string]struct {
		limits Limits
		most   int // of what one does until it is refused
		ready  func(t *testing.T, w *world, p *rawpeer.Peer) (one func(i int) *control.Failure)
		code   uint8
		reason string
	}{
		"LIM19 Methods": {Limits{Methods: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure { return p.Serve(t, fmt.Sprint("S", i), "()()", "M") }
		}, resourceExhausted, reasonLimit},
		"LIM19 Schedules": {Limits{Schedules: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure { // of several nodes
				q := w.join(fmt.Sprint("q", i))
				return plan(t, q, "s", hour, nil)
			}
		}, resourceExhausted, reasonLimit},
		"LIM28 ScheduleBytes": {Limits{ScheduleBytes: 3 * 100}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure { return plan(t, p, fmt.Sprint("s", i), hour, blob(100)) }
		}, resourceExhausted, reasonLimit},
		"LIM28 ScheduleSize": {Limits{ScheduleSize: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure { return plan(t, p, fmt.Sprint("s", i), hour, blob(i+1)) } // ever larger
		}, invalidArgument, ""},
		"LIM19 ScheduleInterval": {Limits{ScheduleInterval: time.Second}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure {
				times := control.Plan{Timing: control.Delay, Interval: time.Second + time.Duration(2-i)}
				return plan(t, p, fmt.Sprint("s", i), times, nil)
			}
		}, invalidArgument, ""},
		"LIM25 Targets": {Limits{Targets: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			route := p.Route(t, "S", "M", "()()")
			return func(i int) *control.Failure {
				require.Nil(t, w.join(fmt.Sprint("q", i)).Serve(t, "S", "()()", "M"))
				return p.Ask(t, (&control.Targets{Route: route}).Append, control.OpSessions, new(control.Sessions))
			}
		}, resourceExhausted, reasonLimit},
		"LIM36 Awaited": {Limits{Awaited: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
			route := p.Route(t, "S", "M", "()()")
			return func(int) *control.Failure {
				number := p.Control((&control.Await{Routes: []uint32{route}}).Append)
				return refusedNow(t, p, number)
			}
		}, resourceExhausted, reasonLimit},
		"LIM41 Choices": {Limits{Choices: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure {
				_, f := choose(t, p, control.Choice{Where: []control.Label{{Name: "shard", Value: fmt.Sprint(i)}}})
				return f
			}
		}, resourceExhausted, reasonLimit},
		"LIM60 Routes": {Limits{Routes: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure { return name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("M", i)) }
		}, resourceExhausted, reasonLimit},
		"LIM60 RouteBytes": {Limits{RouteBytes: 3 * len("SM1()()")}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure { return name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("M", i)) }
		}, resourceExhausted, reasonLimit},
		"LIM60 RoutesPerNode": {Limits{RoutesPerNode: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure {
				require.Nil(t, name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("Other", i)), "others have theirs")
				return name(t, p, fmt.Sprint("M", i))
			}
		}, resourceExhausted, reasonLimit},
		"LIM60 RouteBytesPerNode": {Limits{RouteBytesPerNode: 3 * len("SM1()()")}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure {
				require.Nil(t, name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("X", i)), "others have theirs")
				return name(t, p, fmt.Sprint("M", i))
			}
		}, resourceExhausted, reasonLimit},
		"LIM61 Comparisons": {Limits{Comparisons: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			require.Nil(t, w.join("server").Serve(t, "S", "(int)()", "M"))
			return func(i int) *control.Failure {
				return p.Ask(t, (&control.Resolve{Service: "S", Methods: rawpeer.Methods(fmt.Sprintf("([%d]int)()", i), "M")}).Append, control.OpRoutes, nil)
			}
		}, resourceExhausted, reasonLimit},
		"LIM65 Named": {Limits{Named: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			return func(i int) *control.Failure {
				require.Nil(t, name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("M", i)), "others have theirs")
				return name(t, p, fmt.Sprint("M", i)) // though it is there
			}
		}, resourceExhausted, reasonLimit},
		"LIM20 CallDepth": {Limits{CallDepth: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
			server := w.join("server").Register(t, "S", "M")
			route := p.Route(t, "S", "M", "sig")
			return func(i int) *control.Failure {
				id := transport.CallID(uint32(i), 1)
				p.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Depth: uint8(i + 1)}})
				synctest.Wait()
				if f, ok := p.Poll(); ok {
					why := rawpeer.Failure(t, f)
					return &why
				}
				server.Reply(server.Served(t).Call, "")
				p.Expect(t, transport.Reply)
				return nil
			}
		}, resourceExhausted, reasonDepth},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, Options{Limits: c.limits, PingInterval: time.Hour})
				one := c.ready(t, w, w.join("p"))
				for i := range c.most {
					require.Nil(t, one(i), "%d of %d", i+1, c.most)
				}
				f := one(c.most)
				require.NotNil(t, f, "one more")
				require.Equal(t, c.code, f.Code, f.Message)
				require.Equal(t, c.reason, f.Reason, f.Message)
				require.Equal(t, notRun, f.Outcome)
			})
			synctest.Test(t, func(t *testing.T) {
				w := start(t, Options{PingInterval: time.Hour})
				one := c.ready(t, w, w.join("p"))
				for i := range c.most + 1 {
					require.Nil(t, one(i), "%d, without the limit", i+1)
				}
			})
		})
	}
}

// plan asks for a schedule of S.M.
func plan(t *testing.T, p *rawpeer.Peer, id string, times control.Plan, args []byte) *control.Failure {
	t.Helper()
	q := control.Schedule{ID: id, Route: p.Route(t, "S", "M", "()()"), Plan: times, Args: args}
	return p.Ask(t, q.Append, control.OpScheduled, new(control.Scheduled))
}

func blob(n int) []byte { return make([]byte, n) }

// name names the method S.name, to call it.
func name(t *testing.T, p *rawpeer.Peer, name string) *control.Failure {
	t.Helper()
	return p.Ask(t, (&control.Resolve{Service: "S", Methods: rawpeer.Methods("()()", name)}).Append, control.OpRoutes, nil)
}

// refusedNow is the answer to a question that is otherwise answered later.
func refusedNow(t *testing.T, p *rawpeer.Peer, number uint64) *control.Failure {
	t.Helper()
	synctest.Wait()
	f, ok := p.Poll()
	if !ok {
		return nil
	}
	require.Equal(t, number, f.Call)
	var d codec.Decoder
	d.Reset(f.Payload)
	require.Equal(t, control.OpFailed, control.ReadOp(&d))
	why := new(control.Failure)
	require.NoError(t, why.Read(&d))
	return why
}
