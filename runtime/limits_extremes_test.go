package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// The least and the largest that each limit may be, beside the others.
var (
	leastOfNode = daffi.Limits{
		NestedRunning: 1, HeldBytes: 1, ArgumentBytes: 1, Callers: 1, TableBytes: 1 << 10, Depth: 1, DecodeMemory: 64 << 10, Metadata: 1, MetadataKeys: 1, Streams: 1, StreamMemory: 1 << 10, StreamWindow: 1 << 10,
		QueueBytes: 128 << 10, QueueFrames: 16, StallTimeout: 10 * time.Millisecond, KeptBytes: 64 << 10, ReconnectMin: time.Millisecond, ReconnectMax: time.Millisecond, CallDepth: 1, Retries: 1, RetryPercent: 1,
		EventCopies: 1, Hooks: 1, Background: 1, LostMethods: 1, ConnEvents: 1, Choices: 1,
	}
	mostOfNode = daffi.Limits{
		NestedRunning: math.MaxInt, HeldBytes: math.MaxInt, ArgumentBytes: math.MaxInt, Callers: math.MaxInt, TableBytes: math.MaxInt, Depth: 1000, DecodeMemory: math.MaxInt, Metadata: 8 << 10, MetadataKeys: 64,
		Streams: transport.MaxStreams, StreamMemory: 16 << 20, StreamWindow: transport.MaxCredit, QueueBytes: math.MaxInt, QueueFrames: math.MaxInt, StallTimeout: time.Hour, KeptBytes: math.MaxInt,
		ReconnectMin: time.Hour, ReconnectMax: time.Hour, CallDepth: transport.MaxDepth, Retries: math.MaxInt, RetryPercent: 100, EventCopies: transport.MaxCalls, Hooks: math.MaxInt, Background: transport.MaxCalls,
		LostMethods: math.MaxInt, ConnEvents: math.MaxInt, Choices: math.MaxInt,
	}
	leastOfController = controller.Limits{
		Memory: 1 << 20, ProcessMemory: 16 << 20, QueueBytes: 128 << 10, QueueFrames: 16, StallTimeout: 10 * time.Millisecond, KeptBytes: 64 << 10, PingsPerSecond: 1, Methods: 1, Schedules: 1, ScheduleBytes: 1,
		ScheduleSize: 1, ScheduleInterval: 10 * time.Millisecond, ScheduleOverlap: 1, ScheduleAnswers: 1, CallDepth: 1, Targets: 1, TargetQuestions: 1, Awaited: 1, Choices: 1,
		EjectFirst: time.Millisecond, EjectMost: time.Millisecond, Routes: 1, RouteBytes: 1, RoutesPerNode: 1, RouteBytesPerNode: 1, Named: 1, Comparisons: 1,
	}
	mostOfController = controller.Limits{
		Memory: math.MaxInt64, ProcessMemory: math.MaxInt64, QueueBytes: math.MaxInt, QueueFrames: math.MaxInt, StallTimeout: time.Hour, KeptBytes: math.MaxInt, PingsPerSecond: math.MaxInt, Methods: math.MaxInt,
		Schedules: math.MaxInt, ScheduleBytes: math.MaxInt, ScheduleSize: 48 << 10, ScheduleInterval: 24 * time.Hour, ScheduleOverlap: 16, ScheduleAnswers: math.MaxInt, CallDepth: transport.MaxDepth,
		Targets: transport.MaxCalls, TargetQuestions: math.MaxInt, Awaited: math.MaxInt, Choices: math.MaxInt, EjectFirst: 24 * time.Hour, EjectMost: 24 * time.Hour,
		Routes: math.MaxInt, RouteBytes: math.MaxInt, RoutesPerNode: math.MaxInt, RouteBytesPerNode: math.MaxInt, Named: math.MaxInt, Comparisons: math.MaxInt,
	}
)

// TestLimitsAtTheirBounds: each field may have its least value and its largest, and what is one past is refused by its name. 0 and what is negative have a meaning of their own: see the two tests of settling.
func TestLimitsAtTheirBounds(t *testing.T) {
	t.Run("node", func(t *testing.T) {
		c := controller.New(controller.Options{})
		defer c.Close()
		atBounds(t, leastOfNode, mostOfNode, func(l daffi.Limits) error {
			n, err := daffi.Connect(t.Context(), daffi.Options{Controller: c, Limits: l})
			if err != nil {
				requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
				return err
			}
			return n.Close()
		})
	})
	t.Run("controller", func(t *testing.T) {
		atBounds(t, leastOfController, mostOfController, func(l controller.Limits) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = p.(error)
				}
			}()
			return controller.New(controller.Options{Limits: l}).Close()
		})
	})
}

func atBounds[L any](t *testing.T, least, most L, accept func(L) error) {
	require.NoError(t, accept(least))
	require.NoError(t, accept(most))
	for i := range reflect.TypeFor[L]().NumField() {
		name := reflect.TypeFor[L]().Field(i).Name
		beyond := func(l L, by int64) error {
			v := reflect.ValueOf(&l).Elem().Field(i)
			v.SetInt(v.Int() + by)
			return accept(l)
		}
		low, high := reflect.ValueOf(least).Field(i), reflect.ValueOf(most).Field(i).Int()
		require.NotZero(t, low.Int(), "Limits.%s has no least value in this test", name)
		if low.Int() > 1 {
			require.ErrorContains(t, beyond(least, -1), "Limits."+name)
		}
		if largest := int64(math.MaxInt64) >> (64 - low.Type().Bits()); high < largest {
			require.ErrorContains(t, beyond(most, 1), "Limits."+name)
		}
	}
}

// mostOf are options as large as they can be.
func mostOf() (daffi.Options, controller.Options) {
	return daffi.Options{
			Timeout: math.MaxInt64, MaxMessage: 1 << 30, MaxRunning: math.MaxInt, MaxRunningPerCaller: math.MaxInt, MaxQueue: math.MaxInt, ResumeGrace: math.MaxInt64, ResumeMemory: math.MaxInt,
			DrainTimeout: math.MaxInt64, Limits: mostOfNode,
		}, controller.Options{
			PingInterval: 24*time.Hour - 1, DeadInterval: 24 * time.Hour, HandshakeTimeout: math.MaxInt64, MaxMessage: 1 << 30, MaxNodes: math.MaxInt, MaxPending: math.MaxInt, MaxPendingPerAddress: math.MaxInt,
			MaxAuthFailures: math.MaxInt, AuthFailurePause: math.MaxInt64, EjectAfter: math.MaxInt, ResumeGrace: math.MaxInt64, ResumeMemory: math.MaxInt, MaxSchedules: math.MaxInt, Limits: mostOfController,
		}
}

// TestLargestLimits: with everything as large as it can be nodes join, over memory and over a link that resumes, and calls of every shape go on as ever.
func TestLargestLimits(t *testing.T) {
	for _, resumes := range []bool{false, true} {
		t.Run(fmt.Sprint("resumes ", resumes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, co := mostOf()
				l := newLine(t, co)
				node := func(name string) *daffi.Node {
					o := o
					if o.Name, o.Controller = name, l.ctl; resumes {
						o.Controller = &line{ctl: l.ctl}
					}
					return connect(t, o)
				}
				impl := new(testkit.Impl)
				server, client := node("server"), node("client")
				_, err := testkit.RegisterKit(server, impl)
				require.NoError(t, err)
				everyShape(t, client, true)
				p := testkit.NewKit(client)
				total, err := p.Total(t.Context())
				require.NoError(t, err)
				got, err := p.Echo(t.Context(), make([]byte, 20<<20))
				require.NoError(t, err)
				require.Len(t, got, 20<<20, "larger than the budget for messages on their way")

				require.NoError(t, p.Prepare().Add(1).Post(t.Context()))
				require.NoError(t, p.Prepare().Add(1).With(daffi.WithAck(daffi.AckNone), daffi.After(time.Second)).Post(t.Context()))
				require.NoError(t, p.Prepare().Add(1).Go(t.Context()).Err(t.Context()))
				for node, err := range p.Prepare().Add(1).Broadcast(t.Context()) {
					require.NoError(t, err, node)
				}
				pass(time.Minute)
				now, err := p.Total(t.Context())
				require.NoError(t, err)
				require.Equal(t, total+4, now)
				require.NoError(t, p.WaitReady(t.Context()))
				require.NoError(t, client.WaitNode(t.Context(), "server"))
				requireError(t, p.Prepare().Add(1).With(daffi.Where("zone", "x")).Do(t.Context()), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
				_, err = p.Prepare().Add(1).Schedule(t.Context(), daffi.Every(24*time.Hour).Overlap(daffi.AllowOverlap))
				require.NoError(t, err)
				pass(48 * time.Hour)
				now, err = p.Total(t.Context())
				require.NoError(t, err)
				require.Equal(t, total+6, now)
				require.NoError(t, client.Shutdown(t.Context()))
				require.NoError(t, server.Shutdown(t.Context()))
			})
		})
	}
}

// TestLIM73WhereNoneWait: a large request has its place where no call may wait.
func TestLIM73WhereNoneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := daffitest.New(t)
		_, err := testkit.RegisterKit(n.NodeWith(daffi.Options{Name: "server", MaxRunning: 1, MaxQueue: -1}), new(testkit.Impl))
		require.NoError(t, err)
		got, err := testkit.NewKit(n.Node("client")).Echo(t.Context(), make([]byte, 100<<10))
		require.NoError(t, err)
		require.Len(t, got, 100<<10)
		for _, o := range []daffi.Options{{MaxRunning: -1}, {MaxRunningPerCaller: -1}} {
			o.Controller = n.Controller
			_, err := daffi.Connect(t.Context(), o)
			requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		}
	})
}

// TestLeastLimitsOfAController: one that may remember nothing refuses everything, at once and by name.
func TestLeastLimitsOfAController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leastOfController
		l.ProcessMemory = 0 // else nobody may join a process like this
		n := daffitest.With(t, controller.Options{Limits: l})
		server, client := n.Node("server"), n.Node("client")
		limited := func(err error) {
			t.Helper()
			requireError(t, err, daffi.ResourceExhausted, "limit", daffi.NotRun)
		}
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		limited(err)
		_, err = daffi.Handle(server, "S.M", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
		limited(err)
		p := testkit.NewKit(client)
		for _, do := range calls(t, p) {
			limited(do())
		}
		limited(p.WaitReady(t.Context()))
		require.NoError(t, client.WaitNode(t.Context(), "server"))
	})
}

// calls are calls of every shape.
func calls(t *testing.T, p *testkit.KitProxy) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"unary":  func() error { return p.Add(ctx, 1) },
		"post":   func() error { return p.Prepare().Add(1).Post(ctx) },
		"oneway": func() error { return p.Note(ctx, "") },
		"large": func() error {
			_, err := p.Echo(ctx, make([]byte, 1<<20))
			return err
		},
		"output":      func() error { return drain(p.Count(ctx, 2000, "")) },
		"large items": func() error { return drain(p.Blobs(ctx, 5, 200<<10)) },
		"input":       func() error { _, err := p.Sum(ctx, 0, numbers(2000)); return err },
		"both":        func() error { return drain(p.Chat(ctx, daffi.NoError(repeat("x", 100)))) },
		"future":      func() error { return p.Prepare().Add(1).Go(ctx).Err(ctx) },
		"delayed":     func() error { return p.Prepare().Add(1).With(daffi.After(time.Second)).Do(ctx) },
		"broadcast": func() error {
			for _, err := range p.Prepare().Add(1).Broadcast(ctx) {
				return err
			}
			return errors.New("nobody was called")
		},
		"choice":   func() error { return p.Prepare().Add(1).With(daffi.AllowSelf()).Do(ctx) },
		"schedule": func() error { _, err := p.Prepare().Add(1).Schedule(ctx, daffi.Once(time.Second)); return err },
		"metadata": func() error { _, err := p.Meta(daffi.WithMetadata(ctx, map[string]string{"k": "v"})); return err },
		"nested":   func() error { _, err := p.Nest(ctx, 3); return err },
	}
}

// TestLeastLimits: nodes and a controller that hold as little as they can make calls of every shape, one after the other; what is beyond that is refused, and nothing hangs.
func TestLeastLimits(t *testing.T) {
	for _, resumes := range []bool{false, true} {
		t.Run(fmt.Sprint("resumes ", resumes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := leastOfController
				cl.ProcessMemory, cl.Methods, cl.Routes, cl.RouteBytes, cl.RoutesPerNode, cl.RouteBytesPerNode, cl.Named, cl.Awaited = 0, 0, 0, 0, 0, 0, 0, 0 // for the methods of one service
				l := newLine(t, controller.Options{Limits: cl, ResumeGrace: testGrace})
				node := func(name string) *daffi.Node {
					o := daffi.Options{Name: name, Controller: l.ctl, Limits: leastOfNode}
					if resumes {
						o = (&line{ctl: l.ctl}).options(name)
						o.Limits = leastOfNode
					}
					return connect(t, o)
				}
				server, client := node("server"), node("client")
				_, err := testkit.RegisterKit(server, new(testkit.Impl))
				require.NoError(t, err)
				p := testkit.NewKit(client)
				require.NoError(t, p.WaitReady(t.Context()))
				for name, do := range calls(t, p) {
					begun := time.Now()
					err := do()
					require.Less(t, time.Since(begun), 5*time.Second, "%s: where 64 KiB are kept, and acknowledged every 100 ms", name)
					switch name {
					case "metadata":
						requireError(t, err, daffi.InvalidArgument, daffi.ReasonTooLarge, daffi.NotRun)
					case "schedule": // its arguments are two bytes
						requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
					case "nested": // the server would be its own second caller
						requireError(t, err, daffi.ResourceExhausted, "", daffi.Ran)
					default:
						require.NoError(t, err, name)
					}
					synctest.Wait() // so that its stream is over at the other end
				}
				require.Empty(t, client.Held()+server.Held())
			})
		})
	}
}
