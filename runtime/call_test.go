package daffi_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit/skewed"
)

// kit is a server and a client that have joined a controller in memory.
type kit struct {
	net            *daffitest.Net
	impl           *testkit.Impl
	server, client *daffi.Node
	p              *testkit.KitProxy
}

func newKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{net: daffitest.New(t), impl: new(testkit.Impl)}
	k.server, k.client = k.net.Node("server"), k.net.Node("client")
	_, err := testkit.RegisterKit(k.server, k.impl)
	require.NoError(t, err)
	k.p = testkit.NewKit(k.client)
	return k
}

// bubble runs f in a bubble of fake time.
func bubble(t *testing.T, f func(t *testing.T, k *kit)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newKit(t)) })
}

// requireError checks the parts of an error that programs look at.
func requireError(t *testing.T, err error, code daffi.Code, reason daffi.Reason, outcome daffi.Outcome) *daffi.Error {
	t.Helper()
	require.Error(t, err)
	e, ok := errors.AsType[*daffi.Error](err)
	require.True(t, ok, "%T: %v", err, err)
	assert.Equal(t, code, e.Code, "%v", err)
	assert.Equal(t, reason, e.Reason, "%v", err)
	assert.Equal(t, outcome, e.Outcome, "%v", err)
	return e
}

// requireDeadline checks the error of a call whose deadline has passed. A handler that ends with its context answers at the same moment, and
// either may be first; both outcomes are then true.
func requireDeadline(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(err))
	require.NotEqual(t, daffi.NotRun, daffi.OutcomeOf(err))
}

func TestEcho(t *testing.T) {
	k := newKit(t)
	for _, size := range []int{0, 1, 255, 16 << 10, 64<<10 - 100, 64 << 10, 64<<10 + 1, 1 << 20, 3 << 20, 4<<20 - 10} {
		b := bytes.Repeat([]byte{7}, size)
		got, err := k.p.Echo(t.Context(), b)
		require.NoError(t, err, "%d bytes", size)
		require.Equal(t, len(b), len(got))
		require.True(t, bytes.Equal(b, got))
	}
}

func TestLIM6RequestOverTheLimitIsRefusedBeforeItIsSent(t *testing.T) {
	k := newKit(t)
	// 4 MiB less what wraps the blob: an array header of one byte, a blob header of five.
	_, err := k.p.Echo(t.Context(), make([]byte, 4<<20-6))
	require.NoError(t, err)
	_, err = k.p.Echo(t.Context(), make([]byte, 4<<20-5))
	e := requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
	require.Contains(t, e.Message, "4194305 bytes")
	require.Contains(t, e.Message, "Options.MaxMessage")
	_, err = k.p.Echo(t.Context(), []byte("still works"))
	require.NoError(t, err)
}

func TestD59ResultOverTheLimit(t *testing.T) {
	k := newKit(t)
	_, err := k.p.Fail(t.Context(), "huge")
	requireError(t, err, daffi.ResourceExhausted, daffi.ReasonReplyTooLarge, daffi.Ran)
	_, err = k.p.Echo(t.Context(), nil)
	require.NoError(t, err)
}

func TestD58ErrorsOfHandlers(t *testing.T) {
	k := newKit(t)
	r, err := k.p.Fail(t.Context(), "plain")
	requireError(t, err, daffi.Unknown, "", daffi.Ran)
	require.EqualError(t, err, "Kit.Fail at server: unknown: a plain error")
	require.Empty(t, r, "with an error the results are zero")

	_, err = k.p.Fail(t.Context(), "coded")
	requireError(t, err, daffi.NotFound, "no_such_item", daffi.Ran)
	require.EqualError(t, err, "Kit.Fail at server: not_found/no_such_item: no item 7")

	_, err = k.p.Fail(t.Context(), "wrapped")
	requireError(t, err, daffi.OutOfRange, "", daffi.Ran)

	_, err = k.p.Fail(t.Context(), "panic")
	e := requireError(t, err, daffi.Internal, daffi.ReasonPanic, daffi.Ran)
	require.Regexp(t, `^handler panicked \(id [0-9a-f]{8}\)$`, e.Message)

	_, err = k.p.Fail(t.Context(), "goexit")
	requireError(t, err, daffi.Internal, daffi.ReasonPanic, daffi.Ran)

	_, err = k.p.Fail(t.Context(), "long text")
	e = requireError(t, err, daffi.Unknown, "", daffi.Ran)
	require.LessOrEqual(t, len(e.Message), 1024+len(" … "))
	require.Contains(t, e.Message, "é … é")
}

func TestNoProvider(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		require.NoError(t, k.server.Close())
		synctest.Wait() // Close does not wait until the controller has seen it
		_, err := k.p.Echo(t.Context(), nil)
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

func TestToNames(t *testing.T) {
	k := newKit(t)
	other := k.net.Node("other")
	_, err := testkit.RegisterKit(other, new(testkit.Impl))
	require.NoError(t, err)
	for range 20 {
		require.NoError(t, k.p.Prepare().Add(1).With(daffi.To("other")).Do(t.Context()))
	}
	n, err := k.p.Prepare().Total().With(daffi.To("other")).Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, 20, n)
	n, err = k.p.Prepare().Total().With(daffi.To("server")).Do(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)

	err = k.p.Prepare().Add(1).With(daffi.To("nobody")).Do(t.Context())
	requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	err = k.p.Prepare().Add(1).With(daffi.To("client")).Do(t.Context())
	requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)

	// A node that comes back under its name has another session; the caller finds it by itself.
	require.NoError(t, other.Close())
	again := k.net.Node("other")
	_, err = testkit.RegisterKit(again, new(testkit.Impl))
	require.NoError(t, err)
	n, err = k.p.Prepare().Total().With(daffi.To("other")).Do(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestD36SchemaMismatch(t *testing.T) {
	k := newKit(t)
	_, err := testkit.RegisterKit(k.server, k.impl, daffi.As("SkewedKit"))
	require.NoError(t, err)
	p := skewed.NewKit(k.client)
	_, err = p.Echo(t.Context(), "x")
	e := requireError(t, err, daffi.FailedPrecondition, daffi.ReasonSchema, daffi.NotRun)
	require.Contains(t, e.Message, "(string)(string)")
	require.Contains(t, e.Message, "(bytes)(bytes)")
	require.Contains(t, e.Message, "server")
	err = p.Missing(t.Context())
	requireError(t, err, daffi.Unimplemented, "", daffi.NotRun)
}

func TestSEM5T7DeadlineReachesTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		caller, left, err := k.p.Who(ctx)
		require.NoError(t, err)
		require.Equal(t, "client", caller)
		require.Equal(t, 3*time.Second, left)
		_, left, err = k.p.Who(context.Background())
		require.NoError(t, err)
		require.Equal(t, 30*time.Second, left, "the default of SEM-5")
	})
}

func TestSEM5T7DeadlineEndsCallAndHandler(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := k.p.Block(ctx)
		requireDeadline(t, err)
		require.Equal(t, time.Second, time.Since(start))
		require.Error(t, <-k.impl.Ended)
	})
}

func TestSEM5DefaultDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		start := time.Now()
		err := k.p.Block(context.Background())
		requireDeadline(t, err)
		require.Equal(t, 30*time.Second, time.Since(start))
		start = time.Now()
		err = k.p.Quick(context.Background())
		requireDeadline(t, err)
		require.Equal(t, 200*time.Millisecond, time.Since(start), "//daffi:timeout 200ms")
	})
}

func TestT7CancelReachesTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Blocked, k.impl.Ended = make(chan struct{}, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-k.impl.Blocked
			cancel()
		}()
		start := time.Now()
		err := k.p.Block(ctx)
		requireError(t, err, daffi.Canceled, "", daffi.MayHaveRun)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, <-k.impl.Ended, context.Canceled)
		require.Zero(t, time.Since(start))
		synctest.Wait()
		require.Zero(t, k.net.Controller.Stats().Calls)
	})
}

func TestEndedContextSendsNothing(t *testing.T) {
	k := newKit(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := k.p.Add(ctx, 1)
	requireError(t, err, daffi.Canceled, "", daffi.NotRun)
	n, err := k.p.Total(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestCalleeGone(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Blocked = make(chan struct{}, 1)
		go func() {
			<-k.impl.Blocked
			k.server.Close()
		}()
		start := time.Now()
		err := k.p.Block(t.Context())
		e := requireError(t, err, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
		require.Equal(t, "server", e.Node)
		require.Less(t, time.Since(start), 50*time.Millisecond)
	})
}

func TestCallerGone(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Blocked, k.impl.Ended = make(chan struct{}, 1), make(chan error, 1)
		go func() {
			<-k.impl.Blocked
			k.client.Close()
		}()
		err := k.p.Block(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.MayHaveRun)
		require.ErrorIs(t, <-k.impl.Ended, context.Canceled)
	})
}

func TestNestedCallsAreBounded(t *testing.T) {
	k := newKit(t)
	n, err := k.p.Nest(t.Context(), 31)
	require.NoError(t, err)
	require.Equal(t, 32, n)
	n, err = k.p.Nest(t.Context(), 32)
	require.NoError(t, err)
	require.Equal(t, 33, n)
	_, err = k.p.Nest(t.Context(), 33)
	require.Equal(t, daffi.ResourceExhausted, daffi.CodeOf(err))
	require.ErrorContains(t, err, "nested deeper than 32")
}

func TestOneway(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Notes = make(chan string)
		require.NoError(t, k.p.Note(t.Context(), "a"), "returns before the handler does")
		require.Equal(t, "a", <-k.impl.Notes)
		require.NoError(t, k.p.Prepare().Add(5).Post(t.Context()))
		synctest.Wait()
		n, err := k.p.Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, n)
		// Results that nobody wants do not travel.
		require.NoError(t, k.p.Prepare().Echo(make([]byte, 100<<10)).Post(t.Context()), "a large one")
		synctest.Wait()
		require.Zero(t, k.net.Controller.Stats().Calls)
		err = k.p.Prepare().Sum(0, nil).Post(t.Context())
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
	})
}

func TestOnewayOutlivesItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Blocked, k.impl.Ended = make(chan struct{}, 1), make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, k.p.Prepare().Block().Post(ctx))
		<-k.impl.Blocked
		require.NoError(t, k.client.Close())
		synctest.Wait()
		select {
		case err := <-k.impl.Ended:
			t.Fatalf("ended with its caller: %v", err)
		default:
		}
		time.Sleep(2 * time.Minute)
		require.ErrorIs(t, <-k.impl.Ended, context.DeadlineExceeded)
	})
}

func TestD39LIM11AdmissionLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server := net.NodeWith(daffi.Options{Name: "server", MaxRunning: 4, MaxRunningPerCaller: 3, MaxQueue: 2})
		impl := &testkit.Impl{Ended: make(chan error, 100)}
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		client := net.Node("client")
		p := testkit.NewKit(client)
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 10)
		for range 5 { // three run, two wait
			go func() { results <- p.Block(ctx) }()
		}
		synctest.Wait()
		err = p.Add(ctx, 1)
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)

		// Another caller's first call finds the fourth place, its second that of one that waits for the first caller, its third none.
		second := testkit.NewKit(net.Node("second"))
		require.NoError(t, second.Add(ctx, 1))
		synctest.Wait() // a call gives its place back after its reply
		go func() { results <- second.Block(ctx) }()
		synctest.Wait()
		go func() { results <- second.Block(ctx) }()
		requireError(t, <-results, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		err = second.Add(ctx, 1)
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)

		cancel()
		for range 6 {
			requireError(t, <-results, daffi.Canceled, "", daffi.MayHaveRun)
		}
		synctest.Wait()
		require.NoError(t, p.Add(t.Context(), 1), "the places are free again")
		require.Zero(t, net.Controller.Stats().Calls)
	})
}

func TestD13SEM17ShutdownDrains(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Blocked = make(chan struct{}, 1)
		result := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() { result <- k.p.Block(ctx) }()
		<-k.impl.Blocked
		down := make(chan error, 1)
		go func() { down <- k.server.Shutdown(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-down:
			t.Fatalf("did not wait for the running call: %v", err)
		default:
		}
		err := k.p.Add(t.Context(), 1)
		requireError(t, err, daffi.Unavailable, daffi.ReasonDraining, daffi.NotRun)
		time.Sleep(11 * time.Second)
		requireDeadline(t, <-result)
		require.NoError(t, <-down)
		require.NoError(t, k.server.Shutdown(t.Context()), "again")
		require.NoError(t, k.server.Close(), "and again")
	})
}

func TestD13SEM17LIM23ShutdownIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Blocked = make(chan struct{}, 1)
		result := make(chan error, 1)
		go func() { result <- k.p.Block(t.Context()) }()
		<-k.impl.Blocked
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, k.server.Shutdown(ctx), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(start), 2*time.Second)
		requireError(t, <-result, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
	})
}

func TestD66ReservedNames(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for _, name := range []string{"daffi", "daffi.Tasks", "daffi."} {
			_, err := testkit.RegisterKit(k.server, k.impl, daffi.As(name))
			requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
			require.ErrorContains(t, err, "names that begin with daffi. are daffi's own")
		}
		for _, name := range []string{"daffi2", "Daffi.Tasks", "my.daffi.Tasks"} {
			reg, err := testkit.RegisterKit(k.server, k.impl, daffi.As(name))
			require.NoError(t, err)
			require.NoError(t, reg.Close())
		}
	})
}

func TestD37RegistrationComesAndGoes(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		_, err := testkit.RegisterKit(k.server, k.impl)
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		_, err = testkit.RegisterKit(k.server, nil)
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		reg, err := testkit.RegisterKit(k.server, k.impl, daffi.As("Second"))
		require.NoError(t, err)
		require.Equal(t, "Second", reg.Service())
		require.NoError(t, k.client.WaitMethod(t.Context(), "Second.Echo"))
		require.NoError(t, reg.Close())
		require.NoError(t, reg.Close())
		synctest.Wait()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = k.client.WaitMethod(ctx, "Second.Echo")
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
		require.ErrorContains(t, err, "Second.Echo")
	})
}
