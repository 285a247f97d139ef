package daffi_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// Callers share the room to wait: whoever has less than the others gets in, and the newest call of the one that has most is refused for it.
func TestCallersShareTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		const room = 12
		server := net.NodeWith(daffi.Options{Name: "server", MaxRunning: 1, MaxQueue: room})
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var waiting [3]atomic.Int32 // or running
		var callers sync.WaitGroup
		call := func(caller int, p *testkit.KitProxy) {
			waiting[caller].Add(1)
			callers.Go(func() {
				err := p.Block(ctx)
				waiting[caller].Add(-1)
				if ctx.Err() == nil {
					requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
				}
			})
		}
		counts := func() (n [3]int32) {
			time.Sleep(time.Second) // those that were refused have tried again
			synctest.Wait()
			for i := range n {
				n[i] = waiting[i].Load()
			}
			return n
		}
		var p [3]*testkit.KitProxy
		for i := range p {
			p[i] = testkit.NewKit(net.Node(fmt.Sprint("caller-", i)))
		}
		for range 3 * room {
			call(0, p[0])
		}
		require.Equal(t, [3]int32{1 + room, 0, 0}, counts(), "one alone has all")
		call(1, p[1])
		require.Equal(t, [3]int32{room, 1, 0}, counts())
		for range 3 * room {
			call(1, p[1])
		}
		require.Equal(t, [3]int32{1 + room/2, room / 2, 0}, counts())
		for range room {
			call(2, p[2])
		}
		require.Equal(t, [3]int32{1 + room/3, room / 3, room / 3}, counts())
		call(0, p[0])
		require.Equal(t, [3]int32{1 + room/3, room / 3, room / 3}, counts(), "who has its share pushes nobody out")
		cancel()
		callers.Wait()
		synctest.Wait()
		require.Empty(t, server.Held())
	})
}

// Large requests that wait share their room as well.
func TestCallersShareTheRoomOfLargeRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server := net.NodeWith(daffi.Options{Name: "server", MaxRunning: 1})
		impl := &testkit.Impl{Blocked: make(chan struct{}, 1)}
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		greedy, other := testkit.NewKit(net.Node("greedy")), testkit.NewKit(net.Node("other"))
		ctx, release := context.WithCancel(t.Context())
		defer release()
		var calls sync.WaitGroup
		calls.Go(func() { greedy.Block(ctx) })
		<-impl.Blocked
		b := make([]byte, 4<<20-10)
		var busy atomic.Int32
		for range 20 { // 16 fit
			calls.Go(func() {
				if _, err := greedy.Echo(t.Context(), b); err != nil {
					requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
					busy.Add(1)
				}
			})
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 4, busy.Load())
		calls.Go(func() {
			_, err := other.Echo(t.Context(), b)
			require.NoError(t, err)
		})
		time.Sleep(time.Second)
		require.EqualValues(t, 5, busy.Load())
		release()
		calls.Wait()
		require.EqualValues(t, 5, busy.Load())
		synctest.Wait()
		require.Empty(t, server.Held())
	})
}

// A large request that finds the places to wait taken needs its share of those, and not of the room of large ones, of which there is enough.
func TestLargeRequestsShareOnlyWhatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, room = 17, 40
		net := daffitest.New(t)
		server := net.NodeWith(daffi.Options{Name: "server", MaxRunning: 1, MaxQueue: room})
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		ctx, release := context.WithCancel(t.Context())
		defer release()
		var busy atomic.Int32
		var calls sync.WaitGroup
		block := func(p *testkit.KitProxy) {
			calls.Go(func() {
				if err := p.Block(ctx); ctx.Err() == nil {
					requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
					busy.Add(1)
				}
			})
		}
		greedy := testkit.NewKit(net.Node("greedy"))
		for i := range callers - 1 {
			block(testkit.NewKit(net.Node(fmt.Sprint("caller-", i))))
		}
		for range room + 1 - (callers - 1) {
			block(greedy)
		}
		time.Sleep(time.Second)
		require.Zero(t, busy.Load())
		calls.Go(func() {
			_, err := testkit.NewKit(net.Node("other")).Echo(t.Context(), make([]byte, 4<<20-10))
			require.NoError(t, err)
		})
		time.Sleep(time.Second)
		require.EqualValues(t, 1, busy.Load(), "one of the greedy")
		release()
		calls.Wait()
		synctest.Wait()
		require.Empty(t, server.Held())
	})
}
