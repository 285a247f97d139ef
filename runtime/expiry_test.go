package daffi_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// TestDeadlinesOfOneSession has calls with different deadlines of daffi's own under way at a time, later and earlier ones in turn: each ends at
// its own, to the nanosecond, its handler as well, and others go on.
func TestDeadlinesOfOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		impl := &testkit.Impl{Ended: make(chan error, 100)}
		_, err := testkit.RegisterKit(net.NodeWith(daffi.Options{Name: "server"}), impl)
		require.NoError(t, err)
		p := testkit.NewKit(net.NodeWith(daffi.Options{Name: "client", Timeout: 10 * time.Second}))
		start := time.Now()
		type end struct {
			after time.Duration
			err   error
		}
		long, short := make(chan end, 100), make(chan end, 100)
		call := func(ends chan end, method func(context.Context) error) {
			begin := time.Now()
			go func() {
				err := method(context.Background())
				ends <- end{time.Since(begin), err}
			}()
			synctest.Wait()
		}
		const rounds = 5
		for range rounds {
			call(long, p.Block) // 10 s
			call(short, p.Quick)
			require.NoError(t, p.Add(context.Background(), 1)) // ends before its deadline
			time.Sleep(time.Second)
		}
		check := func(ends chan end, after time.Duration) {
			t.Helper()
			for range rounds {
				e := <-ends
				requireDeadline(t, e.err)
				require.Equal(t, after, e.after)
			}
		}
		check(short, 200*time.Millisecond)
		require.Less(t, time.Since(start), 10*time.Second)
		check(long, 10*time.Second)
		for range rounds {
			require.ErrorIs(t, <-impl.Ended, context.DeadlineExceeded)
		}

		// After a time with nothing under way the timer is set again.
		time.Sleep(time.Minute)
		call(short, p.Quick)
		e := <-short
		requireDeadline(t, e.err)
		require.Equal(t, 200*time.Millisecond, e.after)
	})
}
