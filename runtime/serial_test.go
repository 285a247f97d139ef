package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/serial"
)

// ledger implements the golden serial services. It notes who runs, and fails the test when two do.
type ledger struct {
	t    *testing.T
	on   func(ctx context.Context, who string) error // what a handler does; nil: it takes a second
	free bool                                        // calls may run at the same time

	mu      sync.Mutex
	running int
	log     []string
}

func (l *ledger) Enter(ctx context.Context, who string) error {
	l.mu.Lock()
	l.log = append(l.log, who)
	if l.running++; l.running > 1 && !l.free {
		l.t.Errorf("%s runs beside another", who)
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.running--
		l.mu.Unlock()
	}()
	if l.on != nil {
		return l.on(ctx, who)
	}
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *ledger) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.log)
}

func (l *ledger) Note(ctx context.Context, who string) error { return l.Enter(ctx, who) }

func (l *ledger) Watch(ctx context.Context, who string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if err := l.Enter(ctx, who); err != nil {
			yield(0, err)
			return
		}
		for i := range 3 {
			time.Sleep(time.Second)
			if !yield(i, nil) {
				return
			}
		}
	}
}

func (l *ledger) Fill(ctx context.Context, who string, in iter.Seq2[int, error]) (sum int, err error) {
	if err := l.Enter(ctx, who); err != nil {
		return 0, err
	}
	for n, err := range in {
		if err != nil {
			return sum, err
		}
		sum += n
	}
	return sum, nil
}

func (l *ledger) First(ctx context.Context, who string) error  { return l.Enter(ctx, who) }
func (l *ledger) Second(ctx context.Context, who string) error { return l.Enter(ctx, who) }
func (l *ledger) Free(ctx context.Context, who string) error   { return l.Enter(ctx, who) }

// serialKit is a node with a serial service, and two that call.
type serialKit struct {
	net        *daffitest.Net
	server     *daffi.Node
	one, two   *daffi.Node
	impl       *ledger
	p, q       *serial.LedgerProxy // of the two callers
	background sync.WaitGroup
}

// serialBubble runs f with such nodes in a bubble of fake time, and wants nothing to be left.
func serialBubble(t *testing.T, o daffi.Options, f func(t *testing.T, k *serialKit)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &serialKit{net: daffitest.New(t), impl: &ledger{t: t}}
		o.Name = "server"
		k.server, k.one, k.two = k.net.NodeWith(o), k.net.Node("one"), k.net.Node("two")
		_, err := serial.RegisterLedger(k.server, k.impl)
		require.NoError(t, err)
		k.p, k.q = serial.NewLedger(k.one), serial.NewLedger(k.two)
		f(t, k)
		k.background.Wait()
		synctest.Wait()
		require.Contains(t, []string{"", "no session"}, k.server.Held())
	})
}

// start makes a call in the background, and returns when it is where it can get at once.
func (k *serialKit) start(call func() error) <-chan error {
	c := make(chan error, 1)
	k.background.Go(func() { c <- call() })
	synctest.Wait()
	return c
}

func TestD72SerialCallsRunInOrder(t *testing.T) {
	serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
		var want []string
		var ends []<-chan error
		for i := range 20 {
			who := fmt.Sprint(i)
			want = append(want, who)
			p := []*serial.LedgerProxy{k.p, k.q}[i%2]
			switch i % 3 {
			case 0:
				ends = append(ends, k.start(func() error { return p.Enter(t.Context(), who) }))
			case 1:
				ends = append(ends, k.start(func() error { return p.Note(t.Context(), who) }))
			case 2:
				ends = append(ends, k.start(func() error {
					_, err := p.Fill(t.Context(), who, numbers(3))
					return err
				}))
			}
		}
		begin := time.Now()
		for _, end := range ends {
			require.NoError(t, <-end)
		}
		require.NoError(t, k.p.Enter(t.Context(), "last"))
		require.Equal(t, 21*time.Second, time.Since(begin))
		require.Equal(t, append(want, "last"), k.impl.seen())
	})
}

// What waits for its turn takes nothing from calls that do not.
func TestSerialCallsDoNotStarveOthers(t *testing.T) {
	serialBubble(t, daffi.Options{MaxRunning: 4, MaxRunningPerCaller: 3}, func(t *testing.T, k *serialKit) {
		for i := range 10 {
			k.start(func() error { return k.p.Enter(t.Context(), fmt.Sprint(i)) })
		}
		desk := &ledger{t: t, free: true}
		_, err := serial.RegisterDesk(k.server, desk)
		require.NoError(t, err)
		p := serial.NewDesk(k.one)
		begin := time.Now()
		a, b := k.start(func() error { return p.Free(t.Context(), "a") }), k.start(func() error { return p.Free(t.Context(), "b") })
		require.NoError(t, <-a)
		require.NoError(t, <-b)
		require.Equal(t, time.Second, time.Since(begin))
	})
}

func TestSerialMethodsHaveTurnsOfTheirOwn(t *testing.T) {
	for _, opts := range [][]daffi.ServeOption{nil, {daffi.Serial()}} {
		serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
			_, err := serial.RegisterDesk(k.server, &ledger{t: t, free: len(opts) == 0}, opts...)
			require.NoError(t, err)
			p := serial.NewDesk(k.one)
			begin := time.Now()
			var ends []<-chan error
			for range 2 {
				for _, call := range []func(context.Context, string) error{p.First, p.Second, p.Free} {
					ends = append(ends, k.start(func() error { return call(t.Context(), "x") }))
				}
			}
			for _, end := range ends {
				require.NoError(t, <-end)
			}
			want := 2 * time.Second // two of First after each other, and beside them two of Second
			if len(opts) > 0 {
				want = 6 * time.Second
			}
			require.Equal(t, want, time.Since(begin))
		})
	}
}

func TestSerialQueueIsBounded(t *testing.T) {
	serialBubble(t, daffi.Options{MaxQueue: 2}, func(t *testing.T, k *serialKit) {
		k.impl.on = func(ctx context.Context, _ string) error {
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		first := k.start(func() error { return k.p.Enter(t.Context(), "first") })
		second := k.start(func() error { return k.p.Enter(t.Context(), "second") })
		ctx, cancel := context.WithCancel(t.Context())
		third := k.start(func() error { return k.p.Enter(ctx, "third") })
		requireError(t, k.p.Enter(t.Context(), "refused"), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)

		// Who is cancelled gives its place up at once.
		cancel()
		requireError(t, <-third, daffi.Canceled, "", daffi.MayHaveRun)
		synctest.Wait() // the Cancel comes by another link than the next call
		fourth := k.start(func() error { return k.q.Enter(t.Context(), "fourth") })
		requireError(t, k.q.Enter(t.Context(), "refused"), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		for _, end := range []<-chan error{first, second, fourth} {
			require.NoError(t, <-end)
		}
		require.Equal(t, []string{"first", "second", "fourth"}, k.impl.seen())
	})
}

func TestSerialDeadlineWhileQueued(t *testing.T) {
	serialBubble(t, daffi.Options{MaxQueue: 1}, func(t *testing.T, k *serialKit) {
		k.impl.on = func(context.Context, string) error { time.Sleep(10 * time.Second); return nil }
		first := k.start(func() error { return k.p.Enter(t.Context(), "first") })
		within := func(d time.Duration) (ctx context.Context) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		begin := time.Now()
		err := k.p.Enter(within(time.Second), "late")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begin))

		// Nobody cancels a one-way call, and its place is free when its deadline has passed.
		require.NoError(t, k.p.Note(within(time.Second), "late note"))
		requireError(t, k.q.Enter(within(500*time.Millisecond), "refused"), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		time.Sleep(time.Second)
		last := k.start(func() error { return k.q.Enter(t.Context(), "last") })
		require.NoError(t, <-first)
		require.NoError(t, <-last)
		require.Equal(t, []string{"first", "last"}, k.impl.seen())
	})
}

func TestSerialCallerDiesWhileQueued(t *testing.T) {
	serialBubble(t, daffi.Options{MaxQueue: 2}, func(t *testing.T, k *serialKit) {
		first := k.start(func() error { return k.q.Enter(t.Context(), "first") })
		dead := []<-chan error{
			k.start(func() error { return k.p.Enter(t.Context(), "dead") }),
			k.start(func() error { _, err := k.p.Fill(t.Context(), "dead", numbers(10)); return err }),
		}
		require.NoError(t, k.one.Close())
		for _, end := range dead {
			require.Error(t, <-end)
		}
		synctest.Wait()
		again := []<-chan error{
			k.start(func() error { return k.q.Enter(t.Context(), "second") }),
			k.start(func() error { return k.q.Enter(t.Context(), "third") }),
		}
		require.NoError(t, <-first)
		for _, end := range again {
			require.NoError(t, <-end)
		}
		require.Equal(t, []string{"first", "second", "third"}, k.impl.seen())
	})
}

// A call that comes back to the turn that it holds fails at once, by whatever way.
func TestSerialReentrancy(t *testing.T) {
	reentrant := func(t *testing.T, err error) {
		t.Helper()
		e := requireError(t, err, daffi.FailedPrecondition, daffi.ReasonReentrant, daffi.NotRun)
		require.Contains(t, e.Message, "Ledger is serial")
		require.Equal(t, "server", e.Node)
	}
	ways := map[string]func(k *serialKit, ctx context.Context) error{
		"unary": func(k *serialKit, ctx context.Context) error {
			return serial.NewLedger(daffi.NodeFrom(ctx)).Enter(ctx, "inner")
		},
		"output": func(k *serialKit, ctx context.Context) (err error) {
			for _, err = range serial.NewLedger(daffi.NodeFrom(ctx)).Watch(ctx, "inner") {
			}
			return err
		},
		"input": func(k *serialKit, ctx context.Context) error {
			_, err := serial.NewLedger(daffi.NodeFrom(ctx)).Fill(ctx, "inner", numbers(3))
			return err
		},
		"items": func(k *serialKit, ctx context.Context) error {
			return serial.NewPile(daffi.NodeFrom(ctx)).EnterAll(ctx, slices.Values([]string{"inner"}))
		},
		"derived context": func(k *serialKit, ctx context.Context) error {
			ctx, cancel := context.WithTimeout(daffi.WithMetadata(ctx, map[string]string{"a": "b"}), time.Hour)
			defer cancel()
			return serial.NewLedger(daffi.NodeFrom(ctx)).Enter(ctx, "inner")
		},
		"large": func(k *serialKit, ctx context.Context) error {
			return serial.NewLedger(daffi.NodeFrom(ctx)).Enter(ctx, strings.Repeat("x", 4<<20-6))
		},
		"another node": func(k *serialKit, ctx context.Context) error { return k.p.Enter(ctx, "inner") },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
				k.impl.on = func(ctx context.Context, who string) error {
					begin := time.Now()
					reentrant(t, way(k, ctx))
					require.Zero(t, time.Since(begin))
					return nil
				}
				require.NoError(t, k.p.Enter(t.Context(), "outer"))
				require.NoError(t, serial.NewPile(k.one).EnterAll(t.Context(), slices.Values([]string{"a", "b"})))
				_, err := k.p.Fill(t.Context(), "outer", numbers(3))
				require.NoError(t, err)
				require.Len(t, k.impl.seen(), 4)
			})
		})
	}

	// By way of two other nodes, one of them serial as well.
	serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
		far := k.net.Node("far")
		_, err := serial.RegisterDesk(far, &ledger{t: t, on: func(ctx context.Context, who string) error {
			if who == "over there" {
				return k.q.Enter(ctx, "inner")
			}
			return serial.NewDesk(k.two).Free(ctx, "over there")
		}, free: true})
		require.NoError(t, err)
		k.impl.on = func(ctx context.Context, who string) error { return serial.NewDesk(k.server).First(ctx, "here") }
		err = k.p.Enter(t.Context(), "outer")
		require.Equal(t, daffi.FailedPrecondition, daffi.CodeOf(err))
		require.ErrorContains(t, err, "Ledger is serial")
		require.Equal(t, daffi.Ran, daffi.OutcomeOf(err), "of the outer call")
		require.Equal(t, []string{"outer"}, k.impl.seen())
	})
}

// Only a call that would wait for itself is refused.
func TestSerialNestedCalls(t *testing.T) {
	// relay lets calls of Free and First on another node call the serial service.
	relay := func(t *testing.T, k *serialKit) *serial.DeskProxy {
		far := k.net.Node("far")
		_, err := serial.RegisterDesk(far, &ledger{t: t, on: k.q.Enter, free: true})
		require.NoError(t, err)
		return serial.NewDesk(k.one, daffi.To("far"))
	}
	t.Run("other chains wait", func(t *testing.T) {
		serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
			p := relay(t, k)
			begin := time.Now()
			var ends []<-chan error
			for i := range 10 {
				ends = append(ends, k.start(func() error { return p.Free(t.Context(), fmt.Sprint(i)) }))
			}
			for _, end := range ends {
				require.NoError(t, <-end)
			}
			require.Equal(t, 10*time.Second, time.Since(begin))
		})
	})
	t.Run("calls of one handler wait for each other", func(t *testing.T) {
		serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
			far := k.net.Node("far")
			_, err := serial.RegisterDesk(far, &ledger{t: t, on: func(ctx context.Context, who string) error {
				errs := make([]error, 5)
				var calls sync.WaitGroup
				for i := range errs {
					calls.Go(func() { errs[i] = k.q.Enter(ctx, fmt.Sprint(i)) })
				}
				calls.Wait()
				return errors.Join(errs...)
			}})
			require.NoError(t, err)
			require.NoError(t, serial.NewDesk(k.one).First(t.Context(), "fan"))
			require.Len(t, k.impl.seen(), 5)
		})
	})
	t.Run("a one-way call runs afterwards", func(t *testing.T) {
		serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
			k.impl.on = func(ctx context.Context, who string) error {
				if who == "outer" {
					require.NoError(t, k.q.Note(ctx, "inner"))
					synctest.Wait()
				}
				return nil
			}
			require.NoError(t, k.p.Enter(t.Context(), "outer"))
			synctest.Wait()
			require.Equal(t, []string{"outer", "inner"}, k.impl.seen())
		})
	})
	t.Run("without the chain it ends at its deadline", func(t *testing.T) {
		serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
			k.impl.on = func(ctx context.Context, who string) error { return k.q.Enter(context.Background(), "inner") }
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := k.p.Enter(ctx, "outer")
			require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(err))
			require.Equal(t, 30*time.Second, time.Since(begin))
			require.Equal(t, []string{"outer"}, k.impl.seen())
		})
	})
	// A handler that runs calls a serial method while another call has the turn free before it, but no place to run.
	t.Run("a turn is not kept for a call without a place", func(t *testing.T) {
		serialBubble(t, daffi.Options{MaxRunning: 1}, func(t *testing.T, k *serialKit) {
			own := serial.NewLedger(k.server)
			_, err := serial.RegisterDesk(k.server, &ledger{t: t, on: func(ctx context.Context, who string) error {
				time.Sleep(time.Second)
				return own.Enter(ctx, "nested")
			}})
			require.NoError(t, err)
			desk := serial.NewDesk(k.two)
			busy := k.start(func() error { return desk.Free(t.Context(), "busy") })
			waits := k.start(func() error { return k.p.Enter(t.Context(), "waits") })
			require.NoError(t, <-busy)
			require.NoError(t, <-waits)
			require.Equal(t, []string{"nested", "waits"}, k.impl.seen())
		})
	})
	// The reserve for calls of handlers is full when the turn comes: a place in it may be waiting for just this call.
	t.Run("no place in the reserve", func(t *testing.T) {
		serialBubble(t, daffi.Options{MaxRunning: 1}, func(t *testing.T, k *serialKit) {
			p := relay(t, k)
			first := k.start(func() error { return k.p.Enter(t.Context(), "first") })
			second := k.start(func() error { return p.Free(t.Context(), "second") })

			_, err := serial.RegisterDesk(k.server, &ledger{t: t, on: func(context.Context, string) error { time.Sleep(20 * time.Second); return nil }})
			require.NoError(t, err)
			other := k.net.Node("other")
			_, err = serial.RegisterDesk(other, &ledger{t: t, on: serial.NewDesk(other, daffi.To("server")).Second})
			require.NoError(t, err)
			slow := k.start(func() error { return serial.NewDesk(k.two, daffi.To("other")).Free(t.Context(), "slow") })
			require.NoError(t, <-first)
			requireError(t, <-second, daffi.ResourceExhausted, "", daffi.Ran)
			require.NoError(t, <-slow)
			require.Equal(t, []string{"first"}, k.impl.seen())
		})
	})
}

func TestSerialStreams(t *testing.T) {
	serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
		k.impl.on = func(context.Context, string) error { return nil }
		begin := time.Now()
		watch := k.start(func() (err error) {
			for _, err = range k.p.Watch(t.Context(), "watch") {
			}
			return err
		})
		enter := k.start(func() error { return k.q.Enter(t.Context(), "enter") })
		require.NoError(t, <-enter)
		require.Equal(t, 3*time.Second, time.Since(begin), "a stream has the turn until it ends")
		require.NoError(t, <-watch)

		// Leaving the loop ends it.
		begin = time.Now()
		left := k.start(func() (err error) {
			for _, err = range k.p.Watch(t.Context(), "left") {
				break
			}
			return err
		})
		require.NoError(t, k.q.Enter(t.Context(), "enter"))
		require.NoError(t, <-left)
		require.Equal(t, 2*time.Second, time.Since(begin), "it looks up when it yields next")
	})
}

// An item stream has the turn item by item, so others come in between.
func TestSerialItems(t *testing.T) {
	serialBubble(t, daffi.Options{MaxRunning: 2, MaxQueue: 2}, func(t *testing.T, k *serialKit) {
		items := func(names ...string) func() error {
			return func() error { return serial.NewPile(k.one).EnterAll(t.Context(), slices.Values(names)) }
		}
		a := k.start(items("a1", "a2", "a3"))
		b := k.start(items("b1", "b2", "b3"))
		c := k.start(func() error { return k.q.Enter(t.Context(), "c") }) // there is no place for it until one of the streams has ended
		begin := time.Now()
		require.NoError(t, <-a)
		require.Equal(t, 5*time.Second, time.Since(begin))
		require.NoError(t, <-b)
		require.NoError(t, <-c)
		require.Equal(t, []string{"a1", "b1", "a2", "b2", "a3", "b3", "c"}, k.impl.seen())

		// An item that waits ends with its call.
		hold := k.start(func() error { return k.q.Enter(t.Context(), "hold") })
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := serial.NewPile(k.one).EnterAll(ctx, slices.Values([]string{"never"}))
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(err))
		require.NoError(t, <-hold)
		require.NotContains(t, k.impl.seen(), "never")
	})
}

func TestSerialShutdown(t *testing.T) {
	serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
		var ends []<-chan error
		for i := range 3 {
			ends = append(ends, k.start(func() error { return k.p.Enter(t.Context(), fmt.Sprint(i)) }))
			ends = append(ends, k.start(func() error { return k.q.Note(t.Context(), fmt.Sprint("note", i)) }))
		}
		begin := time.Now()
		require.NoError(t, k.server.Shutdown(t.Context()))
		require.Equal(t, 6*time.Second, time.Since(begin), "what waits is run")
		for _, end := range ends {
			require.NoError(t, <-end)
		}
		require.Len(t, k.impl.seen(), 6)
	})
	serialBubble(t, daffi.Options{}, func(t *testing.T, k *serialKit) {
		var ends []<-chan error
		for i := range 3 {
			ends = append(ends, k.start(func() error { return k.p.Enter(t.Context(), fmt.Sprint(i)) }))
			ends = append(ends, k.start(func() error { return serial.NewPile(k.one).EnterAll(t.Context(), slices.Values([]string{"item"})) }))
		}
		require.NoError(t, k.q.Note(t.Context(), "note"))
		begin := time.Now()
		require.NoError(t, k.server.Close())
		require.Zero(t, time.Since(begin))
		requireError(t, <-ends[0], daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
		for i, end := range ends[1:] {
			if i%2 == 0 { // a stream, which has begun
				requireError(t, <-end, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
			} else {
				require.Equal(t, daffi.NotRun, daffi.OutcomeOf(<-end))
			}
		}
		require.Equal(t, []string{"0"}, k.impl.seen(), "what waits is not")
	})
}
