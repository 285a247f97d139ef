package daffi_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// TestT2EverythingSettlesOnce makes calls in every way while connections are cut, and cancels some: each has one end, what was posted and failed is told of once, nothing runs
// twice, and nothing is left.
func TestT2EverythingSettlesOnce(t *testing.T) {
	for seed := range uint64(8) {
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
