package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
	"github.com/daffi-rpc/daffi/testdata/golden/idempotent"
)

// TestChaos mixes calls of every shape with cancels, deadlines, cut and stalled links, and nodes that die and come again. Every call ends
// once, in time, and in the end nothing of any is left. CHAOS_SEEDS says how many seeds are tried.
func TestChaos(t *testing.T) {
	seeds := uint64(20)
	if raceEnabled {
		seeds = 5
	}
	if v, err := strconv.ParseUint(os.Getenv("CHAOS_SEEDS"), 10, 64); err == nil {
		seeds = v
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

// member is one name among the nodes, and the node that has it now.
type member struct {
	mu   sync.Mutex
	w    *wire // nil: in memory
	node *daffi.Node
}

func (m *member) now() *daffi.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// slack is how much later than its deadline a call may end (SEM-2).
const slack = 250 * time.Millisecond

func chaos(t *testing.T, seed uint64) {
	net := daffitest.With(t, controller.Options{PingInterval: 200 * time.Millisecond, DeadInterval: time.Second})
	names := []string{"a", "b", "c", "d"}
	members := make([]*member, len(names))
	start := func(i int) {
		o := daffi.Options{Name: names[i], Controller: net.Controller, MaxRunning: 8, MaxQueue: 8, Labels: map[string]string{"half": fmt.Sprint(i % 2)}}
		if w := members[i].w; w != nil {
			o.Controller = w
		}
		n := daffi.New(o)
		var opts []daffi.ServeOption
		if i < int(seed%3) { // some are serial, and what calls itself there is refused
			opts = append(opts, daffi.Serial())
		}
		opts = append(opts, daffi.Balanced(daffi.Balance(seed%6)))
		_, err := testkit.RegisterKit(n, new(testkit.Impl), opts...)
		require.NoError(t, err)
		_, err = idempotent.RegisterStore(n, new(store))
		require.NoError(t, err)
		_, err = events.RegisterBoard(n, new(board))
		require.NoError(t, err)
		members[i].mu.Lock()
		members[i].node = n
		members[i].mu.Unlock()
		go n.Join(t.Context())
	}
	for i := range names {
		members[i] = new(member)
		if i > 0 {
			members[i].w = &wire{ctl: net.Controller}
		}
		start(i)
	}

	var callers, faults sync.WaitGroup
	over := make(chan struct{})
	for i := range members {
		m := members[i]
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		faults.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(r.IntN(400)) * time.Millisecond):
				}
				what := r.IntN(5)
				if m.w == nil || m.w.attempts() == 0 {
					what = 0
				}
				switch what {
				case 0:
					m.mu.Lock()
					n := m.node
					m.mu.Unlock()
					if r.IntN(2) == 0 {
						ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
						n.Shutdown(ctx)
						cancel()
					}
					n.Close()
					start(i)
				case 1:
					m.w.last().Close()
				case 2:
					m.w.last().CutAfter(r.IntN(100 << 10))
				default:
					c := m.w.last()
					c.Stall(true)
					time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
					c.Stall(false)
				}
			}
		})
	}
	for i := range 12 {
		r := rand.New(rand.NewPCG(seed, 100+uint64(i)))
		callers.Go(func() {
			for range 20 {
				var opts []daffi.CallOption
				if r.IntN(3) == 0 {
					opts = append(opts, daffi.To(names[r.IntN(len(names))]))
				} else if r.IntN(4) == 0 {
					opts = append(opts, daffi.HashKey(fmt.Sprint(r.IntN(10))))
				}
				switch r.IntN(8) {
				case 0:
					opts = append(opts, daffi.Where("half", fmt.Sprint(r.IntN(2))))
				case 1:
					opts = append(opts, daffi.AllowSelf(), daffi.BalanceBy(daffi.Balance(r.IntN(6))))
				case 2:
					opts = append(opts, daffi.To("a", "b", "nobody"))
				}
				limit := time.Duration(1+r.IntN(800)) * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				if r.IntN(4) == 0 {
					time.AfterFunc(limit/2, cancel)
				}
				begin := time.Now()
				what, err := anyCall(ctx, r, members[r.IntN(len(members))], opts)
				if took := time.Since(begin); took > limit+slack {
					t.Errorf("%s took %v of %v: %v", what, took, limit, err)
				}
				if e := (*daffi.Error)(nil); err != nil && !errors.As(err, &e) {
					t.Errorf("%s: %T: %v", what, err, err)
				}
				if c := daffi.CodeOf(err); c == daffi.Internal {
					t.Errorf("%s: %v", what, err)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	close(over)
	faults.Wait()

	time.Sleep(20 * time.Second) // what is cut is noticed, nodes join again
	synctest.Wait()
	st := net.Controller.Stats()
	require.Zero(t, st.Calls, "calls")
	require.Zero(t, st.Serving, "serving")
	require.Equal(t, len(names), st.Nodes)
	for i, m := range members {
		require.Empty(t, m.node.Held(), names[i])
		require.NoError(t, m.node.Close())
	}
}

// anyCall makes one call and checks what it gives.
func anyCall(ctx context.Context, r *rand.Rand, m *member, opts []daffi.CallOption) (what string, err error) {
	p := testkit.NewKit(m.now(), opts...)
	size := r.IntN(300)
	switch r.IntN(10) {
	case 0, 1:
		size = r.IntN(40 << 10)
	case 2:
		size = r.IntN(200 << 10)
	}
	n, leave := r.IntN(20), 1+r.IntN(100)
	blobs := func(yield func([]byte, error) bool) {
		for i := range n {
			if ctx.Err() != nil || !yield(noise(size), nil) || i == leave {
				return
			}
		}
	}
	wrong := func(format string, args ...any) error {
		return &daffi.Error{Code: daffi.Internal, Message: fmt.Sprintf(format, args...)}
	}
	switch r.IntN(18) {
	case 14:
		b := noise(size)
		got, err := daffi.Collect(p.Prepare().Echo(b).With(daffi.Quorum(r.IntN(3))).Broadcast(ctx))
		for node, v := range got {
			if string(v) != string(b) {
				err = wrong("%d bytes came back from %s for %d", len(v), node, len(b))
			}
		}
		return fmt.Sprintf("broadcast Echo %d", size), err
	case 15:
		if r.IntN(2) == 0 { // nobody takes the results
			p.Prepare().Echo(noise(size)).Broadcast(ctx)
		}
		_, _, err := daffi.First(p.Prepare().Sum(leave, numbers(10*n)).Broadcast(ctx))
		return "broadcast Sum", err
	case 16:
		return "broadcast AddEach", daffi.Errors(testkit.NewMany(m.now(), opts...).Prepare().AddEach(numbers(n)).Broadcast(ctx))
	case 17:
		next := map[string]int{}
		came := 0
		for node, e := range p.Prepare().Count(1<<30, "").Broadcast(ctx) {
			if err = e.Err; err == nil && e.Value != next[node] {
				err = wrong("item %d of %s instead of %d", e.Value, node, next[node])
			}
			next[node]++
			if came++; came == leave*100 {
				break
			}
		}
		return "broadcast Count", err
	case 12:
		_, err := idempotent.NewClient(m.now(), opts...).Get(ctx, string(noise(size)))
		return fmt.Sprintf("idempotent Get %d", size), err
	case 13:
		return fmt.Sprintf("event Show %d", size), events.NewTown(m.now(), opts...).Show(ctx, noise(size))
	case 0, 1, 2:
		b := noise(size)
		got, err := p.Echo(ctx, b)
		if err == nil && string(got) != string(b) {
			err = wrong("%d bytes came back for %d", len(got), len(b))
		}
		return fmt.Sprintf("Echo %d", size), err
	case 3:
		return "Block", p.Block(ctx)
	case 4:
		_, err := p.Nest(ctx, r.IntN(5))
		return "Nest", err
	case 5:
		return fmt.Sprintf("Post %d", size), p.Prepare().Echo(noise(size)).Post(ctx)
	case 6:
		next := 0
		for i, e := range p.Count(ctx, 1<<30, "") {
			if err = e; err == nil && i != next {
				err = wrong("item %d instead of %d", i, next)
			}
			if next++; next == leave*100 {
				break
			}
		}
		return "Count", err
	case 7:
		got := 0
		for b, e := range p.Blobs(ctx, n, size) {
			if err = e; err == nil && len(b) != size {
				err = wrong("item of %d bytes", len(b))
			}
			if r.IntN(5) == 0 {
				time.Sleep(time.Millisecond)
			}
			if got++; got == leave {
				break
			}
		}
		return fmt.Sprintf("Blobs %d of %d", n, size), err
	case 8:
		_, err := p.Size(ctx, blobs)
		return fmt.Sprintf("Size %d of %d", n, size), err
	case 9:
		got, err := p.Sum(ctx, leave, numbers(10*n))
		if taken := min(10*n, leave); err == nil && got != taken*(taken-1)/2 {
			err = wrong("the sum of %d is not %d", taken, got)
		}
		return "Sum", err
	case 10:
		got := 0
		for _, e := range p.Chat(ctx, func(yield func(string, error) bool) {
			for b := range first(blobs) {
				if !yield(string(b), nil) {
					return
				}
			}
		}) {
			err = e
			if got++; got == leave {
				break
			}
		}
		return fmt.Sprintf("Chat %d of %d", n, size), err
	}
	return "AddEach", testkit.NewMany(m.now(), opts...).AddEach(ctx, numbers(n))
}

// first is a sequence without its errors.
func first[T any](seq iter.Seq2[T, error]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range seq {
			if !yield(v) {
				return
			}
		}
	}
}
