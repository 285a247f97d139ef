package daffi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
)

// choir is a caller, and voices that serve a kit each.
type choir struct {
	node   func(name string) *daffi.Node
	caller *daffi.Node
	p      *testkit.KitProxy
	voices map[string]*voice
}

// voice answers as it is told.
type voice struct {
	testkit.Impl
	node *daffi.Node

	mu    sync.Mutex
	echo  echo              // nil: the name, and what came
	fails func(n int) error // of Add, before n is added
	added []int
}

type echo func(ctx context.Context, b []byte) ([]byte, error)

func (v *voice) Echo(ctx context.Context, b []byte) ([]byte, error) {
	v.mu.Lock()
	echo := v.echo
	v.mu.Unlock()
	if echo != nil {
		return echo(ctx, b)
	}
	return append([]byte(v.node.Name()+":"), b...), nil
}

func (v *voice) Add(ctx context.Context, n int) error {
	v.mu.Lock()
	fails := v.fails
	v.mu.Unlock()
	if fails != nil {
		if err := fails(n); err != nil {
			return err
		}
	}
	if err := v.Impl.Add(ctx, n); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.added = append(v.added, n)
	return nil
}

// sing sets what voices of those names answer.
func (c *choir) sing(f echo, names ...string) {
	for _, name := range names {
		v := c.voices[name]
		v.mu.Lock()
		v.echo = f
		v.mu.Unlock()
	}
}

// got is what Add was called with.
func (v *voice) got() []int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.added)
}

func (c *choir) join(t *testing.T, name string) *voice {
	t.Helper()
	v := &voice{node: c.node(name)}
	_, err := testkit.RegisterKit(v.node, v)
	require.NoError(t, err)
	c.voices[name] = v
	return v
}

func newChoir(t *testing.T, node func(name string) *daffi.Node, voices int) *choir {
	t.Helper()
	c := &choir{node: node, voices: map[string]*voice{}}
	for i := range voices {
		c.join(t, fmt.Sprintf("v%d", i+1))
	}
	c.caller = node("caller")
	c.p = testkit.NewKit(c.caller)
	return c
}

// choirBubble runs f in fake time, in memory.
func choirBubble(t *testing.T, voices int, f func(t *testing.T, c *choir)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newChoir(t, daffitest.New(t).Node, voices)
		f(t, c)
		synctest.Wait()
		for name, v := range c.voices {
			require.Regexp(t, "^(no session)?$", v.node.Held(), "%s", name)
		}
		require.Empty(t, c.caller.Held())
	})
}

// choirEachWay runs f over every kind of link.
func choirEachWay(t *testing.T, voices int, f func(t *testing.T, c *choir)) {
	t.Helper()
	for _, way := range []string{"memory", "unix", "tcp"} {
		t.Run(way, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
			addr := "tcp://localhost:0"
			if way != "tcp" {
				addr = "unix://" + t.TempDir() + "/daffi.sock"
			}
			ctl, err := controller.Listen(t.Context(), controller.Options{Addr: addr})
			require.NoError(t, err)
			t.Cleanup(func() { ctl.Close() })
			o := daffi.Options{Addr: ctl.Addr()}
			if way == "memory" {
				o = daffi.Options{Controller: ctl}
			}
			f(t, newChoir(t, func(name string) *daffi.Node {
				o := o
				o.Name = name
				return connect(t, o)
			}, voices))
		})
	}
}

// entries are all of a broadcast, by node; none may be there twice.
func entries[E any](t *testing.T, seq iter.Seq2[string, E]) map[string]E {
	t.Helper()
	all := map[string]E{}
	for node, entry := range seq {
		require.NotContains(t, all, node)
		all[node] = entry
	}
	return all
}

func texts(m map[string][]byte) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

// names are v1, v2, … vn.
func names(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("v%d", i+1))
	}
	return list
}

func TestD43BroadcastExactMap(t *testing.T) {
	choirEachWay(t, 9, func(t *testing.T, c *choir) {
		want := map[string]string{}
		for _, name := range names(9) {
			want[name] = name + ":x"
		}
		for range 3 {
			got, err := daffi.Collect(c.p.Prepare().Echo([]byte("x")).Broadcast(t.Context()))
			require.NoError(t, err)
			require.Equal(t, want, texts(got))
		}
		// One of the voices calls: it is left out.
		got, err := daffi.Collect(testkit.NewKit(c.voices["v3"].node).Prepare().Echo([]byte("x")).Broadcast(t.Context()))
		require.NoError(t, err)
		delete(want, "v3")
		require.Equal(t, want, texts(got))
		require.NoError(t, daffi.Errors(c.p.Prepare().Add(7).Broadcast(t.Context())))
		for _, v := range c.voices {
			require.Equal(t, []int{7}, v.got())
		}
	})
}

// The scenario of many nodes: 500 goroutines with 5 broadcasts each, every one of which reaches every node.
func TestD43ManyBroadcastsReachEveryNode(t *testing.T) {
	const rounds = 5
	choirEachWay(t, 9, func(t *testing.T, c *choir) {
		callers := testkit.Full(100, 500)
		if strings.HasSuffix(t.Name(), "memory") {
			callers = 500
		}
		var all sync.WaitGroup
		errs := make(chan error, callers*rounds)
		for i := range callers {
			all.Go(func() {
				for j := range rounds {
					errs <- daffi.Errors(c.p.Prepare().Add(i*rounds + j).Broadcast(t.Context()))
				}
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		for name, v := range c.voices {
			got := v.got()
			slices.Sort(got)
			require.Len(t, got, callers*rounds, name)
			require.Len(t, slices.Compact(got), callers*rounds, name)
		}
		require.Empty(t, c.caller.Held())
	})
}

func TestD43PartialResultsSurviveTheDeadline(t *testing.T) {
	choirBubble(t, 4, func(t *testing.T, c *choir) {
		late := func(ctx context.Context, b []byte) ([]byte, error) {
			time.Sleep(time.Hour)
			return b, nil
		}
		c.sing(late, "v2", "v4")
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		all := entries(t, c.p.Prepare().Echo([]byte("x")).Broadcast(ctx))
		require.Equal(t, time.Second, time.Since(begin), "neither early nor late")
		require.Len(t, all, 4)
		require.Equal(t, "v1:x", string(all["v1"].Value))
		require.Equal(t, "v3:x", string(all["v3"].Value))
		for _, name := range []string{"v2", "v4"} {
			e := requireError(t, all[name].Err, daffi.DeadlineExceeded, "", daffi.MayHaveRun)
			require.ErrorIs(t, e, context.DeadlineExceeded)
			require.Equal(t, name, e.Node)
			require.Equal(t, "Kit.Echo", e.Method)
		}

		// Without a deadline of the context's it is the node's, as for any call.
		begin = time.Now()
		got, err := daffi.Collect(c.p.Prepare().Echo([]byte("x")).Broadcast(t.Context()))
		require.Equal(t, 30*time.Second, time.Since(begin))
		require.Len(t, got, 2)
		e := requireError(t, err, daffi.DeadlineExceeded, "", daffi.MayHaveRun)
		require.ErrorIs(t, e, context.DeadlineExceeded)
		require.Contains(t, e.Message, "2 of 4 nodes have failed")
		require.Contains(t, e.Message, "default deadline")

		// Cancelled by hand.
		ctx, stop := context.WithCancelCause(t.Context())
		seq := c.p.Prepare().Echo([]byte("x")).Broadcast(ctx)
		synctest.Wait()
		mine := errors.New("mine")
		stop(mine)
		all = entries(t, seq)
		require.Equal(t, "v1:x", string(all["v1"].Value))
		requireError(t, all["v2"].Err, daffi.Canceled, "", daffi.MayHaveRun)
		require.ErrorIs(t, all["v2"].Err, mine)
		time.Sleep(2 * time.Hour) // the handlers that do not listen to their contexts
	})
}

func TestD43BroadcastIsSentWithoutRanging(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		c.p.Prepare().Add(1).Broadcast(t.Context())
		seq := c.p.Prepare().Add(2).Broadcast(t.Context())
		synctest.Wait()
		for _, v := range c.voices {
			require.ElementsMatch(t, []int{1, 2}, v.got())
		}
		require.Empty(t, c.caller.Held(), "what is not ranged over is over nevertheless")
		require.NoError(t, daffi.Errors(seq), "and the entries are still there")

		// Calls that do not end do so with their context, and hold nothing afterwards.
		ctx, cancel := context.WithCancel(t.Context())
		blocked := c.p.Prepare().Block().Broadcast(ctx)
		synctest.Wait()
		require.NotEmpty(t, c.caller.Held())
		cancel()
		synctest.Wait()
		require.Empty(t, c.caller.Held())
		require.Len(t, entries(t, blocked), 3)

		// And with their node.
		n := c.node("another")
		seq = testkit.NewKit(n).Prepare().Block().Broadcast(t.Context())
		synctest.Wait()
		require.NoError(t, n.Close())
		for _, err := range entries(t, seq) {
			requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.MayHaveRun)
		}
	})
}

func TestD43BreakCancelsTheRest(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		ended := make(chan error, 8)
		c.sing(func(ctx context.Context, b []byte) ([]byte, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}, "v1", "v3")
		seq := c.p.Prepare().Echo(nil).Broadcast(t.Context())
		synctest.Wait() // all run
		for node := range seq {
			require.Equal(t, "v2", node)
			break
		}
		synctest.Wait()
		require.Len(t, ended, 2)
		require.Empty(t, c.caller.Held())
		require.ErrorIs(t, <-ended, context.Canceled)
		require.ErrorIs(t, <-ended, context.Canceled)

		seq = c.p.Prepare().Echo([]byte("y")).Broadcast(t.Context())
		synctest.Wait()
		node, v, err := daffi.First(seq)
		require.NoError(t, err)
		require.Equal(t, "v2", node)
		require.Equal(t, "v2:y", string(v))
		synctest.Wait()
		require.Len(t, ended, 2, "First leaves")

		// Also when the loop panics.
		func() {
			defer func() { require.Equal(t, "mine", recover()) }()
			seq := c.p.Prepare().Echo(nil).Broadcast(t.Context())
			synctest.Wait()
			for range seq {
				panic("mine")
			}
		}()
		synctest.Wait()
		require.Len(t, ended, 4)
	})
}

func TestD43BroadcastIsForOneLoop(t *testing.T) {
	choirBubble(t, 2, func(t *testing.T, c *choir) {
		call := c.p.Prepare().Echo(nil)
		seq := call.Broadcast(t.Context())
		require.Len(t, entries(t, seq), 2)
		again := entries(t, seq)
		require.Len(t, again, 1)
		require.ErrorIs(t, again[""].Err, daffi.ErrStreamConsumed)
		_, err := daffi.Collect(seq)
		require.ErrorIs(t, err, daffi.ErrStreamConsumed)
		require.Len(t, entries(t, call.Broadcast(t.Context())), 2, "the call is not")
	})
}

func TestD43ErrorIsAnEntry(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		plain := func(context.Context, []byte) ([]byte, error) { return nil, testkit.ErrPlain }
		c.sing(plain, "v1")
		c.sing(func(context.Context, []byte) ([]byte, error) { panic("boom") }, "v2")
		all := entries(t, c.p.Prepare().Echo([]byte("x")).Broadcast(t.Context()))
		require.Len(t, all, 3)
		e := requireError(t, all["v1"].Err, daffi.Unknown, "", daffi.Ran)
		require.Equal(t, "v1", e.Node)
		requireError(t, all["v2"].Err, daffi.Internal, daffi.ReasonPanic, daffi.Ran)
		v, err := all["v3"].Get()
		require.NoError(t, err)
		require.Equal(t, "v3:x", string(v))

		got, err := daffi.Collect(c.p.Prepare().Echo([]byte("x")).Broadcast(t.Context()))
		require.Equal(t, map[string]string{"v3": "v3:x"}, texts(got))
		e = requireError(t, err, daffi.Unavailable, "", daffi.MayHaveRun)
		require.Contains(t, e.Message, "2 of 3 nodes have failed")
		require.ErrorIs(t, err, testkit.ErrPlain, "errors keep their identity")
		node, _, err := daffi.First(c.p.Prepare().Echo([]byte("x")).Broadcast(t.Context()))
		require.NoError(t, err)
		require.Equal(t, "v3", node)

		c.sing(plain, "v2", "v3")
		_, _, err = daffi.First(c.p.Prepare().Echo([]byte("x")).Broadcast(t.Context()))
		e = requireError(t, err, daffi.Unknown, "", daffi.Ran)
		require.Contains(t, e.Message, "3 of 3 nodes have failed")
		require.ErrorIs(t, err, testkit.ErrPlain)

		err = daffi.Errors(c.p.Prepare().Add(-1).Broadcast(t.Context()))
		requireError(t, err, daffi.Unknown, "", daffi.Ran)
	})
}

// Zero targets is an error of the whole call, distinct from all having failed (T5).
func TestT5NoProviderIsOneEntryWithoutAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChoir(t, daffitest.New(t).Node, 0)
		check := func(what string) {
			t.Helper()
			all := entries(t, c.p.Prepare().Echo(nil).Broadcast(t.Context()))
			require.Len(t, all, 1)
			e := requireError(t, all[""].Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
			require.Contains(t, e.Message, what)
			got, err := daffi.Collect(c.p.Prepare().Echo(nil).Broadcast(t.Context()))
			require.NotNil(t, got)
			require.Empty(t, got)
			requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
			_, _, err = daffi.First(c.p.Prepare().Echo(nil).Broadcast(t.Context()))
			requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
			requireError(t, daffi.Errors(c.p.Prepare().Add(1).Broadcast(t.Context())), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		}
		check("no node serves Kit")
		_, err := testkit.RegisterKit(c.caller, new(testkit.Impl))
		require.NoError(t, err)
		check("but the caller itself")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		all := entries(t, c.p.Prepare().Echo(nil).Broadcast(ctx))
		requireError(t, all[""].Err, daffi.Canceled, "", daffi.NotRun)
		all = entries(t, c.p.Prepare().Echo(make([]byte, 5<<20)).Broadcast(t.Context()))
		requireError(t, all[""].Err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
		require.NoError(t, c.caller.Close())
		all = entries(t, c.p.Prepare().Echo(nil).Broadcast(t.Context()))
		requireError(t, all[""].Err, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
	})
}

// A node that joins after the snapshot is not in it; one that leaves has its entry, and so has one whose process is gone (T5).
func TestT5D69TheTargetsAreThoseOfOneMoment(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		begun := make(chan struct{})
		c.sing(func(ctx context.Context, b []byte) ([]byte, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}, "v1", "v2")
		seq := c.p.Prepare().Echo(nil).Broadcast(t.Context())
		<-begun
		<-begun
		c.join(t, "late")
		require.NoError(t, c.voices["v1"].node.Close())
		require.NoError(t, c.voices["v2"].node.Close())
		begin := time.Now()
		all := entries(t, seq)
		require.Zero(t, time.Since(begin))
		require.ElementsMatch(t, names(3), slices.Collect(maps.Keys(all)))
		require.NoError(t, all["v3"].Err)
		for _, name := range names(2) {
			e := requireError(t, all[name].Err, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
			require.Equal(t, name, e.Node)
		}
		require.ElementsMatch(t, []string{"v3", "late"}, slices.Collect(maps.Keys(entries(t, c.p.Prepare().Echo(nil).Broadcast(t.Context())))))
	})
}

// A node in a grace period is one of the targets until its grace has passed (T5).
func TestT5NodeThatShutsDownIsNoTarget(t *testing.T) {
	choirBubble(t, 2, func(t *testing.T, c *choir) {
		begun, hold := make(chan struct{}), make(chan struct{})
		c.sing(func(ctx context.Context, b []byte) ([]byte, error) {
			close(begun)
			<-hold
			return b, nil
		}, "v1")
		seq := c.p.Prepare().Echo(nil).Broadcast(t.Context())
		<-begun
		down := make(chan error)
		go func() { down <- c.voices["v1"].node.Shutdown(t.Context()) }()
		synctest.Wait()
		require.Len(t, entries(t, c.p.Prepare().Echo(nil).Broadcast(t.Context())), 1)
		close(hold)
		got, err := daffi.Collect(seq)
		require.NoError(t, err, "what it runs it ends")
		require.Len(t, got, 2)
		require.NoError(t, <-down)
	})
}

func TestD43BroadcastTo(t *testing.T) {
	choirBubble(t, 4, func(t *testing.T, c *choir) {
		idle := c.node("idle")
		to := func(names ...string) map[string]daffi.Result[[]byte] {
			return entries(t, c.p.Prepare().Echo([]byte("x")).With(daffi.To(names...)).Broadcast(t.Context()))
		}
		all := to("v4", "v2", "v4")
		require.ElementsMatch(t, []string{"v2", "v4"}, slices.Collect(maps.Keys(all)))
		require.Equal(t, "v2:x", string(all["v2"].Value))

		all = to("v1", "nobody", "idle")
		require.Len(t, all, 3)
		require.NoError(t, all["v1"].Err)
		e := requireError(t, all["nobody"].Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Equal(t, "nobody", e.Node)
		require.Contains(t, e.Message, `no node is named "nobody"`)
		e = requireError(t, all["idle"].Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Contains(t, e.Message, `does not serve Kit`)

		// Of names that are all wrong, each has its entry.
		for _, v := range c.voices {
			require.NoError(t, v.node.Close())
		}
		synctest.Wait()
		all = to("v1", "idle")
		require.Len(t, all, 2)
		requireError(t, all["v1"].Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		requireError(t, all["idle"].Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)

		// The caller itself, by its name.
		_, err := testkit.RegisterKit(idle, new(testkit.Impl))
		require.NoError(t, err)
		got, err := daffi.Collect(testkit.NewKit(idle).Prepare().Echo([]byte("x")).With(daffi.To("idle")).Broadcast(t.Context()))
		require.NoError(t, err)
		require.Equal(t, map[string]string{"idle": "x"}, texts(got))

		// No name is any node.
		require.ElementsMatch(t, []string{"idle"}, slices.Collect(maps.Keys(to())))
	})
}

// Labels and the caller's own node (D-70).
func TestD43D70BroadcastWhereAndAllowSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		zone := map[string]string{"v1": "eu", "v2": "us", "v3": "eu", "caller": "eu"}
		c := newChoir(t, func(name string) *daffi.Node {
			return net.NodeWith(daffi.Options{Name: name, Labels: map[string]string{"zone": zone[name]}})
		}, 3)
		_, err := testkit.RegisterKit(c.caller, new(testkit.Impl))
		require.NoError(t, err)
		to := func(opts ...daffi.CallOption) []string {
			got, err := daffi.Collect(c.p.Prepare().Echo(nil).With(opts...).Broadcast(t.Context()))
			require.NoError(t, err)
			return slices.Sorted(maps.Keys(got))
		}
		require.Equal(t, names(3), to())
		require.Equal(t, []string{"caller", "v1", "v2", "v3"}, to(daffi.AllowSelf()))
		require.Equal(t, []string{"v1", "v3"}, to(daffi.Where("zone", "eu")))
		require.Equal(t, []string{"caller", "v1", "v3"}, to(daffi.Where("zone", "eu"), daffi.AllowSelf()))
		all := entries(t, c.p.Prepare().Echo(nil).With(daffi.Where("zone", "asia")).Broadcast(t.Context()))
		requireError(t, all[""].Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		all = entries(t, c.p.Prepare().Echo(nil).With(daffi.Where("zone", "eu"), daffi.To("v1", "v2")).Broadcast(t.Context()))
		require.Len(t, all, 2)
		require.NoError(t, all["v1"].Err)
		requireError(t, all["v2"].Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

// The targets are those of the moment after the delay, and the deadline counts from then.
func TestD43DelayedBroadcast(t *testing.T) {
	choirBubble(t, 2, func(t *testing.T, c *choir) {
		begin := time.Now()
		seq := c.p.Prepare().Add(1).With(daffi.After(time.Minute)).Broadcast(t.Context())
		require.Equal(t, time.Minute, time.Since(begin))
		require.Len(t, entries(t, seq), 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		all := entries(t, c.p.Prepare().Add(1).With(daffi.After(time.Minute)).Broadcast(ctx))
		requireError(t, all[""], daffi.DeadlineExceeded, "", daffi.NotRun)
		require.Equal(t, []int{1}, c.voices["v1"].got())
	})
}

func TestD43Quorum(t *testing.T) {
	choirBubble(t, 5, func(t *testing.T, c *choir) {
		ended := make(chan error, 5)
		hold := func(ctx context.Context, b []byte) ([]byte, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		fail := func(ctx context.Context, b []byte) ([]byte, error) { return nil, testkit.ErrPlain }
		ask := func(n int) (map[string][]byte, error) {
			seq := c.p.Prepare().Echo(nil).With(daffi.Quorum(n)).Broadcast(t.Context())
			synctest.Wait() // all run
			defer synctest.Wait()
			return daffi.Collect(seq)
		}
		c.sing(hold, "v4")
		c.sing(fail, "v5")
		begin := time.Now()
		got, err := ask(3)
		require.NoError(t, err, "who failed meanwhile does not matter")
		require.Len(t, got, 3)
		require.Len(t, ended, 1, "the rest is cancelled")
		require.ErrorIs(t, <-ended, context.Canceled)

		got, err = ask(4)
		require.Equal(t, 30*time.Second, time.Since(begin), "one that might still come is waited for")
		require.Len(t, got, 3)
		require.Len(t, ended, 1)
		<-ended
		e := requireError(t, err, daffi.Unavailable, daffi.ReasonQuorum, daffi.MayHaveRun)
		require.Contains(t, e.Message, "3 of 5 nodes have answered well, the quorum is 4")
		require.ErrorIs(t, err, testkit.ErrPlain)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		// Out of reach at once: nobody is waited for, and everybody has an entry.
		begin = time.Now()
		c.sing(fail, "v3")
		seq := c.p.Prepare().Echo(nil).With(daffi.Quorum(4)).Broadcast(t.Context())
		synctest.Wait()
		all := entries(t, seq)
		require.Zero(t, time.Since(begin))
		require.Len(t, all, 6)
		require.NoError(t, all["v1"].Err)
		require.NoError(t, all["v2"].Err)
		require.ErrorIs(t, all["v3"].Err, testkit.ErrPlain)
		requireError(t, all["v4"].Err, daffi.Canceled, daffi.ReasonQuorum, daffi.MayHaveRun)
		requireError(t, all[""].Err, daffi.Unavailable, daffi.ReasonQuorum, daffi.MayHaveRun)
		synctest.Wait()
		require.Len(t, ended, 1)

		// One more than there are nodes.
		all = entries(t, c.p.Prepare().Echo(nil).With(daffi.Quorum(6)).Broadcast(t.Context()))
		require.Len(t, all, 1)
		e = requireError(t, all[""].Err, daffi.Unavailable, daffi.ReasonQuorum, daffi.NotRun)
		require.Contains(t, e.Message, "the quorum is 6, and there are 5 nodes")
		_, _, err = daffi.First(c.p.Prepare().Echo(nil).With(daffi.Quorum(6)).Broadcast(t.Context()))
		requireError(t, err, daffi.Unavailable, daffi.ReasonQuorum, daffi.NotRun)

		require.NoError(t, daffi.Errors(c.p.Prepare().Add(1).With(daffi.Quorum(5)).Broadcast(t.Context())))
		requireError(t, daffi.Errors(c.p.Prepare().Add(-1).With(daffi.Quorum(1)).Broadcast(t.Context())), daffi.Unavailable, daffi.ReasonQuorum, daffi.MayHaveRun)
	})
}

// One-way methods and events: an entry is nil when the call was accepted for that node.
func TestE21BroadcastOfOnewayAndEvent(t *testing.T) {
	eventBubble(t, func(t *testing.T, net *daffitest.Net, b *board, p *events.TownProxy) {
		all := entries(t, p.Prepare().Pin("x").Broadcast(t.Context()))
		require.Equal(t, map[string]error{"a": nil, "b": nil, "c": nil}, all)
		require.Equal(t, []string{"a: x", "b: x", "c: x"}, b.take())
		require.NoError(t, daffi.Errors(p.Prepare().Whisper("y").With(daffi.To("a", "c")).Broadcast(t.Context())))
		require.Equal(t, []string{"a: y", "c: y"}, b.take())
		require.NoError(t, daffi.Errors(p.Prepare().Pin("z").With(daffi.WithAck(daffi.AckAdmitted)).Broadcast(t.Context())))
		require.Len(t, b.take(), 3)
		all = entries(t, p.Prepare().Pin("x").With(daffi.Hedge(time.Second)).Broadcast(t.Context()))
		requireError(t, all[""], daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
	})
}

func TestD43BroadcastHasMetadataAndLargeArguments(t *testing.T) {
	for _, zstd := range []daffi.Compression{daffi.CompressOff, daffi.CompressOn} {
		synctest.Test(t, func(t *testing.T) {
			net := daffitest.New(t)
			c := newChoir(t, func(name string) *daffi.Node { return net.NodeWith(daffi.Options{Name: name, Compression: zstd}) }, 3)
			ctx := daffi.WithMetadata(t.Context(), map[string]string{"k": "v"})
			md, err := daffi.Collect(c.p.Prepare().Meta().Broadcast(ctx))
			require.NoError(t, err)
			require.Len(t, md, 3)
			for _, m := range md {
				require.Equal(t, map[string]string{"k": "v"}, m)
			}
			for _, size := range []int{0, 2 << 10, 64<<10 + 1, 3 << 20} {
				for _, ctx := range []context.Context{t.Context(), ctx} {
					b := bytes.Repeat([]byte("abcdefg"), size/7+1)
					got, err := daffi.Collect(c.p.Prepare().Echo(b).Broadcast(ctx))
					require.NoError(t, err)
					require.Len(t, got, 3)
					for name, v := range got {
						require.Equal(t, len(name)+1+len(b), len(v))
						require.True(t, bytes.HasSuffix(v, b))
					}
				}
			}
			synctest.Wait()
			require.Empty(t, c.caller.Held())
		})
	}
}

// More targets than requests that a link has room for at a time: all are sent before it returns.
func TestD43BroadcastToMany(t *testing.T) {
	choirBubble(t, 300, func(t *testing.T, c *choir) {
		hold := make(chan struct{})
		c.sing(func(_ context.Context, b []byte) ([]byte, error) {
			<-hold
			return b, nil
		}, names(300)...)
		seq := c.p.Prepare().Echo(make([]byte, 40<<10)).Broadcast(t.Context()) // 12 MB, of which the queue takes 8
		require.Contains(t, c.caller.Held(), "calls 300")
		synctest.Wait()
		for _, v := range c.voices {
			require.Contains(t, v.node.Held(), "running 1", "none waits for the end of another")
		}
		close(hold)
		got, err := daffi.Collect(seq)
		require.NoError(t, err)
		require.Len(t, got, 300)
	})
}

// brittle is a context that ends when it was asked that often whether it has.
type brittle struct {
	context.Context
	end  func()
	left atomic.Int32
}

func (b *brittle) Err() error {
	if b.left.Add(-1) == 0 {
		b.end()
	}
	return b.Context.Err()
}

// Copies that were not sent when the context ended are NotRun, and those that were are cancelled.
func TestD43ContextEndsWhileCopiesAreSent(t *testing.T) {
	choirBubble(t, 20, func(t *testing.T, c *choir) {
		for _, v := range c.voices {
			v.Ended = make(chan error, 1)
		}
		for _, left := range []int32{10, 15, 20} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			b := &brittle{Context: ctx, end: cancel}
			b.left.Store(left)
			all := entries(t, c.p.Prepare().Block().Broadcast(b))
			require.Len(t, all, 20)
			sent := 0
			for _, err := range all {
				if e := requireError(t, err, daffi.Canceled, "", daffi.OutcomeOf(err)); e.Outcome == daffi.MayHaveRun {
					sent++
				}
			}
			require.Greater(t, sent, 0)
			require.Less(t, sent, 20)
			synctest.Wait()
			ended := 0
			for _, v := range c.voices {
				ended += len(v.Ended)
				v.Ended = make(chan error, 1)
			}
			require.LessOrEqual(t, ended, sent, "those of the others that have not begun do not begin any more")
			require.Empty(t, c.caller.Held())
		}
	})
}

func TestD43BroadcastOverAStalledLink(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		w := new(wire)
		w.ctl = k.net.Controller
		for _, name := range []string{"s1", "s2", "s3"} {
			_, err := testkit.RegisterKit(k.net.Node(name), new(testkit.Impl))
			require.NoError(t, err)
		}
		far := connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff})
		p := testkit.NewKit(far)
		require.NoError(t, daffi.Errors(p.Prepare().Add(0).Broadcast(t.Context())))
		w.last().Stall(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		all := entries(t, p.Prepare().Add(1).Broadcast(ctx))
		require.Equal(t, time.Second, time.Since(begin))
		e := requireError(t, all[""], daffi.DeadlineExceeded, "", daffi.NotRun)
		require.ErrorIs(t, e, context.DeadlineExceeded)
		w.last().Stall(false)

		// The link is lost: every entry says so.
		blocked := p.Prepare().Block().Broadcast(t.Context())
		synctest.Wait()
		w.last().Close()
		all = entries(t, blocked)
		require.Len(t, all, 4)
		for _, err := range all {
			requireError(t, err, daffi.Unavailable, daffi.ReasonLinkLost, daffi.MayHaveRun)
		}
	})
}

// An interceptor runs around the sending: what it adds travels, its context does not end what was sent, and its error is that of the whole call.
func TestD43InterceptedBroadcast(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		var seen []daffi.Interception
		p := testkit.NewKit(c.caller, daffi.Intercept(func(ctx context.Context, i *daffi.Interception, next func(context.Context) error) error {
			ctx, cancel := context.WithTimeout(daffi.WithMetadata(ctx, map[string]string{"by": "interceptor"}), time.Minute)
			defer cancel()
			err := next(ctx)
			seen = append(seen, daffi.Interception{Method: i.Method, Shape: i.Shape, In: i.In})
			return err
		}))
		md, err := daffi.Collect(p.Prepare().Meta().Broadcast(t.Context()))
		require.NoError(t, err)
		require.Len(t, md, 3)
		require.Equal(t, map[string]string{"by": "interceptor"}, md["v2"])
		require.Len(t, seen, 1)
		require.Equal(t, "Kit.Meta", seen[0].Method)
		require.Equal(t, daffi.ShapeBroadcast, seen[0].Shape)
		require.Equal(t, 1, seen[0].In.Messages)

		refuse := func(sent bool) daffi.Interceptor {
			return func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
				if sent {
					if err := next(ctx); err != nil {
						return err
					}
				}
				return testkit.ErrPlain
			}
		}
		for _, sent := range []bool{false, true} {
			all := entries(t, p.Prepare().Block().With(daffi.Intercept(refuse(sent))).Broadcast(t.Context()))
			require.Len(t, all, 1)
			require.ErrorIs(t, all[""], testkit.ErrPlain)
			require.Equal(t, !sent, daffi.OutcomeOf(all[""]) == daffi.NotRun)
			synctest.Wait()
			require.Empty(t, c.caller.Held(), "what was sent is cancelled")
		}
	})
}

// An interceptor that panics after the copies were sent leaves nobody who would take their results.
func TestD43InterceptorOfABroadcastPanics(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		bad := daffi.Intercept(func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
			if err := next(ctx); err != nil {
				return err
			}
			panic("interceptor")
		})
		calls := c.p.Prepare()
		for name, broadcast := range map[string]func(){
			"unary": func() { calls.Block().With(bad).Broadcast(t.Context()) },
			"output": func() {
				for range calls.Count(1<<20, "").With(bad).Broadcast(t.Context()) {
				}
			},
			"input": func() { calls.Sum(0, items(1<<20, nil, nil)).With(bad).Broadcast(t.Context()) },
		} {
			require.PanicsWithValue(t, "interceptor", broadcast, name)
			synctest.Wait()
			require.Empty(t, c.caller.Held(), name)
		}
	})
}

// laters is a controller that can be reached again and again, each time as another one.
type laters chan *later

func (c laters) Attach() (transport.Link, error) {
	l := new(later)
	near, err := l.Attach()
	c <- l
	return near, err
}

// The answer of a controller that is lost in the middle of it counts for nothing: the numbers of the next one are others.
func TestD43TargetsAreOfOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		controllers := make(laters, 1)
		n := daffi.New(daffi.Options{Name: "node", Controller: controllers})
		defer n.Close()
		go n.Join(t.Context())
		b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M", Sig: "()()"}}})
		resolved := (&control.Routes{Routes: []control.Route{{Number: 5}}}).Append
		l := <-controllers
		l.welcome(t, 0)
		errs := make(chan error, 1)
		go func() { errs <- daffi.Errors(daffi.NewAction(b, 0, nil).Broadcast(t.Context())) }()
		l.answer(t, control.OpResolve, resolved)
		f := l.Expect(t, transport.Control)
		l.Send(frame{Header: header{Kind: transport.Control, Call: f.Call, Flags: transport.More}, Payload: encoded((&control.Sessions{Numbers: []uint32{7}, Names: []string{"old"}}).Append)})
		synctest.Wait()
		l.Close()

		l = <-controllers
		defer func() { l.Close() }()
		l.welcome(t, 0)
		l.answer(t, control.OpResolve, resolved)
		l.answer(t, control.OpTargets, (&control.Sessions{Numbers: []uint32{8}, Names: []string{"new"}}).Append)
		f = l.Expect(t, transport.Request)
		require.Equal(t, uint32(8), f.Header.Peer)
		l.Send(frame{Header: header{Kind: transport.Reply, Call: f.Call}})
		require.NoError(t, <-errs)
	})
}

// A name that is empty, by mistake most likely, is no node, and not all of them.
func TestD43ToNobody(t *testing.T) {
	eventBubble(t, func(t *testing.T, net *daffitest.Net, b *board, p *events.TownProxy) {
		for _, to := range []daffi.CallOption{daffi.To(""), daffi.To("", "")} {
			calls := p.Prepare()
			requireError(t, calls.Whisper("x").With(to).Do(t.Context()), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
			requireError(t, calls.Pin("x").With(to).Do(t.Context()), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
			requireError(t, daffi.Errors(calls.Pin("x").With(to).Broadcast(t.Context())), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		}
		require.NoError(t, p.Prepare().Pin("x").With(daffi.To()).Do(t.Context()))
		require.Equal(t, []string{"a: x", "b: x", "c: x"}, b.take())
	})
}

// A handler that broadcasts passes its deadline, depth and turns on.
func TestD43BroadcastOfAHandler(t *testing.T) {
	choirBubble(t, 2, func(t *testing.T, c *choir) {
		c.sing(func(ctx context.Context, b []byte) ([]byte, error) {
			var out []byte
			for node, r := range testkit.NewKit(daffi.NodeFrom(ctx)).Prepare().Who().Broadcast(ctx) {
				if r.Err != nil {
					return nil, r.Err
				}
				out = fmt.Appendf(out, "%s called by %s with %v", node, r.Value.Caller, r.Value.Left)
			}
			return out, nil
		}, "v1")
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		got, err := c.p.Prepare().Echo(nil).With(daffi.To("v1")).Do(ctx)
		require.NoError(t, err)
		require.Equal(t, "v2 called by v1 with 7s", string(got))
	})
}

// The static types that the generator gives the ways of calling (D-53).
func TestD53ResultTypes(t *testing.T) {
	choirBubble(t, 1, func(t *testing.T, c *choir) {
		calls := c.p.Prepare()
		var value func(context.Context) ([]byte, error) = calls.Echo(nil).Do
		var plain func(context.Context) error = calls.Add(1).Do
		var stream func(context.Context) iter.Seq2[int, error] = calls.Count(1, "").Do
		var all func(context.Context) iter.Seq2[string, daffi.Result[[]byte]] = calls.Echo(nil).Broadcast
		var ends func(context.Context) iter.Seq2[string, error] = calls.Add(1).Broadcast
		_, err := value(t.Context())
		require.NoError(t, err)
		require.NoError(t, plain(t.Context()))
		items, err := daffi.Items(stream(t.Context()))
		require.NoError(t, err)
		require.Equal(t, []int{0}, items)
		require.Len(t, maps.Collect(all(t.Context())), 1, "plain sequences, which every function of such takes")
		require.Len(t, maps.Collect(ends(t.Context())), 1)
	})
}

func TestE20ItemsAndFold(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		items, err := daffi.Items(k.p.Count(t.Context(), 4, ""))
		require.NoError(t, err)
		require.Equal(t, []int{0, 1, 2, 3}, items)
		items, err = daffi.Items(k.p.Count(t.Context(), 3, "plain"))
		require.ErrorContains(t, err, "plain")
		require.Equal(t, []int{0, 1, 2}, items, "what came before the error stays")
		add := func(sum, v int) int { return sum + v }
		sum, err := daffi.Fold(k.p.Count(t.Context(), 101, ""), 1000, add)
		require.NoError(t, err)
		require.Equal(t, 6050, sum)
		sum, err = daffi.Fold(k.p.Count(t.Context(), 3, "plain"), 0, add)
		require.ErrorContains(t, err, "plain")
		require.Equal(t, 3, sum)
		for _, n := range []int{1, 2, 3, 100} { // chunks
			size, err := daffi.Fold(k.p.Blobs(t.Context(), n, 10), 0, func(have int, b []byte) int { return have + len(b) })
			require.NoError(t, err)
			require.Equal(t, 10*n, size)
		}
	})
}

// TestACC28Broadcast: of many nodes one is dead, one is stopped, one has an error, and every round has every entry, neither early nor late.
func TestACC28Broadcast(t *testing.T) {
	nodes, rounds := testkit.Full(100, 1000), testkit.Full(20, 100)
	synctest.Test(t, func(t *testing.T) {
		net, stopped := daffitest.New(t), new(wire)
		stopped.ctl = net.Controller
		c := newChoir(t, net.Node, nodes-2)
		c.sing(func(context.Context, []byte) ([]byte, error) { return nil, testkit.ErrPlain }, "v1")
		_, err := testkit.RegisterKit(connect(t, daffi.Options{Name: "stopped", Controller: stopped}), new(testkit.Impl))
		require.NoError(t, err)
		for range rounds {
			dead, begun := c.join(t, "dead"), make(chan struct{})
			c.sing(func(ctx context.Context, b []byte) ([]byte, error) {
				close(begun)
				<-ctx.Done()
				return nil, ctx.Err()
			}, "dead")
			stopped.last().Stall(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begin := time.Now()
			seq := c.p.Prepare().Echo([]byte("x")).Broadcast(ctx)
			<-begun
			require.NoError(t, dead.node.Close())
			all := entries(t, seq)
			require.Equal(t, time.Second, time.Since(begin))
			require.Len(t, all, nodes)
			for node, r := range all {
				switch node {
				case "dead":
					requireError(t, r.Err, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
				case "stopped":
					requireError(t, r.Err, daffi.DeadlineExceeded, "", daffi.MayHaveRun)
				case "v1":
					require.ErrorIs(t, r.Err, testkit.ErrPlain)
				default:
					require.NoError(t, r.Err)
					require.Equal(t, node+":x", string(r.Value))
				}
			}
			cancel()
			stopped.last().Stall(false)
			synctest.Wait()
			require.Empty(t, c.caller.Held())
		}
	})
}

// A copy has no goroutine, and neither has a broadcast.
func TestD43BroadcastHasNoGoroutine(t *testing.T) {
	overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
		l.welcome(t, 0)
		b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M", Sig: "()()"}}})
		ctx, cancel := context.WithCancel(t.Context())
		broadcast := func() iter.Seq2[string, error] {
			made := make(chan iter.Seq2[string, error])
			go func() { made <- daffi.NewAction(b, 0, nil).Broadcast(ctx) }()
			l.answer(t, control.OpTargets, func(e *codec.Encoder) {
				var m control.Sessions
				for i := range 1000 {
					m.Numbers, m.Names = append(m.Numbers, uint32(i+2)), append(m.Names, fmt.Sprint("n", i))
				}
				m.Append(e)
			})
			return <-made
		}
		go func() { daffi.NewAction(b, 0, nil).Post(ctx) }()
		l.answer(t, control.OpResolve, (&control.Routes{Routes: []control.Route{{Number: 5}}}).Append)
		l.Expect(t, transport.Request)
		synctest.Wait()
		before := runtime.NumGoroutine()
		seq := broadcast()
		for range 1000 {
			l.Expect(t, transport.Request)
		}
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine(), before+1) // what reads may have changed
		cancel()
		all := entries(t, seq)
		require.Len(t, all, 1000)
		for range 1000 {
			l.Expect(t, transport.Cancel)
		}
	})
}
