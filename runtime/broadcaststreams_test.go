package daffi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// items yields 0 to n-1, then err if there is one. *left is set to how many were taken.
func items(n int, err error, left *int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if left != nil {
				*left = i
			}
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// The scenario of a stream to callbacks: 1 000 items to 5 nodes, each of which has all of them, in order.
func TestD51T1ItemStreamReachesEveryNode(t *testing.T) {
	choirEachWay(t, 5, func(t *testing.T, c *choir) {
		many := testkit.NewMany(c.caller)
		all := entries(t, many.Prepare().AddEach(items(1000, nil, nil)).Broadcast(t.Context()))
		require.Equal(t, map[string]error{"v1": nil, "v2": nil, "v3": nil, "v4": nil, "v5": nil}, all)
		for name, v := range c.voices {
			require.Equal(t, upTo(1000), v.got(), name)
		}
		require.Empty(t, c.caller.Held())

		// Without Broadcast it is one node, whatever the shape.
		require.NoError(t, many.AddEach(t.Context(), items(3, nil, nil)))
		longer := 0
		for _, v := range c.voices {
			if len(v.got()) > 1000 {
				longer++
			}
		}
		require.Equal(t, 1, longer)
	})
}

func TestD51EmptyAndChosen(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		many := testkit.NewMany(c.caller)
		require.NoError(t, daffi.Errors(many.Prepare().AddEach(items(0, nil, nil)).Broadcast(t.Context())), "no item, no call")
		all := entries(t, many.Prepare().AddEach(items(5, nil, nil)).With(daffi.To("v3", "nobody")).Broadcast(t.Context()))
		require.Len(t, all, 2)
		require.NoError(t, all["v3"])
		requireError(t, all["nobody"], daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Equal(t, upTo(5), c.voices["v3"].got())
		require.Empty(t, c.voices["v1"].got())

		// Nobody takes the items: nobody asks for them either.
		called := false
		all = entries(t, many.Prepare().AddEach(func(yield func(int, error) bool) { called = true }).With(daffi.To("no", "body")).Broadcast(t.Context()))
		require.Len(t, all, 2)
		synctest.Wait()
		require.False(t, called)
	})
}

// A receiver whose handler fails ends its own entry, and the others go on.
func TestD51T1OneReceiverFails(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		source := items(1000, nil, nil)
		refuse := func(v *voice, at int) { // the handler fails at that item
			v.mu.Lock()
			v.fails = func(n int) error {
				if n == at {
					return testkit.ErrPlain
				}
				return nil
			}
			v.mu.Unlock()
		}
		refuse(c.voices["v2"], 7)
		all := entries(t, testkit.NewMany(c.caller).Prepare().AddEach(source).Broadcast(t.Context()))
		require.Len(t, all, 3)
		require.NoError(t, all["v1"])
		require.NoError(t, all["v3"])
		e := requireError(t, all["v2"], daffi.Unknown, "", daffi.Ran)
		require.ErrorIs(t, e, testkit.ErrPlain)
		require.Equal(t, "v2", e.Node)
		require.Equal(t, upTo(1000), c.voices["v1"].got())
		require.Equal(t, upTo(7), c.voices["v2"].got())

		// All fail: the producer is told when it yields next.
		refuse(c.voices["v1"], 3)
		refuse(c.voices["v3"], 5)
		taken := 0
		err := daffi.Errors(testkit.NewMany(c.caller).Prepare().AddEach(items(1_000_000, nil, &taken)).Broadcast(t.Context()))
		requireError(t, err, daffi.Unknown, "", daffi.Ran)
		synctest.Wait()
		require.Less(t, taken, 100_000)
	})
}

// A node that dies meanwhile has its entry, and the others have all items (D-69).
func TestD51D69ReceiverDies(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		in := make(chan int)
		seq := testkit.NewMany(c.caller).Prepare().AddEach(func(yield func(int, error) bool) {
			for n := range in {
				if !yield(n, nil) {
					return
				}
			}
		}).Broadcast(t.Context())
		for i := range 10 {
			in <- i
		}
		synctest.Wait()
		require.NoError(t, c.voices["v1"].node.Close())
		for i := range 10 {
			in <- 10 + i
		}
		close(in)
		all := entries(t, seq)
		requireError(t, all["v1"], daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
		require.NoError(t, all["v2"])
		require.Equal(t, upTo(20), c.voices["v3"].got())
	})
}

// The slowest receiver decides how fast the source is pulled: the others are ahead of it by no more than its credit and a batch.
func TestD51SlowReceiverHoldsTheSource(t *testing.T) {
	choirBubble(t, 2, func(t *testing.T, c *choir) {
		taken, hold := 0, make(chan struct{})
		slow := c.voices["v1"]
		slow.mu.Lock()
		slow.fails = func(n int) error {
			if n == 0 {
				<-hold
			}
			return nil
		}
		slow.mu.Unlock()
		seq := testkit.NewMany(c.caller).Prepare().AddEach(items(100_000, nil, &taken)).Broadcast(t.Context())
		synctest.Wait()
		ahead := taken
		require.Less(t, ahead, 50_000)
		require.InDelta(t, ahead, len(c.voices["v2"].got()), 50_000)
		time.Sleep(time.Minute)
		require.Equal(t, ahead, taken)
		close(hold)
		require.NoError(t, daffi.Errors(seq))
		require.Len(t, slow.got(), 100_000)
	})
}

func TestD51InputThatFails(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		mine := errors.New("mine")
		many := testkit.NewMany(c.caller)
		all := entries(t, many.Prepare().AddEach(items(3, mine, nil)).Broadcast(t.Context()))
		require.Len(t, all, 3)
		for name, err := range all {
			require.ErrorIs(t, err, mine)
			require.Equal(t, upTo(3), c.voices[name].got())
		}
		require.PanicsWithValue(t, "boom", func() {
			for range many.Prepare().AddEach(func(yield func(int, error) bool) { panic("boom") }).Broadcast(t.Context()) {
			}
		})
		synctest.Wait()
		require.Empty(t, c.caller.Held())

		// The context ends while the producer waits for something.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hold, told := make(chan struct{}), false
		begin := time.Now()
		all = entries(t, many.Prepare().AddEach(func(yield func(int, error) bool) {
			<-hold
			told = !yield(1, nil)
		}).Broadcast(ctx))
		require.Equal(t, time.Second, time.Since(begin))
		require.Len(t, all, 3)
		for _, err := range all {
			requireDeadline(t, err)
		}
		close(hold)
		synctest.Wait()
		require.True(t, told)
	})
}

// A client stream has a result of each node, and a handler that returns early ends its own.
func TestD51ClientStreamToAll(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		got, err := daffi.Collect(c.p.Prepare().Sum(0, items(101, nil, nil)).Broadcast(t.Context()))
		require.NoError(t, err)
		require.Equal(t, map[string]int{"v1": 5050, "v2": 5050, "v3": 5050}, got)
		taken := 0
		got, err = daffi.Collect(c.p.Prepare().Sum(3, items(1_000_000, nil, &taken)).Broadcast(t.Context()))
		require.NoError(t, err)
		require.Equal(t, map[string]int{"v1": 3, "v2": 3, "v3": 3}, got)
		synctest.Wait()
		require.Less(t, taken, 100_000)

		// Items of every size, each encoded once; large ones are shared.
		for _, size := range []int{1, 20 << 10, 100 << 10, 3 << 20} {
			got, err := daffi.Collect(c.p.Prepare().Size(func(yield func([]byte, error) bool) {
				for i := range 5 {
					if !yield(bytes.Repeat([]byte{byte(i)}, size), nil) {
						return
					}
				}
			}).Broadcast(t.Context()))
			require.NoError(t, err)
			require.Equal(t, map[string]int{"v1": 5 * size, "v2": 5 * size, "v3": 5 * size}, got)
		}

		// Leaving cancels all.
		in := make(chan struct{})
		stopped := false
		for _, r := range entries(t, c.p.Prepare().Sum(1, func(yield func(int, error) bool) {
			for yield(1, nil) {
				<-in
			}
			stopped = true
		}).With(daffi.Quorum(1)).Broadcast(t.Context())) {
			require.Equal(t, 1, r.Value)
		}
		close(in)
		synctest.Wait()
		require.True(t, stopped)
	})
}

func TestD43StreamBroadcastIsMerged(t *testing.T) {
	choirEachWay(t, 4, func(t *testing.T, c *choir) {
		got := map[string][]int{}
		for node, r := range c.p.Prepare().Count(3000, "").Broadcast(t.Context()) {
			require.NoError(t, r.Err)
			got[node] = append(got[node], r.Value)
		}
		require.Len(t, got, 4)
		for _, list := range got {
			require.Equal(t, upTo(3000), list)
		}
		sizes := map[string]int{}
		for node, r := range c.p.Prepare().Blobs(4, 300<<10).Broadcast(t.Context()) {
			require.NoError(t, r.Err)
			sizes[node] += len(r.Value)
		}
		require.Equal(t, map[string]int{"v1": 1200 << 10, "v2": 1200 << 10, "v3": 1200 << 10, "v4": 1200 << 10}, sizes)
		require.Empty(t, c.caller.Held())
	})
}

// A node's error is its last entry, and the others go on.
func TestD43StreamBroadcastErrors(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		last := map[string]error{}
		came := 0
		for node, r := range c.p.Prepare().Count(5, "plain").Broadcast(t.Context()) {
			require.NotContains(t, last, node, "nothing follows an error")
			if came++; r.Err != nil {
				last[node] = r.Err
			}
		}
		require.Equal(t, 3*6, came)
		require.Len(t, last, 3)
		e := requireError(t, last["v2"], daffi.Unknown, "", daffi.Ran)
		require.Equal(t, "v2", e.Node)
		require.Contains(t, e.Message, "plain")

		stream := c.p.Prepare().Count(1, "")
		seq := stream.Broadcast(t.Context())
		require.Len(t, slices.Collect(values(seq)), 3)
		again := slices.Collect(values(seq))
		require.Len(t, again, 1)
		require.ErrorIs(t, again[0].Err, daffi.ErrStreamConsumed)
		require.Len(t, slices.Collect(values(stream.Broadcast(t.Context()))), 3)

		all := slices.Collect(values(stream.With(daffi.Quorum(2)).Broadcast(t.Context())))
		require.Len(t, all, 1)
		requireError(t, all[0].Err, daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
		all = slices.Collect(values(stream.With(daffi.To("nobody", "v1")).Broadcast(t.Context())))
		require.Len(t, all, 2)
		node, n, err := daffi.First(stream.With(daffi.To("nobody", "v1")).Broadcast(t.Context()))
		require.NoError(t, err)
		require.Equal(t, "v1", node)
		require.Zero(t, n)

		// Not sent before it is ranged over.
		seq = stream.Broadcast(t.Context())
		c.join(t, "late")
		require.Len(t, slices.Collect(values(seq)), 4)
	})
}

func values[E any](seq iter.Seq2[string, E]) iter.Seq[E] {
	return func(yield func(E) bool) {
		for _, e := range seq {
			if !yield(e) {
				return
			}
		}
	}
}

func TestD43StreamBroadcastEnds(t *testing.T) {
	choirBubble(t, 3, func(t *testing.T, c *choir) {
		for _, v := range c.voices {
			v.Ended = make(chan error, 4)
		}
		n := 0
		for range c.p.Prepare().Count(math.MaxInt, "").Broadcast(t.Context()) {
			if n++; n == 1000 {
				break
			}
		}
		synctest.Wait()
		require.Empty(t, c.caller.Held(), "leaving the loop ends all of them")

		// The deadline: what came is still yielded, then each node's error.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		errs, came, nodes := 0, 0, map[string]bool{}
		in := make(chan string)
		for node, r := range c.p.Prepare().Chat(func(yield func(string, error) bool) {
			yield("hello", nil)
			<-in
		}).Broadcast(ctx) {
			if nodes[node] = true; r.Err != nil {
				requireDeadline(t, r.Err)
				errs++
				continue
			}
			require.Equal(t, "re: hello", r.Value)
			came++
		}
		close(in)
		require.Equal(t, 3, errs)
		require.Equal(t, 3, came)
		require.Len(t, nodes, 3)

		// A node dies.
		errs, came = 0, 0
		for node, r := range c.p.Prepare().Count(20_000, "").Broadcast(t.Context()) {
			if came++; came == 10 {
				require.NoError(t, c.voices["v1"].node.Close())
			}
			if r.Err != nil {
				require.Equal(t, "v1", node)
				requireError(t, r.Err, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
				errs++
			}
		}
		require.Equal(t, 1, errs)
		require.Greater(t, came, 40_000)
	})
}

// A bidirectional stream: one input, and the answers of all.
func TestD43BidirectionalBroadcast(t *testing.T) {
	choirEachWay(t, 3, func(t *testing.T, c *choir) {
		got := map[string][]string{}
		for node, r := range c.p.Prepare().Chat(func(yield func(string, error) bool) {
			for i := range 500 {
				if !yield(fmt.Sprint("line ", i), nil) {
					return
				}
			}
		}).Broadcast(t.Context()) {
			require.NoError(t, r.Err)
			got[node] = append(got[node], r.Value)
		}
		require.Len(t, got, 3)
		for _, lines := range got {
			require.Len(t, lines, 500)
			require.Equal(t, "re: line 499", lines[499])
		}
	})
}

// The links of the targets are as different as they are: one is stalled, and has its credit to itself.
func TestD51StalledReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, w := daffitest.New(t), new(wire)
		w.ctl = net.Controller
		c := newChoir(t, net.Node, 2)
		far := new(testkit.Impl)
		_, err := testkit.RegisterKit(connect(t, daffi.Options{Name: "far", Controller: w}), far)
		require.NoError(t, err)
		w.last().Stall(true)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		got, err := daffi.Collect(c.p.Prepare().Sum(0, items(10, nil, nil)).Broadcast(ctx))
		require.Equal(t, map[string]int{"v1": 45, "v2": 45}, got, "what fits into the credit of the slowest reaches the others")
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.MayHaveRun)
		w.last().Stall(false)
		synctest.Wait()
	})
}
