package daffi_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/serial"
)

// crew is a Kit that takes ten milliseconds for a call of Add, and notes how many run at a time, and in which order they start.
type crew struct {
	testkit.Impl
	on func(ctx context.Context, n int) error // instead of taking its time

	mu      sync.Mutex
	running int
	most    int
	order   []int
}

func (c *crew) enter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	c.most = max(c.most, c.running)
	c.order = append(c.order, n)
}

func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
}

func (c *crew) Add(ctx context.Context, n int) error {
	c.enter(n)
	defer c.leave()
	if c.on != nil {
		return c.on(ctx, n)
	}
	time.Sleep(10 * time.Millisecond)
	return nil
}

func (c *crew) Count(_ context.Context, n int, _ string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		c.enter(n)
		defer c.leave()
		for i := range n {
			time.Sleep(10 * time.Millisecond)
			if !yield(i, nil) {
				return
			}
		}
	}
}

func (c *crew) seen() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// crewBubble runs f with a kit whose server has a crew, in a bubble of fake time, and wants nothing to be left.
func crewBubble(t *testing.T, o daffi.Options, f func(t *testing.T, k *kit, c *crew), opts ...daffi.ServeOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		o.Name = "server"
		k := &kit{net: net, server: net.NodeWith(o), client: net.Node("client")}
		c := new(crew)
		_, err := testkit.RegisterKit(k.server, c, opts...)
		require.NoError(t, err)
		k.p = testkit.NewKit(k.client)
		f(t, k, c)
		synctest.Wait()
		require.Contains(t, []string{"", "no session"}, k.server.Held())
	})
}

// TestE14Workers: as many as there are workers run at a time, and never more; the others wait their turn, and all run (1, 10 and 50 workers).
func TestE14Workers(t *testing.T) {
	for _, workers := range []int{1, 10, 50} {
		for _, calls := range []int{100, 1000} {
			crewBubble(t, daffi.Options{}, func(t *testing.T, k *kit, c *crew) {
				begun := time.Now()
				var all sync.WaitGroup
				for i := range calls {
					all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), i)) })
				}
				all.Wait()
				require.Equal(t, workers, c.most)
				require.Equal(t, time.Duration(calls/workers)*10*time.Millisecond, time.Since(begun), "no worker was idle")
				require.Len(t, c.seen(), calls)
			}, daffi.Workers(workers))
		}
	}
}

func TestE14WorkersTakeCallsInOrder(t *testing.T) {
	crewBubble(t, daffi.Options{}, func(t *testing.T, k *kit, c *crew) {
		c.on = func(_ context.Context, n int) error {
			if n < 3 { // from here on no two workers are done at the same moment, which one was first nobody could tell
				time.Sleep(time.Duration(n) * time.Millisecond)
			}
			time.Sleep(10 * time.Millisecond)
			return nil
		}
		var all sync.WaitGroup
		var want []int
		for i := range 50 {
			want = append(want, i)
			switch i % 4 {
			case 0:
				require.NoError(t, k.p.Prepare().Add(i).Post(t.Context()))
			default:
				all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), i)) })
			}
			synctest.Wait()
		}
		all.Wait()
		require.Equal(t, want, c.seen())
		require.Equal(t, 3, c.most)
	}, daffi.Workers(3))
}

// The node's own limits hold besides, and workers are no reason to exceed them.
func TestE14WorkersWithinTheLimitsOfTheNode(t *testing.T) {
	crewBubble(t, daffi.Options{MaxRunning: 4, MaxQueue: 6}, func(t *testing.T, k *kit, c *crew) {
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), i)) })
		}
		synctest.Wait()
		requireError(t, k.p.Add(within(t, time.Millisecond), 10), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		all.Wait()
		require.Equal(t, 4, c.most)
	}, daffi.Workers(50))
}

// within is a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestE14QueueIsBounded at its bound and one past it.
func TestE14QueueIsBounded(t *testing.T) {
	for _, room := range []int{0, 1, 5} {
		for _, workers := range []int{1, 3} {
			crewBubble(t, daffi.Options{}, func(t *testing.T, k *kit, c *crew) {
				hold := make(chan struct{})
				c.on = func(ctx context.Context, _ int) error {
					select {
					case <-hold:
					case <-ctx.Done():
					}
					return nil
				}
				var all sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				for i := range workers + room {
					all.Go(func() {
						if err := k.p.Add(ctx, i); ctx.Err() == nil {
							assert.NoError(t, err)
						}
					})
					synctest.Wait()
				}
				one := k.p.Prepare().Add(99)
				e := requireError(t, one.Do(t.Context()), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
				require.Contains(t, e.Message, fmt.Sprintf("%d calls of Kit run and %d wait", workers, room))
				require.Equal(t, "server", e.Node)
				total, err := testkit.NewKit(k.server).Total(within(t, time.Second))
				require.Error(t, err, "the methods share it: %d", total)

				cancel() // who leaves makes room
				synctest.Wait()
				all.Go(func() { assert.NoError(t, one.Do(t.Context())) })
				synctest.Wait()
				close(hold)
				all.Wait()
				require.Equal(t, workers, c.most)
			}, daffi.Workers(workers), daffi.Queue(room))
		}
	}
}

// A reply is sent before its call gives its place back, and the next call of whoever has got it may come in between.
func TestE14CallersThatWaitForTheirRepliesFindRoom(t *testing.T) {
	for callers := range 3 {
		net := daffitest.New(t)
		_, err := testkit.RegisterKit(net.Node("server"), new(testkit.Impl), daffi.Workers(1), daffi.Queue(callers))
		require.NoError(t, err)
		p := testkit.NewKit(net.Node("client"))
		var all sync.WaitGroup
		for range 1 + callers {
			all.Go(func() {
				for i := range 1000 {
					if _, err := p.Prepare().Fail("coded").With(daffi.Retry(0)).Do(t.Context()); !assert.Equal(t, daffi.NotFound, daffi.CodeOf(err), "call %d: %v", i, err) {
						return
					}
				}
			})
		}
		all.Wait()
		e := asError(t, func() error { _, err := p.Fail(t.Context(), "goexit"); return err }())
		require.Equal(t, daffi.ReasonPanic, e.Reason)
		require.NoError(t, p.Add(t.Context(), 1))
	}
}

// What has waited past its deadline makes room.
func TestE14QueueForgetsWhatIsLate(t *testing.T) {
	crewBubble(t, daffi.Options{}, func(t *testing.T, k *kit, c *crew) {
		c.on = func(context.Context, int) error { time.Sleep(10 * time.Second); return nil }
		var all sync.WaitGroup
		all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), 1)) })
		synctest.Wait()
		require.NoError(t, k.p.Prepare().Add(2).Post(within(t, time.Second)), "nobody cancels it")
		time.Sleep(2 * time.Second)
		all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), 3)) })
		all.Wait()
		require.Equal(t, []int{1, 3}, c.seen())
	}, daffi.Workers(1), daffi.Queue(1))
}

func TestE14WorkersAndStreams(t *testing.T) {
	crewBubble(t, daffi.Options{}, func(t *testing.T, k *kit, c *crew) {
		var all sync.WaitGroup
		begun := time.Now()
		for range 4 { // a stream has a worker from its start to its end
			all.Go(func() { assert.NoError(t, drain(k.p.Count(t.Context(), 5, ""))) })
		}
		all.Wait()
		require.Equal(t, 100*time.Millisecond, time.Since(begun))
		require.Equal(t, 2, c.most)

		begun = time.Now()
		for range 4 { // an item stream for each item
			all.Go(func() { assert.NoError(t, testkit.NewMany(k.client).AddEach(t.Context(), numbers(5))) })
		}
		all.Wait()
		require.Equal(t, 100*time.Millisecond, time.Since(begun))
		require.Equal(t, 2, c.most)
	}, daffi.Workers(2))
}

// TestT11WorkersThatCallThemselves: as long as a worker is free, it takes the nested call; when none is, who would wait for itself is refused at once, and nothing hangs.
func TestT11WorkersThatCallThemselves(t *testing.T) {
	for _, workers := range []int{1, 2, 10} {
		crewBubble(t, daffi.Options{Timeout: -1}, func(t *testing.T, k *kit, c *crew) {
			c.on = func(ctx context.Context, n int) error {
				if n == 0 {
					return nil
				}
				return testkit.NewKit(daffi.NodeFrom(ctx)).Add(ctx, n-1)
			}
			begun := time.Now()
			require.NoError(t, k.p.Add(t.Context(), workers-1), "as deep as there are workers")
			err := k.p.Add(t.Context(), workers)
			require.Equal(t, daffi.FailedPrecondition, daffi.CodeOf(err))
			require.ErrorContains(t, err, "reentrant")
			require.Zero(t, time.Since(begun))
			require.Equal(t, workers, c.most)

			var all sync.WaitGroup // all at once: each holds a worker when it calls
			var gate, refused sync.WaitGroup
			gate.Add(workers)
			refused.Add(workers)
			c.on = func(ctx context.Context, n int) error {
				gate.Done()
				gate.Wait()
				requireError(t, testkit.NewKit(daffi.NodeFrom(ctx)).Add(ctx, n), daffi.FailedPrecondition, daffi.ReasonReentrant, daffi.NotRun)
				other := testkit.NewMany(daffi.NodeFrom(ctx)).AddEach(ctx, numbers(3))
				requireError(t, other, daffi.FailedPrecondition, daffi.ReasonReentrant, daffi.NotRun)
				refused.Done()
				refused.Wait() // else one that returns makes room for another's
				return nil
			}
			for i := range workers {
				all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), i)) })
			}
			all.Wait()
			require.Zero(t, time.Since(begun))

			c.on = nil // and all workers are there again
			for i := range workers {
				all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), i)) })
			}
			all.Wait()
			require.Equal(t, 10*time.Millisecond, time.Since(begun))
		}, daffi.Workers(workers))
	}
}

// By way of another node, whose call waits for a worker that will be free.
func TestT11WorkersByWayOfAnotherNode(t *testing.T) {
	crewBubble(t, daffi.Options{}, func(t *testing.T, k *kit, c *crew) {
		far := k.net.Node("far")
		_, err := serial.RegisterDesk(far, &ledger{t: t, free: true, on: func(ctx context.Context, _ string) error {
			return testkit.NewKit(daffi.NodeFrom(ctx)).Add(ctx, 0)
		}})
		require.NoError(t, err)
		c.on = func(ctx context.Context, n int) error {
			if n == 0 {
				time.Sleep(time.Second)
				return nil
			}
			return serial.NewDesk(k.server).Free(ctx, "")
		}
		var all sync.WaitGroup
		all.Go(func() { assert.NoError(t, k.p.Add(t.Context(), 0)) })
		synctest.Wait()
		err = k.p.Add(t.Context(), 1)
		require.ErrorContains(t, err, "Kit has 2 workers, none is free")
		all.Go(func() { assert.NoError(t, serial.NewDesk(k.client).Free(t.Context(), "")) })
		synctest.Wait()
		all.Go(func() { assert.NoError(t, serial.NewDesk(k.client).Free(t.Context(), "")) })
		all.Wait()
		require.NoError(t, k.p.Add(t.Context(), 1), "one is free")
	}, daffi.Workers(2))
}

func TestE14WrongOptions(t *testing.T) {
	k := newKit(t)
	for want, register := range map[string]func() (*daffi.Registration, error){
		"Workers(0)": func() (*daffi.Registration, error) { return testkit.RegisterKit(k.client, k.impl, daffi.Workers(0)) },
		"Queue(-1)": func() (*daffi.Registration, error) {
			return testkit.RegisterKit(k.client, k.impl, daffi.Serial(), daffi.Queue(-1))
		},
		"Queue(5)": func() (*daffi.Registration, error) { return testkit.RegisterKit(k.client, k.impl, daffi.Queue(5)) },
		"Workers(2)": func() (*daffi.Registration, error) {
			return serial.RegisterLedger(k.client, &ledger{t: t}, daffi.Workers(2))
		},
		"Workers(3)": func() (*daffi.Registration, error) {
			return serial.RegisterDesk(k.client, &ledger{t: t}, daffi.Workers(3))
		},
		"Workers(-1)": func() (*daffi.Registration, error) { return handled(k.client, daffi.Workers(-1)) },
		"Queue(6)":    func() (*daffi.Registration, error) { return handled(k.client, daffi.Queue(6)) },
	} {
		_, err := register()
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		require.ErrorContains(t, err, want)
	}
	for _, register := range []func() (*daffi.Registration, error){
		func() (*daffi.Registration, error) {
			return serial.RegisterLedger(k.client, &ledger{t: t}, daffi.Workers(1), daffi.Queue(0))
		},
		func() (*daffi.Registration, error) {
			return serial.RegisterDesk(k.client, &ledger{t: t}, daffi.Queue(1))
		},
		func() (*daffi.Registration, error) { return handled(k.client, daffi.Workers(2), daffi.Queue(1)) },
	} {
		_, err := register()
		require.NoError(t, err)
	}
}

func handled(n *daffi.Node, opts ...daffi.ServeOption) (*daffi.Registration, error) {
	return daffi.Handle(n, "Tea.Brew", func(_ context.Context, s string) (string, error) { return s, nil }, opts...)
}

// TestE13CallFrom, TestD38NodeFrom: what a handler knows of its call.
func TestE13CallFrom(t *testing.T) {
	k := newKit(t)
	var infos []daffi.CallInfo
	_, err := daffi.Handle(k.server, "Tea.Brew", func(ctx context.Context, s string) (string, error) {
		info, ok := daffi.CallFrom(ctx)
		require.True(t, ok)
		infos = append(infos, info)
		require.Same(t, k.server, daffi.NodeFrom(ctx))
		return s, nil
	})
	require.NoError(t, err)
	b := daffi.Bind(k.client, &daffi.Client{Service: "Tea", Methods: []daffi.Method{{Name: "Brew", Sig: "(string)(string)", Idempotent: true}}})
	call := daffi.NewAction(b, 0, func(e *codec.Encoder) { e.Array(1); e.String("") })
	require.NoError(t, call.Do(t.Context()))
	require.NoError(t, call.Do(t.Context()))
	for _, info := range infos {
		require.Len(t, info.ID, 32)
		require.Equal(t, daffi.CallInfo{Method: "Tea.Brew", Caller: "client", ID: info.ID}, info)
	}
	require.NotEqual(t, infos[0].ID, infos[1].ID, "of two calls")
	_, ok := daffi.CallFrom(t.Context())
	require.False(t, ok)
	require.Nil(t, daffi.NodeFrom(t.Context()))
}
