package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/idempotent"
)

// TestT2EverythingSettlesOnce makes calls in every way while connections are cut, and cancels some: each has one end, what was posted and failed is told of once, nothing runs
// twice, and nothing is left.
func TestT2EverythingSettlesOnce(t *testing.T) {
	for seed := range uint64(testkit.Full(5, 8)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { settleAll(t, rand.New(rand.NewPCG(seed, 5))) })
		})
	}
}

func settleAll(t *testing.T, rnd *rand.Rand) {
	const calls = 300
	k, w := newKit(t), new(wire)
	w.ctl = k.net.Controller
	var lost, ends, failed atomic.Int64
	client := connect(t, daffi.Options{Name: "far", Controller: w, ResumeGrace: -1, OnLost: func(daffi.LostCall) { lost.Add(1) }})
	p := testkit.NewKit(client).Prepare()
	futures, posted, adds := 0, 0, 0
	for range calls {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(5000)+1)*time.Millisecond)
		defer cancel()
		c := p.Add(1)
		if rnd.IntN(3) == 0 {
			c = c.With(daffi.After(time.Duration(rnd.IntN(2000)) * time.Millisecond))
		}
		switch rnd.IntN(4) {
		case 0:
			if c.With(none).Post(ctx) == nil {
				posted++
				adds++
			}
		case 1:
			if p.Echo(noise(100_000)).With(none).Post(ctx) == nil {
				posted++
			}
		default:
			futures++
			adds++
			f := c.Go(ctx)
			f.OnDone(func(r daffi.Result[struct{}]) {
				ends.Add(1)
				if r.Err != nil {
					failed.Add(1)
				}
			})
			if rnd.IntN(5) == 0 {
				time.AfterFunc(time.Duration(rnd.IntN(1000))*time.Millisecond, f.Cancel)
			}
		}
		switch rnd.IntN(30) {
		case 0:
			w.last().Close()
		case 1:
			w.last().Stall(true)
			time.AfterFunc(100*time.Millisecond, func() { w.last().Stall(false) })
		}
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
	}
	require.NoError(t, client.Flush(t.Context()))
	time.Sleep(time.Minute)
	synctest.Wait()
	require.Equal(t, int64(futures), ends.Load())
	require.Zero(t, daffi.Working(client))
	require.Empty(t, client.Held())
	var counted uint64
	for _, n := range client.Lost() {
		counted += n
	}
	require.Equal(t, int64(counted), lost.Load())
	require.Less(t, lost.Load(), int64(posted))
	total, err := testkit.NewKit(k.server).Total(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, total, adds)
	require.GreaterOrEqual(t, total, futures-int(failed.Load()), "those that have not failed have run")
	t.Logf("%d futures, %d failed; %d posted, %d lost", futures, failed.Load(), posted, lost.Load())
}

// TestI5AckNoneOverACut posts over a connection that is cut again and again, at either end and also under large requests, and goes on over the next one: nothing is lost, nothing runs
// twice, and nothing is left out by Flush.
func TestI5AckNoneOverACut(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { postOverCuts(t, rand.New(rand.NewPCG(seed, 6))) })
		})
	}
}

func postOverCuts(t *testing.T, rnd *rand.Rand) {
	client := &line{latency: time.Millisecond}
	t.Cleanup(client.path.Wait)
	server := newLine(t, resuming())
	server.latency, client.ctl = time.Millisecond, server.ctl
	_, err := testkit.RegisterKit(connect(t, server.options("server")), new(testkit.Impl))
	require.NoError(t, err)
	var lost atomic.Int64
	o := client.options("client")
	o.OnLost = func(c daffi.LostCall) { lost.Add(1); t.Log(c) }
	n := connect(t, o)
	p := testkit.NewKit(n)
	post := p.Prepare().Add(1).With(none)
	adds := 0
	for i := range 200 {
		require.NoError(t, post.Post(t.Context()))
		adds++
		switch rnd.IntN(12) {
		case 0:
			a, b := client.last()
			[]*memconn.Conn{a, b}[rnd.IntN(2)].Close()
		case 1:
			a, b := server.last()
			[]*memconn.Conn{a, b}[rnd.IntN(2)].Close()
		case 2:
			require.NoError(t, p.Prepare().Echo(noise(100_000)).With(none).Post(t.Context()))
		case 3:
			require.NoError(t, post.With(daffi.After(time.Duration(rnd.IntN(50))*time.Millisecond)).Post(t.Context()))
			adds++
		}
		time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
		if i%50 == 49 {
			require.NoError(t, n.Flush(t.Context()))
			require.Zero(t, daffi.Working(n))
		}
	}
	time.Sleep(testGrace)
	total, err := p.Total(t.Context())
	require.NoError(t, err)
	require.Equal(t, adds, total)
	require.Zero(t, lost.Load())
	require.Empty(t, n.Lost())
	require.Empty(t, n.Held())
	require.Positive(t, server.ctl.Stats().Resumed)
	require.Zero(t, server.ctl.Stats().Calls)
}

// TestT2EverythingSettlesAtTheEnd closes a node, or shuts it down, while it calls in every way: what was begun ends, what was posted has run or is told of, and nothing goes on.
func TestT2EverythingSettlesAtTheEnd(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { endAll(t, rand.New(rand.NewPCG(seed, 7)), seed%2 == 0) })
		})
	}
}

func endAll(t *testing.T, rnd *rand.Rand, drain bool) {
	client := &line{latency: time.Millisecond}
	t.Cleanup(client.path.Wait)
	server := newLine(t, resuming())
	client.ctl = server.ctl
	for _, name := range []string{"a", "b"} {
		n := connect(t, server.options(name))
		_, err := idempotent.RegisterStore(n, &store{on: func(ctx context.Context, _ daffi.CallInfo) {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}})
		require.NoError(t, err)
	}
	impl := new(testkit.Impl)
	_, err := testkit.RegisterKit(connect(t, server.options("kit")), impl)
	require.NoError(t, err)
	var told, lost, begun, ended, tried, posted, notRun atomic.Int64
	o := client.options("client")
	o.OnLost = func(c daffi.LostCall) {
		told.Add(1)
		if c.Method == "Kit.Add" {
			lost.Add(1)
			ifNotRun(&notRun, c.Err)
		}
	}
	n := connect(t, o)
	p, get := testkit.NewKit(n).Prepare(), idempotent.NewClient(n).Prepare().Get("k")
	levels := []daffi.Ack{daffi.AckNone, daffi.AckAccepted, daffi.AckAdmitted}
	var callers sync.WaitGroup
	for i := range 6 {
		rnd := rand.New(rand.NewPCG(rnd.Uint64(), uint64(i)))
		callers.Go(func() {
			for closed := false; !closed; {
				var err error
				after := daffi.After(time.Duration(max(rnd.IntN(20)-10, 0)) * time.Millisecond)
				switch rnd.IntN(5) {
				case 0:
					f := get.With(daffi.Hedge(2*time.Millisecond), after).Go(context.Background())
					begun.Add(1)
					f.OnDone(func(daffi.Result[string]) { ended.Add(1) })
					time.Sleep(time.Duration(rnd.IntN(8)) * time.Millisecond)
					err = f.Err(context.Background())
				case 1:
					err = p.Echo(noise(100_000)).With(none, after).Post(context.Background())
				case 2:
					err = n.Flush(context.Background())
				default:
					tried.Add(1)
					if err = p.Add(1).With(daffi.WithAck(levels[rnd.IntN(3)]), after).Post(context.Background()); err == nil {
						posted.Add(1)
					}
					ifNotRun(&notRun, err)
				}
				e, _ := errors.AsType[*daffi.Error](err)
				closed = e != nil && e.Reason == daffi.ReasonClosed
				time.Sleep(time.Duration(rnd.IntN(3)+1) * time.Millisecond)
			}
		})
	}
	time.Sleep(time.Duration(rnd.IntN(100)+20) * time.Millisecond)
	if rnd.IntN(3) == 0 {
		x, _ := client.last()
		x.Close()
	}
	if drain {
		require.NoError(t, n.Shutdown(t.Context()))
	} else {
		require.NoError(t, n.Close())
	}
	callers.Wait()
	require.NoError(t, n.Flush(t.Context()))
	synctest.Wait()
	require.Zero(t, daffi.Working(n))
	require.Equal(t, begun.Load(), ended.Load())
	var counted uint64
	for _, k := range n.Lost() {
		counted += k
	}
	require.Equal(t, int64(counted), told.Load())
	time.Sleep(time.Minute)
	other := connect(t, server.options("other"))
	total, err := testkit.NewKit(other).Total(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, int64(total)+lost.Load(), posted.Load())
	require.LessOrEqual(t, int64(total), tried.Load()-notRun.Load(), "what did not run did not")
	t.Logf("%d futures, %d posted, %d run, %d lost", begun.Load(), posted.Load(), total, lost.Load())
	require.Zero(t, server.ctl.Stats().Calls)
	require.Zero(t, server.ctl.Stats().Serving)
}

// ifNotRun counts an error that says NotRun.
func ifNotRun(n *atomic.Int64, err error) {
	if err != nil && daffi.OutcomeOf(err) == daffi.NotRun {
		n.Add(1)
	}
}
