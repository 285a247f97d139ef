package daffi_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// The input is complete, the output is not: leaving the loop must still reach the callee, and the call's slot is free for the next one.
func TestLeavingAfterTheInputHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		line := strings.Repeat("x", 500)
		for range 3 {
			for _, err := range k.p.Chat(t.Context(), func(yield func(string, error) bool) {
				for range 100 {
					if !yield(line, nil) {
						return
					}
				}
			}) {
				require.NoError(t, err)
				synctest.Wait() // what is left waits at the callee for credit
				break
			}
			k.requireQuiet(t)
			require.Zero(t, k.net.Controller.Stats().Serving)
			_, err := k.p.Echo(t.Context(), nil)
			require.NoError(t, err)
		}
	})
}

// A cancel in the bulk lane is overtaken by the next small request, which takes the same slot.
func TestSlotIsUsedAgainBeforeTheCancelArrives(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for i := range 50 {
			for _, err := range k.p.Chat(t.Context(), func(yield func(string, error) bool) {
				for yield("again", nil) {
				}
			}) {
				require.NoError(t, err)
				break
			}
			_, err := k.p.Echo(t.Context(), nil)
			require.NoError(t, err, "after %d streams", i)
		}
		k.requireQuiet(t)
		require.Zero(t, k.net.Controller.Stats().Serving)
	})
}

// stalledPair is a server in memory and a client behind a connection that can be stalled.
func stalledPair(t *testing.T) (k *kit, w *wire) {
	k, w = newKit(t), new(wire)
	w.ctl = k.net.Controller
	k.client = connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff})
	k.p = testkit.NewKit(k.client)
	_, err := k.p.Echo(t.Context(), nil)
	require.NoError(t, err)
	return k, w
}

// fill makes calls in the background until the connection takes nothing more.
func (k *kit) fill(t *testing.T, n int) (wait func()) {
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := k.p.Echo(t.Context(), noise(60<<10))
			errs <- err
		}()
	}
	synctest.Wait()
	return func() {
		for range n {
			require.NoError(t, <-errs)
		}
	}
}

func TestCancelDoesNotOvertakeItsRequest(t *testing.T) {
	for _, size := range []int{10, 20 << 10, 100 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, w := stalledPair(t)
				for range 3 {
					w.last().Stall(true)
					wait := k.fill(t, 4)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err := k.p.Echo(ctx, noise(size))
					cancel()
					require.ErrorIs(t, err, context.DeadlineExceeded)
					again := make(chan error)
					go func() { // in the slot that has just become free
						_, err := k.p.Echo(t.Context(), nil)
						again <- err
					}()
					synctest.Wait()
					w.last().Stall(false)
					require.NoError(t, <-again)
					wait()
				}
				k.requireQuiet(t)
				require.Zero(t, k.net.Controller.Stats().Serving)
			})
		})
	}
}

// The same between the controller and a callee whose connection is slow.
func TestCancelDoesNotOvertakeItsRequestToTheCallee(t *testing.T) {
	for _, size := range []int{10, 20 << 10, 100 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, w := newKit(t), new(wire)
				w.ctl = k.net.Controller
				far := connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff})
				_, err := testkit.RegisterKit(far, new(testkit.Impl))
				require.NoError(t, err)
				k.p = testkit.NewKit(k.client, daffi.To("far"))
				for range 3 {
					w.last().Stall(true)
					wait := k.fill(t, 4)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err := k.p.Echo(ctx, noise(size))
					cancel()
					require.ErrorIs(t, err, context.DeadlineExceeded)
					again := make(chan error)
					go func() {
						_, err := k.p.Echo(t.Context(), nil)
						again <- err
					}()
					synctest.Wait()
					w.last().Stall(false)
					require.NoError(t, <-again)
					wait()
				}
				k.requireQuiet(t)
				require.Zero(t, k.net.Controller.Stats().Serving)
			})
		})
	}
}

// noise is n bytes that do not compress.
func noise(n int) []byte { return noises()[:n:n] }

var noises = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20)
	rand.Read(b)
	return b
})
