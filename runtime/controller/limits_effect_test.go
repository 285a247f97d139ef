package controller

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

var hour = control.Plan{Timing: control.Every, Interval: time.Hour}

// effects are what the fields of Limits do: each is set, reached and gone past. Every field has a row, named by its limit and itself.
var effects = map[string]func(*testing.T){
	"LIM19 Methods": counted{Limits{Methods: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure { return p.Serve(t, fmt.Sprint("S", i), "()()", "M") }
	}, resourceExhausted, reasonLimit}.test,
	"LIM19 Schedules": counted{Limits{Schedules: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure { // of several nodes
			q := w.join(fmt.Sprint("q", i))
			return plan(t, q, "s", hour, nil)
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM28 ScheduleBytes": counted{Limits{ScheduleBytes: 3 * 100}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure { return plan(t, p, fmt.Sprint("s", i), hour, blob(100)) }
	}, resourceExhausted, reasonLimit}.test,
	"LIM28 ScheduleSize": counted{Limits{ScheduleSize: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure { return plan(t, p, fmt.Sprint("s", i), hour, blob(i+1)) } // ever larger
	}, invalidArgument, ""}.test,
	"LIM19 ScheduleInterval": counted{Limits{ScheduleInterval: time.Second}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure {
			times := control.Plan{Timing: control.Delay, Interval: time.Second + time.Duration(2-i)}
			return plan(t, p, fmt.Sprint("s", i), times, nil)
		}
	}, invalidArgument, ""}.test,
	"LIM25 Targets": counted{Limits{Targets: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		route := p.Route(t, "S", "M", "()()")
		return func(i int) *control.Failure {
			require.Nil(t, w.join(fmt.Sprint("q", i)).Serve(t, "S", "()()", "M"))
			return p.Ask(t, (&control.Targets{Route: route}).Append, control.OpSessions, new(control.Sessions))
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM36 Awaited": counted{Limits{Awaited: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
		route := p.Route(t, "S", "M", "()()")
		return func(int) *control.Failure {
			number := p.Control((&control.Await{Routes: []uint32{route}}).Append)
			return refusedNow(t, p, number)
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM41 Choices": counted{Limits{Choices: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure {
			_, f := choose(t, p, control.Choice{Where: []control.Label{{Name: "shard", Value: fmt.Sprint(i)}}})
			return f
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM60 Routes": counted{Limits{Routes: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure { return name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("M", i)) }
	}, resourceExhausted, reasonLimit}.test,
	"LIM60 RouteBytes": counted{Limits{RouteBytes: 3 * len("SM1()()")}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure { return name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("M", i)) }
	}, resourceExhausted, reasonLimit}.test,
	"LIM60 RoutesPerNode": counted{Limits{RoutesPerNode: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure {
			require.Nil(t, name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("Other", i)), "others have theirs")
			return name(t, p, fmt.Sprint("M", i))
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM60 RouteBytesPerNode": counted{Limits{RouteBytesPerNode: 3 * len("SM1()()")}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure {
			require.Nil(t, name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("X", i)), "others have theirs")
			return name(t, p, fmt.Sprint("M", i))
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM61 Comparisons": counted{Limits{Comparisons: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		require.Nil(t, w.join("server").Serve(t, "S", "(int)()", "M"))
		return func(i int) *control.Failure {
			return p.Ask(t, (&control.Resolve{Service: "S", Methods: rawpeer.Methods(fmt.Sprintf("([%d]int)()", i), "M")}).Append, control.OpRoutes, nil)
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM65 Named": counted{Limits{Named: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
		return func(i int) *control.Failure {
			require.Nil(t, name(t, w.join(fmt.Sprint("q", i)), fmt.Sprint("M", i)), "others have theirs")
			return name(t, p, fmt.Sprint("M", i)) // though it is there
		}
	}, resourceExhausted, reasonLimit}.test,
	"LIM20 CallDepth": counted{Limits{CallDepth: 3}, 3, func(t *testing.T, w *world, p *rawpeer.Peer) func(int) *control.Failure {
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
	}, resourceExhausted, reasonDepth}.test,
	"LIM29 ScheduleAnswers": counted{Limits{ScheduleAnswers: 3}, 3, func(t *testing.T, _ *world, p *rawpeer.Peer) func(int) *control.Failure {
		require.Nil(t, plan(t, p, "s", hour, nil))
		return func(int) *control.Failure {
			number := p.Control((&control.AwaitRuns{TaskKey: control.TaskKey{Owner: p.Name, ID: "s"}}).Append)
			return refusedNow(t, p, number)
		}
	}, resourceExhausted, reasonBusy}.test,
	"LIM29 ScheduleOverlap": testScheduleOverlap,
	"LIM16 Memory":          testHeldMemory,
	"LIM16 ProcessMemory":   testProcessMemory,
	"LIM14 QueueBytes":      func(t *testing.T) { testQueue(t, Limits{QueueBytes: 128 << 10}, 8, 16<<10-transport.HeaderSize) },
	"LIM14 QueueFrames":     func(t *testing.T) { testQueue(t, Limits{QueueFrames: 16}, 16, 0) },
	"LIM14 StallTimeout":    testStallTimeout,
	"LIM15 TargetQuestions": testTargetQuestions,
	"LIM17 PingsPerSecond":  testPingsPerSecond,
	"LIM27 KeptBytes":       testKeptBytes,
	"LIM42 EjectFirst": func(t *testing.T) {
		testEject(t, Limits{EjectFirst: 10 * time.Millisecond}, 10*time.Millisecond, 20*time.Millisecond, 40*time.Millisecond)
	},
	"LIM42 EjectMost": func(t *testing.T) {
		testEject(t, Limits{EjectFirst: 10 * time.Millisecond, EjectMost: 15 * time.Millisecond}, 10*time.Millisecond, 15*time.Millisecond, 15*time.Millisecond)
	},
}

// TestLimitsTakeEffect: each field of Limits is a limit that is kept.
func TestLimitsTakeEffect(t *testing.T) { testkit.EveryField[Limits](t, effects) }

// counted is a limit of how often something is done: one more is refused, and a controller without the limit takes as much and more. What a node is told then is its own row.
type counted struct {
	limits Limits
	most   int // of what one does until it is refused
	ready  func(t *testing.T, w *world, p *rawpeer.Peer) (one func(i int) *control.Failure)
	code   uint8
	reason string
}

func (c counted) test(t *testing.T) {
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
}

func testScheduleOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{Limits: Limits{ScheduleOverlap: 3}, PingInterval: time.Hour})
		server, p := w.join("server"), w.join("p")
		require.Nil(t, server.Serve(t, "S", "()()", "M"))
		require.Nil(t, plan(t, p, "s", control.Plan{Timing: control.Every, Interval: time.Second, Overlap: control.AllowOverlap, Timeout: time.Hour}, nil))
		running := func(want int) {
			t.Helper()
			synctest.Wait()
			require.Len(t, w.Tasks(), 1)
			require.Equal(t, want, w.Tasks()[0].Running)
		}
		time.Sleep(2 * time.Second)
		running(2)
		require.NoError(t, w.RunTask("p", "s"))
		running(3)
		require.ErrorContains(t, w.RunTask("p", "s"), "a run goes on")
		time.Sleep(2 * time.Second)
		running(3)
		require.Equal(t, 2, w.Tasks()[0].Skipped)
		server.Reply(server.Served(t).Call, "")
		running(2)
		time.Sleep(time.Second)
		running(3)
		require.Equal(t, 4, w.Tasks()[0].Runs)
	})
}

// testProcessMemory: what the process must occupy is at the limit or far from it. The shares from which on something is refused are in TestSEM27ProcessMemory.
func testProcessMemory(t *testing.T) {
	held := make([]byte, 64<<20)
	for i := 0; i < len(held); i += 4 << 10 {
		held[i] = 1
	}
	for most, refused := range map[int64]bool{int64(len(held)): true, 100 * int64(len(held)): false} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, Options{Limits: Limits{ProcessMemory: most, Memory: -1}})
			caller, callee, route := w.pair()
			for i := range uint32(3) { // the first has somebody look
				caller.Call(route, i, 1, "")
				synctest.Wait()
			}
			if refused {
				require.Equal(t, reasonOverloaded, caller.Failed(t, transport.CallID(1, 1)).Reason)
				require.Equal(t, reasonOverloaded, refusal(t, w.peer().Hello(t, hello("late", 1, 1), nil)).Reason)
				return
			}
			for range 3 {
				callee.Reply(callee.Served(t).Call, "")
				caller.Expect(t, transport.Reply)
			}
		})
	}
	runtime.KeepAlive(held)
}

// held joins a node whose reader stops, from when shut is called until open is.
func (w *world) held(name string) (p *rawpeer.Peer, shut, open func()) {
	var stopped atomic.Bool
	gate := make(chan struct{})
	open = sync.OnceFunc(func() { stopped.Store(false); close(gate) })
	w.Cleanup(open) // before the peers are closed
	p = rawpeer.New(w.link())
	p.OnFrame = func(*transport.Frame) bool {
		if stopped.Load() {
			<-gate
		}
		return false
	}
	w.peers = append(w.peers, p)
	return p.Start().Join(w, name), func() { stopped.Store(true) }, open
}

// crowd returns callers of Svc.M at p that it has been told of.
func (w *world) crowd(p *rawpeer.Peer, n int) (callers []*rawpeer.Peer, route uint32) {
	p.Register(w, "Svc", "M")
	for i := range n {
		c := w.join(fmt.Sprint("caller", i))
		route = c.Route(w, "Svc", "M", "sig")
		c.Call(route, 0, 1, "")
		p.Reply(p.Served(w).Call, "")
		c.Expect(w, transport.Reply)
		callers = append(callers, c)
	}
	return callers, route
}

// testQueue fills the queue towards a node with requests of size bytes, of as many callers, so that none has more than its share; one more is refused, until there is room.
func testQueue(t *testing.T, l Limits, most, size int) {
	for _, limited := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := Options{PingInterval: time.Hour}
			if limited {
				o.Limits = l
			}
			w := start(t, o)
			w.conn = true
			callee, shut, open := w.held("callee")
			callers, route := w.crowd(callee, most+2)
			shut()
			for i, c := range callers { // the first has left the queue: the callee is at it
				c.Call(route, 1, 1, string(blob(size)))
				synctest.Wait()
				f, ended := c.Poll()
				if !limited || i <= most {
					require.False(t, ended, "%d: %v", i, f.Kind)
					continue
				}
				require.True(t, ended)
				why := rawpeer.Failure(t, f)
				require.Equal(t, [4]any{resourceExhausted, reasonBusy, notRun, "callee"}, [4]any{why.Code, why.Reason, why.Outcome, why.Node})
			}
			open()
			for i, c := range callers {
				if limited && i > most {
					c.Call(route, 1, 2, "again")
				}
				callee.Reply(callee.Served(t).Call, "")
			}
			for _, c := range callers {
				c.Expect(t, transport.Reply)
			}
		})
	}
}

func testStallTimeout(t *testing.T) {
	for _, c := range []struct{ limit, after time.Duration }{{time.Second, time.Second}, {0, transport.StallTimeout}} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, Options{Limits: Limits{StallTimeout: c.limit}, PingInterval: time.Hour})
			w.conn = true
			callee, shut, _ := w.held("callee")
			callers, route := w.crowd(callee, 1)
			shut()
			first := callers[0].Call(route, 1, 1, "the callee is at it")
			synctest.Wait()
			second := callers[0].Call(route, 2, 1, "is being written")
			time.Sleep(c.after - 1)
			synctest.Wait()
			require.Equal(t, 2, w.Stats().Nodes)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			require.Equal(t, 1, w.Stats().Nodes)
			for _, id := range []uint64{first, second} {
				require.Equal(t, reasonNodeLost, callers[0].Failed(t, id).Reason)
			}
		})
	}
}

// testTargetQuestions asks while nothing is taken: the answers wait, and one more question than may is refused.
func testTargetQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{Limits: Limits{TargetQuestions: 3}, PingInterval: time.Hour})
		w.conn = true
		p, shut, open := w.held("p")
		p.Register(t, "Svc", "M")
		other := w.join("other").Register(t, "S", "M")
		route, to := p.Route(t, "S", "M", "sig"), other.Route(t, "Svc", "M", "sig")
		shut()
		for i := range uint32(2) { // p is at one, and one is being written
			other.Call(to, i, 1, "")
			synctest.Wait()
		}
		var numbers []uint64
		for range 4 {
			numbers = append(numbers, p.Control((&control.Targets{Route: route}).Append))
			synctest.Wait()
		}
		open()
		synctest.Wait()
		for i, number := range append(numbers, p.Control((&control.Targets{Route: route}).Append)) {
			op, d := p.Answer(t, number)
			if i != 3 {
				require.Equal(t, control.OpSessions, op, i)
				continue
			}
			require.Equal(t, control.OpFailed, op)
			var why control.Failure
			require.NoError(t, why.Read(d))
			require.Equal(t, [3]any{resourceExhausted, reasonBusy, notRun}, [3]any{why.Code, why.Reason, why.Outcome})
		}
		for range 2 {
			p.Reply(p.Served(t).Call, "")
			other.Expect(t, transport.Reply)
		}
	})
}

func testPingsPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{Limits: Limits{PingsPerSecond: 3}})
		p := w.join("p")
		ping := frame{Header: header{Kind: transport.Ping}}
		for range 2 {
			p.Send(ping, ping, ping)
			for range 3 {
				p.Expect(t, transport.Pong)
			}
			time.Sleep(time.Second)
		}
		p.Send(ping, ping, ping, ping)
		require.Error(t, p.Closed(t))
		unlimited := start(t, Options{Limits: Limits{PingsPerSecond: -1}}).join("p")
		for range 1000 {
			unlimited.Send(ping)
			unlimited.Expect(t, transport.Pong)
		}
	})
}

// testKeptBytes: a node that acknowledges nothing is sent as much as may be kept, and more when it does.
func testKeptBytes(t *testing.T) {
	const size, calls = 4 << 10, 40
	for limit, want := range map[int]int{64 << 10: 64 << 10 / size, 0: calls} {
		synctest.Test(t, func(t *testing.T) {
			w, victim := resumable(t, Options{Limits: Limits{KeptBytes: limit}, PingInterval: time.Hour})
			victim.Register(t, "Svc", "M")
			caller := w.join("caller")
			route := caller.Route(t, "Svc", "M", "sig")
			for i := range uint32(calls) {
				caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(i, 1), Route: route, Flags: transport.Bulk}, Payload: blob(size - transport.HeaderSize)})
			}
			served := func() (n int) {
				synctest.Wait()
				for f, ok := victim.Poll(); ok; f, ok = victim.Poll() {
					if f.Kind == transport.Request {
						n++
					}
				}
				return n
			}
			n := served()
			require.LessOrEqual(t, n, want)
			require.GreaterOrEqual(t, n, want-want/10, "what is kept costs a little more than its bytes")
			for n < calls {
				victim.Send(transport.Frame{Header: transport.Header{Kind: transport.Ack, Arg: victim.received}})
				more := served()
				require.Positive(t, more)
				n += more
			}
		})
	}
}

// testEject has a node fail whenever it is tried: for how long it is left out each time, and up to an eighth more.
func testEject(t *testing.T, l Limits, times ...time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, start(t, Options{EjectAfter: 1, Limits: l, PingInterval: time.Hour}), 2)
		c.fails["n0"] = &panicked
		c.call(header{Peer: c.callees[0].Session})
		for _, d := range times {
			time.Sleep(d - 1)
			require.Zero(t, c.count(100)["n0"], "within %v", d)
			time.Sleep(d/8 + 1)
			require.Equal(t, 1, c.count(100)["n0"], "after %v", d)
		}
	})
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
