package daffi_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// What was not sent by a link that has just been closed waits for the next one.
func TestT3CallAtTheEndOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w := stalledPair(t)
		fresh := testkit.NewKit(k.client)
		for i := range 20 {
			w.links[len(w.links)-1].Close(errors.New("cut"))
			switch i % 4 {
			case 0:
				_, err := k.p.Echo(t.Context(), nil)
				require.NoError(t, err)
			case 1:
				_, err := fresh.Echo(t.Context(), nil)
				require.NoError(t, err)
			case 2:
				for _, err := range k.p.Count(t.Context(), 1, "") {
					require.NoError(t, err)
				}
			case 3:
				_, err := k.p.Sum(t.Context(), 0, numbers(10))
				require.NoError(t, err)
			}
		}
		w.links[len(w.links)-1].Close(errors.New("cut"))
		reg, err := testkit.RegisterKit(k.client, new(testkit.Impl), daffi.As("Late"))
		require.NoError(t, err)
		require.NoError(t, k.server.WaitMethod(t.Context(), "Late.Echo"))
		w.links[len(w.links)-1].Close(errors.New("cut"))
		require.NoError(t, reg.Close())
	})
}

func TestD34DeadlineOfTheProxyBoundsTheFirstCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, w := stalledPair(t)
		w.last().Stall(true)
		for _, p := range []*testkit.KitProxy{testkit.NewKit(k.client), testkit.NewKit(k.client, daffi.To("server"))} {
			start := time.Now()
			err := p.Quick(context.Background())
			requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
			require.Equal(t, 200*time.Millisecond, time.Since(start))
		}
		w.last().Stall(false)
	})
}

// A service that is registered while its node joins is known to the controller in the end.
func TestRegisterWhileJoining(t *testing.T) {
	for i := range 60 {
		synctest.Test(t, func(t *testing.T) {
			w := new(wire)
			w.start(t)
			n := daffi.New(daffi.Options{Name: "n", Controller: w})
			t.Cleanup(func() { n.Close() })
			_, err := testkit.RegisterKit(n, new(testkit.Impl))
			require.NoError(t, err)
			go n.Join(t.Context())
			for range i {
				runtime.Gosched()
			}
			_, err = testkit.RegisterKit(n, new(testkit.Impl), daffi.As("Second"))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.NoError(t, n.WaitMethod(ctx, "Second.Echo"), "%d", i)
		})
	}
}
