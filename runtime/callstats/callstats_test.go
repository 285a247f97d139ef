package callstats_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/callstats"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
)

// numbers are those from 0 to n-1.
func numbers(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func drain[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		err = e
	}
	return err
}

// counted are two nodes whose calls s counts at both sides.
func counted(t *testing.T, s *callstats.Stats, callee ...daffi.Interceptor) (*daffi.Node, *testkit.KitProxy) {
	t.Helper()
	net := daffitest.New(t)
	server := net.NodeWith(daffi.Options{Name: "server", ServeInterceptors: append([]daffi.Interceptor{s.Interceptor()}, callee...)})
	_, err := testkit.RegisterKit(server, new(testkit.Impl))
	require.NoError(t, err)
	client := net.NodeWith(daffi.Options{Name: "client", Interceptors: []daffi.Interceptor{s.Interceptor()}})
	return client, testkit.NewKit(client)
}

// lines are a snapshot without its latencies, after it was checked that these are complete.
func lines(t *testing.T, s *callstats.Stats) (out []string) {
	t.Helper()
	for _, m := range s.Snapshot() {
		require.Equal(t, m.Calls(), m.Latency.Count(), m.Method)
		require.Len(t, m.Latency.Buckets, len(callstats.Bounds())+1)
		out = append(out, fmt.Sprint(m.Method, " ", m.Side, " ", m.Shape, ": ", m.InFlight, " ", m.OK, " ", m.Errors, " ", m.In, " ", m.Out))
	}
	return out
}

// one calls the interceptor of s itself.
func one(s *callstats.Stats, method string, next func(context.Context) error) error {
	return s.Interceptor()(context.Background(), &daffi.Interception{Method: method}, next)
}

func ok(context.Context) error { return nil }

type board struct{}

func (board) Pin(context.Context, string) error { return nil }

func (board) Picture(context.Context, []byte) error { return nil }

func (board) Bell(context.Context) error { return nil }

func (board) Quiet(context.Context, string) error { return nil }

func TestD75CallstatsOfEveryShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := callstats.New()
		require.Empty(t, s.Snapshot())
		client, p := counted(t, s)
		ctx := t.Context()
		for range 2 {
			_, err := p.Echo(ctx, []byte("abc"))
			require.NoError(t, err)
		}
		require.NoError(t, p.Note(ctx, "a"))
		require.NoError(t, p.Prepare().Add(1).Post(ctx))
		require.NoError(t, p.Add(ctx, 1))
		require.NoError(t, drain(p.Count(ctx, 3, "")))
		_, err := p.Sum(ctx, 0, numbers(10))
		require.NoError(t, err)
		require.NoError(t, drain(p.Chat(ctx, daffi.NoError(slices.Values([]string{"hi", "hi"})))))
		require.NoError(t, testkit.NewMany(client).AddEach(ctx, numbers(2)))
		_, err = daffi.Collect(p.Prepare().Total().Broadcast(ctx))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, []string{
			"Kit.Add caller unary: 0 1 map[] {1 2} {0 0}",
			"Kit.Add caller oneway: 0 1 map[] {1 2} {0 0}",
			"Kit.Add caller items: 0 1 map[] {3 3} {0 0}",
			"Kit.Add callee unary: 0 1 map[] {1 2} {1 0}",
			"Kit.Add callee oneway: 0 1 map[] {1 2} {1 0}",
			"Kit.Add callee item: 0 2 map[] {2 4} {2 0}",
			"Kit.Chat caller input and output: 0 1 map[] {3 7} {2 14}",
			"Kit.Chat callee input and output: 0 1 map[] {3 7} {2 14}",
			"Kit.Count caller output: 0 1 map[] {1 3} {3 3}",
			"Kit.Count callee output: 0 1 map[] {1 3} {3 3}",
			"Kit.Echo caller unary: 0 2 map[] {2 12} {2 12}",
			"Kit.Echo callee unary: 0 2 map[] {2 12} {2 12}",
			"Kit.Note caller oneway: 0 1 map[] {1 3} {0 0}",
			"Kit.Note callee oneway: 0 1 map[] {1 3} {1 0}",
			"Kit.Sum caller input: 0 1 map[] {11 12} {1 2}",
			"Kit.Sum callee input: 0 1 map[] {11 12} {1 2}",
			"Kit.Total caller broadcast: 0 1 map[] {1 1} {0 0}",
			"Kit.Total callee unary: 0 1 map[] {1 1} {1 2}",
		}, lines(t, s))
	})
}

func TestD75CallstatsOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := callstats.New()
		net := daffitest.New(t)
		for _, name := range []string{"one", "two"} {
			_, err := events.RegisterBoard(net.NodeWith(daffi.Options{Name: name, ServeInterceptors: []daffi.Interceptor{s.Interceptor()}}), board{})
			require.NoError(t, err)
		}
		require.NoError(t, events.NewTown(net.NodeWith(daffi.Options{Name: "client", Interceptors: []daffi.Interceptor{s.Interceptor()}})).Pin(t.Context(), "x"))
		synctest.Wait()
		require.Equal(t, []string{"Board.Pin caller event: 0 1 map[] {1 3} {0 0}", "Board.Pin callee oneway: 0 2 map[] {2 6} {2 0}"}, lines(t, s))
	})
}

func TestD75CallstatsOfEveryOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := callstats.New()
		refused := false
		_, p := counted(t, s, func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
			if refused {
				return &daffi.Error{Code: daffi.PermissionDenied}
			}
			return next(ctx)
		})
		for _, how := range []string{"", "plain", "coded", "wrapped", "panic", "panic"} {
			p.Fail(t.Context(), how)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, p.Block(ctx))
		require.Error(t, drain(p.Count(t.Context(), 1, "no")))
		require.PanicsWithValue(t, "loop", func() {
			for range p.Count(t.Context(), 3, "") {
				panic("loop")
			}
		})
		refused = true
		require.Error(t, p.Add(t.Context(), 1))
		synctest.Wait()
		got := lines(t, s)
		require.Contains(t, got, "Kit.Fail callee unary: 0 1 map[unknown:1 not_found:1 out_of_range:1 internal:2] {4 25} {1 2}", "nothing is known of what has panicked")
		require.Contains(t, strings.Join(got, "\n"), "Kit.Fail caller unary: 0 1 map[unknown:1 not_found:1 out_of_range:1 internal:2] {6 ")
		require.Contains(t, strings.Join(got, "\n"), "Kit.Block caller unary: 0 0 map[deadline_exceeded:1]")
		require.Contains(t, strings.Join(got, "\n"), "Kit.Count caller output: 0 0 map[unknown:1 canceled:1]")
		require.Contains(t, strings.Join(got, "\n"), "Kit.Add caller unary: 0 0 map[permission_denied:1]")
		require.Contains(t, got, "Kit.Add callee unary: 0 0 map[permission_denied:1] {0 0} {0 0}")
	})
}

func TestD75CallstatsOfEveryCode(t *testing.T) {
	require.Equal(t, "code(16)", (daffi.Unauthenticated + 1).String(), "a new code needs a counter")
	require.Equal(t, "unknown", (daffi.ShapeBroadcast + 1).String(), "a new shape needs a series")
	require.Equal(t, "unknown", (daffi.AtCallee + 1).String())
	s := callstats.New()
	want := map[daffi.Code]uint64{}
	fail := func(err error, code daffi.Code) {
		require.Equal(t, err, one(s, "A.B", func(context.Context) error { return err }))
		want[code]++
	}
	for code := range daffi.Unauthenticated + 1 {
		fail(&daffi.Error{Code: code}, code)
		fail(fmt.Errorf("wrapped: %w", &daffi.Error{Code: code}), code)
	}
	fail(&daffi.Error{Code: daffi.Unauthenticated + 1}, daffi.Unknown)
	fail(&daffi.Error{Code: 255}, daffi.Unknown)
	fail(errors.New("plain"), daffi.Unknown)
	fail(context.Canceled, daffi.Canceled)
	fail(context.DeadlineExceeded, daffi.DeadlineExceeded)
	m := s.Snapshot()[0]
	require.Equal(t, want, m.Errors)
	require.Zero(t, m.OK)
	require.EqualValues(t, 37, m.Calls())
}

// What never returns from next is counted nevertheless, and goes on as it was.
func TestD75CallstatsOfPanics(t *testing.T) {
	for side, code := range map[daffi.Side]daffi.Code{daffi.AtCaller: daffi.Canceled, daffi.AtCallee: daffi.Internal} {
		s := callstats.New()
		run := func(next func(context.Context) error) {
			s.Interceptor()(t.Context(), &daffi.Interception{Method: "A.B", Side: side}, next)
		}
		require.PanicsWithValue(t, "boom", func() { run(func(context.Context) error { panic("boom") }) })
		var wg sync.WaitGroup
		wg.Go(func() { run(func(context.Context) error { runtime.Goexit(); return nil }) })
		wg.Wait()
		m := s.Snapshot()[0]
		require.Equal(t, map[daffi.Code]uint64{code: 2}, m.Errors)
		require.Zero(t, m.OK)
		require.Zero(t, m.InFlight)
	}
}

func TestD75CallstatsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := callstats.New()
		_, p := counted(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go p.Block(ctx)
		}
		synctest.Wait()
		require.Equal(t, []string{"Kit.Block caller unary: 3 0 map[] {0 0} {0 0}", "Kit.Block callee unary: 3 0 map[] {0 0} {0 0}"}, lines(t, s))
		cancel()
		synctest.Wait()
		for _, m := range s.Snapshot() {
			require.Zero(t, m.InFlight)
			require.Equal(t, map[daffi.Code]uint64{daffi.Canceled: 3}, m.Errors)
		}
	})
}

func TestD75CallstatsBucketsAtTheirBorders(t *testing.T) {
	bounds := callstats.Bounds()
	require.Equal(t, 10*time.Microsecond, bounds[0])
	require.Equal(t, 100*time.Second, bounds[len(bounds)-1])
	for i := 3; i < len(bounds); i++ {
		require.Equal(t, 10*bounds[i-3], bounds[i])
	}
	synctest.Test(t, func(t *testing.T) {
		for i, bound := range bounds {
			for _, c := range []struct {
				took   time.Duration
				bucket int
			}{{bound - 1, i}, {bound, i}, {bound + 1, i + 1}} {
				s := callstats.New()
				require.NoError(t, one(s, "A.B", func(context.Context) error { time.Sleep(c.took); return nil }))
				l := s.Snapshot()[0].Latency
				want := make([]uint64, len(bounds)+1)
				want[c.bucket] = 1
				require.Equal(t, want, l.Buckets, c.took)
				require.Equal(t, c.took.Seconds(), l.Seconds)
			}
		}
		s := callstats.New()
		one(s, "A.B", ok)
		for range 2 {
			one(s, "A.B", func(context.Context) error { time.Sleep(time.Hour); return nil })
		}
		l := s.Snapshot()[0].Latency
		require.EqualValues(t, 1, l.Buckets[0])
		require.EqualValues(t, 2, l.Buckets[len(bounds)])
		require.Equal(t, 7200.0, l.Seconds)
	})
	bounds[0] = 0
	require.NotZero(t, callstats.Bounds()[0], "they are a copy")
}

func TestD75LIM34CallstatsMethods(t *testing.T) {
	s := callstats.New()
	long := "S." + strings.Repeat("x", 255)
	for _, name := range []string{callstats.Other, long + "x", "S.\xff"} {
		one(s, name, ok)
	}
	require.Equal(t, []string{"other caller unary: 0 3 map[] {0 0} {0 0}"}, lines(t, s), "names that cannot be a method's")
	one(s, long, ok)
	for i := range callstats.MaxMethods - 1 {
		one(s, fmt.Sprint("S.", i), ok)
	}
	require.Len(t, s.Snapshot(), callstats.MaxMethods+1)
	for i := range 10 {
		one(s, fmt.Sprint("T.", i), ok)
	}
	one(s, "S.7", ok)
	all := s.Snapshot()
	require.Len(t, all, callstats.MaxMethods+1)
	calls := map[string]uint64{}
	for _, m := range all {
		calls[m.Method] = m.OK
	}
	require.EqualValues(t, 13, calls[callstats.Other])
	require.EqualValues(t, 2, calls["S.7"], "who has a place keeps it")
	require.EqualValues(t, 1, calls[long])
	require.NotContains(t, calls, "T.0")
	require.True(t, slices.IsSortedFunc(all, func(a, b callstats.Method) int { return strings.Compare(a.Method, b.Method) }))
}

func TestD75CallstatsAtTheSameTime(t *testing.T) {
	const workers, rounds = 8, 3 * callstats.MaxMethods / 2 // more methods than have room
	s := callstats.New()
	done := make(chan struct{})
	var reading, calling sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				s.Snapshot()
				s.WriteText(new(strings.Builder))
			}
		}
	})
	for w := range workers {
		calling.Go(func() {
			i := s.Interceptor()
			for r := range rounds {
				c := &daffi.Interception{Method: fmt.Sprint("S.", r), Side: daffi.Side(w % 2)}
				i(context.Background(), c, func(context.Context) error {
					c.In, c.Out = daffi.Traffic{Messages: 1, Bytes: 3}, daffi.Traffic{Messages: 2, Bytes: 5}
					if w == 0 {
						return &daffi.Error{Code: daffi.NotFound}
					}
					return nil
				})
			}
		})
	}
	calling.Wait()
	close(done)
	reading.Wait()
	var okay, failed, count uint64
	var in, out callstats.Traffic
	names := map[string]bool{}
	for _, m := range s.Snapshot() {
		names[m.Method] = true
		okay, failed, count = okay+m.OK, failed+m.Errors[daffi.NotFound], count+m.Latency.Count()
		in = callstats.Traffic{Messages: in.Messages + m.In.Messages, Bytes: in.Bytes + m.In.Bytes}
		out = callstats.Traffic{Messages: out.Messages + m.Out.Messages, Bytes: out.Bytes + m.Out.Bytes}
		require.Zero(t, m.InFlight)
		require.Positive(t, m.Latency.Seconds)
	}
	const calls = uint64(workers * rounds)
	require.Equal(t, calls-rounds, okay)
	require.EqualValues(t, rounds, failed)
	require.Equal(t, calls, count)
	require.Equal(t, callstats.Traffic{Messages: calls, Bytes: 3 * calls}, in)
	require.Equal(t, callstats.Traffic{Messages: 2 * calls, Bytes: 5 * calls}, out)
	require.Len(t, names, callstats.MaxMethods+1)
}

func TestD75CallstatsDoNotAllocate(t *testing.T) {
	s := callstats.New()
	i := s.Interceptor()
	c := &daffi.Interception{Method: "S.M"}
	require.Zero(t, testing.AllocsPerRun(100, func() { i(context.Background(), c, ok) }))
	for n := range callstats.MaxMethods {
		one(s, fmt.Sprint("T.", n), ok)
	}
	c.Method = "U.V"
	require.Zero(t, testing.AllocsPerRun(100, func() { i(context.Background(), c, ok) }), "nor does what has no place")
}
