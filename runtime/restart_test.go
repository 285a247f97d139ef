package daffi_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// unhurried takes its time for everything.
type unhurried struct{ testkit.Impl }

func (u *unhurried) Echo(_ context.Context, b []byte) ([]byte, error) {
	time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
	return b, nil
}

func (u *unhurried) Count(_ context.Context, n int, _ string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			time.Sleep(time.Millisecond)
			if !yield(i, nil) {
				return
			}
		}
	}
}

// TestACC31RollingRestart restarts three providers, one after the other, while 1 000 calls a second and some streams are made: none fails, and each is answered by
// one of them.
func TestACC31RollingRestart(t *testing.T) {
	restarts := testkit.Full(12, 100)
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		w.start(t)
		serve := func(i int) *daffi.Node {
			n := daffi.New(daffi.Options{Name: fmt.Sprintf("p%d", i), Controller: w})
			_, err := testkit.RegisterKit(n, new(unhurried))
			require.NoError(t, err)
			require.NoError(t, n.Join(t.Context()))
			return n
		}
		providers := []*daffi.Node{serve(0), serve(1), serve(2)}
		client := connect(t, daffi.Options{Name: "client", Controller: w})
		p := testkit.NewKit(client)
		require.NoError(t, p.WaitReady(t.Context()))

		ctx, stop := context.WithCancel(t.Context())
		var calls, streams atomic.Int64
		var work sync.WaitGroup
		every := func(d time.Duration, do func()) {
			work.Go(func() {
				for ctx.Err() == nil {
					work.Go(do)
					time.Sleep(d)
				}
			})
		}
		every(time.Millisecond, func() {
			b, err := p.Echo(t.Context(), []byte{7})
			if err != nil || len(b) != 1 {
				t.Errorf("call %d: %v", calls.Load(), err)
			}
			calls.Add(1)
		})
		every(10*time.Millisecond, func() {
			n := 0
			for i, err := range p.Count(t.Context(), 30, "") {
				if err != nil || i != n {
					t.Errorf("stream %d: item %d is %d, %v", streams.Load(), n, i, err)
					return
				}
				n++
			}
			if n != 30 {
				t.Errorf("stream %d ended after %d items", streams.Load(), n)
			}
			streams.Add(1)
		})
		for k := range restarts {
			time.Sleep(50 * time.Millisecond)
			i := k % len(providers)
			drain, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			require.NoError(t, providers[i].Shutdown(drain))
			cancel()
			providers[i] = serve(i)
		}
		stop()
		work.Wait()
		require.Greater(t, calls.Load(), int64(restarts*50))
		require.Greater(t, streams.Load(), int64(restarts*5))
		for _, n := range providers {
			require.NoError(t, n.Close())
		}
	})
}
