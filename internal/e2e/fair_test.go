//go:build unix

package e2e

import (
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/e2e/probe"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

// ACC-20: 10 000 streams between two processes at once, each in order, and what one takes of a process while it is idle.
func TestManyStreamsOfProcesses(t *testing.T) {
	onlyNight(t)
	const streams, items = 10_000, 100
	addr := address(t, "unix")
	ctl := controllerAt(t, addr)
	provider := start(t, "provider", "-addr", addr, "-running", "20000")
	provider.wait("ready")
	p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}))
	echo(t, p)
	before := []int{ctl.resident(t), provider.resident(t)}
	next := make([]func() (int, error, bool), streams)
	for i := range next {
		seq, stop := iter.Pull2(p.Count(t.Context(), items))
		defer stop()
		next[i] = seq
		v, err, ok := seq()
		require.True(t, ok)
		require.NoError(t, err)
		require.Zero(t, v)
	}
	time.Sleep(time.Second)
	idle := []int{ctl.resident(t) - before[0], provider.resident(t) - before[1]}
	t.Logf("%d idle streams: %d bytes for each at the controller, %d at the provider", streams, idle[0]/streams, idle[1]/streams)
	for i, seq := range next {
		for want := 1; want < items; want++ {
			v, err, ok := seq()
			require.True(t, ok)
			require.NoError(t, err, "stream %d", i)
			require.Equal(t, want, v)
		}
	}
	most := []int{ctl.memory(t, "VmHWM:"), provider.memory(t, "VmHWM:")}
	t.Logf("the most that was resident: %d MiB at the controller, %d at the provider", most[0]>>20, most[1]>>20)
	for i := range idle {
		assert.LessOrEqual(t, idle[i]/streams, 8<<10)
		assert.LessOrEqual(t, most[i], 200<<20)
	}
}

// load is what active callers and streams did in a while.
type load struct {
	rate float64 // items and calls a second
	p99  time.Duration
}

// active lets 50 callers and 50 streams go on for some time.
func active(t *testing.T, p probe.Probe, d time.Duration) load {
	t.Helper()
	var n atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	begun := time.Now()
	for range 50 {
		all.Go(func() {
			var mine []time.Duration
			for time.Since(begun) < d {
				now := time.Now()
				if _, err := p.Echo(t.Context(), make([]byte, 64)); !assert.NoError(t, err) {
					return
				}
				mine = append(mine, time.Since(now))
			}
			n.Add(int64(len(mine)))
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
		all.Go(func() {
			for v, err := range p.Count(t.Context(), math.MaxInt) {
				if !assert.NoError(t, err) || time.Since(begun) >= d {
					return
				}
				if v%100 == 99 {
					n.Add(1)
				}
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return load{float64(n.Load()) / time.Since(begun).Seconds(), took[len(took)*99/100]}
}

// ACC-22: streams and calls beside one stream whose consumer takes nothing, and without it, in turns.
func TestStuckConsumerHarmsNobody(t *testing.T) {
	onlyNight(t)
	addr := address(t, "unix")
	controllerAt(t, addr)
	provider := start(t, "provider", "-addr", addr)
	provider.wait("ready")
	p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}))
	echo(t, p)
	var quiet, beside []load
	const rounds = 15
	measure := func(stuck bool) {
		if !stuck {
			quiet = append(quiet, active(t, p, time.Second))
			return
		}
		next, stop := iter.Pull2(p.Count(t.Context(), math.MaxInt))
		defer stop()
		for range 1 << 20 {
			_, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
		}
		beside = append(beside, active(t, p, time.Second))
	}
	for i := range rounds {
		measure(i%2 == 0)
		measure(i%2 != 0)
	}
	var rates, slower []float64 // of rounds, so that what else the machine does meanwhile matters less
	for i := range rounds {
		rates = append(rates, beside[i].rate/quiet[i].rate)
		slower = append(slower, float64(beside[i].p99)/float64(quiet[i].p99))
	}
	slices.Sort(rates)
	slices.Sort(slower)
	r, q := rates[rounds/2], slower[rounds/2]
	t.Logf("beside a stream that is stuck: %.2f times the rate, about %.0f a second (%.2f to %.2f); %.2f times the p99, about %v (%.2f to %.2f)",
		r, quiet[0].rate, rates[1], rates[rounds-2], q, quiet[0].p99, slower[1], slower[rounds-2])
	assert.GreaterOrEqual(t, r, 0.95)
	assert.LessOrEqual(t, q, 1.2)
}
