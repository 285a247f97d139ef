package daffi_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// A call runs until its last frame was taken, not until its handler has returned.
func TestShutdownDeliversWhatHandlersHaveReturned(t *testing.T) {
	t.Run("replies", func(t *testing.T) {
		for _, size := range []int{10, 20 << 10, 100 << 10, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				k, w := newKit(t), new(wire)
				w.ctl = k.net.Controller
				far := connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff})
				_, err := testkit.RegisterKit(far, new(testkit.Impl))
				require.NoError(t, err)
				k.p = testkit.NewKit(k.client, daffi.To("far"))
				b, done := noise(size), make(chan error, 4)
				for range cap(done) {
					go func() {
						for {
							if _, err := k.p.Echo(t.Context(), b); err != nil {
								done <- err
								return
							}
						}
					}()
				}
				for range 20 {
					_, err := k.p.Echo(t.Context(), b)
					require.NoError(t, err)
				}
				require.NoError(t, far.Shutdown(t.Context()))
				for range cap(done) {
					require.Equal(t, daffi.NotRun, daffi.OutcomeOf(<-done), "%d bytes", size)
				}
			})
		}
	})
	t.Run("stream", func(t *testing.T) {
		bubble(t, func(t *testing.T, k *kit) {
			next, stop := iter.Pull2(k.p.Count(t.Context(), 30_000, ""))
			defer stop()
			_, err, _ := next()
			require.NoError(t, err)
			synctest.Wait()
			ended := make(chan error)
			go func() { ended <- k.server.Shutdown(context.Background()) }()
			time.Sleep(time.Second)
			n := 1
			for {
				_, err, ok := next()
				if !ok {
					break
				}
				require.NoError(t, err, "after %d", n)
				n++
			}
			require.Equal(t, 30_000, n)
			require.NoError(t, <-ended)
		})
	})
}

func TestCloseEndsOnewayHandlers(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		require.NoError(t, k.p.Prepare().Block().Post(t.Context()))
		synctest.Wait()
		start := time.Now()
		require.NoError(t, k.server.Close())
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, <-k.impl.Ended, context.Canceled)
	})
}

func TestCloseTakesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w := stalledPair(t)
		w.last().Stall(true)
		k.fill(t, 4)
		start := time.Now()
		require.NoError(t, k.client.Close())
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}
