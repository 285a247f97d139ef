package daffi_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

func TestHooksRunInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := daffi.New(daffi.Options{})
		var ran []int
		hold := make(chan struct{})
		for i := range 10 {
			require.True(t, daffi.Notify(n, func() {
				ran = append(ran, i)
				switch i {
				case 3:
					panic("a hook")
				case 5:
					runtime.Goexit()
				case 7:
					<-hold
				}
			}))
		}
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, ran)
		close(hold)
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, ran)
		require.NoError(t, n.Close())
		require.False(t, daffi.Notify(n, func() { t.Error("after the end") }))
	})
}

func TestLIM32HooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(testkit.Journal)
		n := daffi.New(daffi.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
		hold, ran := make(chan struct{}), 0
		require.True(t, daffi.Notify(n, func() { <-hold }))
		synctest.Wait()
		for range daffi.MaxHooks {
			require.True(t, daffi.Notify(n, func() { ran++ }))
		}
		require.False(t, daffi.Notify(n, func() { t.Error("one more than there is room for") }))
		close(hold)
		require.NoError(t, n.Close())
		require.Equal(t, daffi.MaxHooks, ran, "Close waits for them")
		require.Contains(t, log.String(), "dropped=1")
	})
}

func TestShutdownWaitsForTheBackground(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		var ends []func()
		for range daffi.MaxBackground {
			end, err := daffi.Background(k.client)
			require.NoError(t, err)
			ends = append(ends, end)
		}
		_, err := daffi.Background(k.client)
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)

		start := time.Now()
		time.AfterFunc(time.Minute, func() {
			for _, end := range ends {
				end()
			}
		})
		require.NoError(t, k.client.Shutdown(context.Background()))
		require.Equal(t, time.Minute, time.Since(start))
		_, err = daffi.Background(k.client)
		requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
	})
}

func TestShutdownWaitsForTheBackgroundNoLongerThanItMay(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		end, err := daffi.Background(k.client)
		require.NoError(t, err)
		defer end()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		requireDeadline(t, k.client.Shutdown(ctx))
		require.Equal(t, time.Minute+time.Second/2, time.Since(start), "and Close half a second")
	})
}

// A node that leaves and has lost its controller does not wait for another one.
func TestCallsEndWhenTheNodeLeavesWithoutAController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w := newKit(t), new(wire)
		w.ctl = k.net.Controller
		k.client = connect(t, daffi.Options{Name: "far", Controller: w, ResumeGrace: -1})
		k.p = testkit.NewKit(k.client)
		end, err := daffi.Background(k.client)
		require.NoError(t, err)
		done := make(chan error)
		go func() { done <- k.client.Shutdown(context.Background()) }()
		synctest.Wait()
		w.last().Close()
		synctest.Wait()
		start := time.Now()
		_, err = k.p.Echo(t.Context(), nil)
		requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
		require.Zero(t, time.Since(start))
		end()
		require.NoError(t, <-done)
	})
}
