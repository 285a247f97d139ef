package conformance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// background calls settle once, whoever waits for them, and however.
func background(t *testing.T, w *world) {
	_, d := w.desk("server")
	p := NewDesk(w.node("client"))
	told := make(chan daffi.Result[string], 100)
	var all []daffi.Settler
	for range 50 {
		f := p.Prepare().Where().Go(t.Context())
		f.OnDone(func(r daffi.Result[string]) { told <- r })
		all = append(all, f)
	}
	require.NoError(t, daffi.WaitAll(t.Context(), all...))
	for range 50 {
		require.Equal(t, daffi.Result[string]{Value: "server"}, soon(t, told, "what is told of the end"))
	}

	failed := p.Prepare().Buy("sold out").Go(t.Context())
	for range 2 {
		_, err := failed.Wait(t.Context())
		require.ErrorIs(t, err, ErrSoldOut)
	}

	blocked := p.Prepare().Block(false).Go(t.Context())
	soon(t, d.blocked, "the start of the handler")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, blocked.Err(ctx), context.DeadlineExceeded)
	_, settled := blocked.TryGet()
	require.False(t, settled, "who waits in vain settles nothing")
	blocked.Cancel()
	require.Error(t, soon(t, d.left, "the end of the handler's context"))
	require.Equal(t, daffi.Canceled, daffi.CodeOf(blocked.Err(t.Context())))
}

// delayed calls are sent when their time has come, and those that were cancelled are not.
func delayed(t *testing.T, w *world) {
	_, d := w.desk("server")
	p := NewDesk(w.node("client"))
	start := time.Now()
	f := p.Prepare().Put(1).With(daffi.After(30 * time.Millisecond)).Go(t.Context())
	never := p.Prepare().Put(2).With(daffi.After(patience)).Go(t.Context())
	never.Cancel()
	require.NoError(t, f.Err(t.Context()))
	require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)
	requireError(t, never.Err(t.Context()), daffi.Canceled, "", daffi.NotRun)
	require.Equal(t, []int{1}, d.sorted())
	n := 0
	for v, err := range p.Prepare().Count(1000, 2, "").With(daffi.After(10 * time.Millisecond)).Do(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, 2*n, v)
		n++
	}
	require.Equal(t, 1000, n)
}

func (d *desk) sorted() []int {
	kept, _ := d.Kept(context.Background())
	slices.Sort(kept)
	return kept
}

// until waits for what a one-way call has done.
func (d *desk) until(t *testing.T, want []int) {
	t.Helper()
	for end := time.Now().Add(patience); len(d.sorted()) < len(want) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, want, d.sorted())
}

// oneway calls all have their effect, however little their caller waits for it.
func oneway(t *testing.T, w *world) {
	const callers, calls = 250, 5
	_, d := w.desk("server")
	client := w.node("client")
	p := NewDesk(client)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range calls {
				ack := []daffi.Ack{daffi.AckNone, daffi.AckAccepted, daffi.AckAdmitted}[j%3]
				if err := p.Prepare().Note(i*calls + j).With(daffi.WithAck(ack)).Post(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, client.Flush(t.Context()))
	d.until(t, slices.Collect(numbersBelow(callers*calls)))
}

// broadcast asks nine nodes, and has an answer of each.
func broadcast(t *testing.T, w *world) {
	names, _, _ := w.desks(9)
	client := w.node("client")
	for _, name := range names {
		require.NoError(t, client.WaitNode(t.Context(), name))
	}
	p := NewDesk(client)
	got, err := daffi.Collect(p.Prepare().Where().Broadcast(t.Context()))
	require.NoError(t, err)
	want := map[string]string{}
	for _, name := range names {
		want[name] = name
	}
	require.Equal(t, want, got)

	got, err = daffi.Collect(p.Prepare().Buy("sold out").Broadcast(t.Context()))
	require.ErrorIs(t, err, ErrSoldOut)
	require.Empty(t, got)

	some := names[2:4]
	got, err = daffi.Collect(p.Prepare().Where().With(daffi.To(some...)).Broadcast(t.Context()))
	require.NoError(t, err)
	require.Len(t, got, 2)

	// One of them neither answers nor ends.
	entries := map[string]error{}
	for limit := 200 * time.Millisecond; len(entries) != 2; limit *= 4 { // a busy machine may take longer than that to find them
		require.Less(t, limit, patience)
		clear(entries)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		for name, err := range p.Prepare().Block(false).With(daffi.To(some...)).Broadcast(ctx) {
			entries[name] = err
		}
		cancel()
	}
	for _, err := range entries {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}

// broadcasts that many make at a time have their effect at every node.
func broadcasts(t *testing.T, w *world) {
	const callers, calls = 60, 5
	names, _, desks := w.desks(9)
	client := w.node("client")
	for _, name := range names {
		require.NoError(t, client.WaitNode(t.Context(), name))
	}
	p := NewDesk(client)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range calls {
				n := 0
				for name, err := range p.Prepare().Put(i*calls + j).Broadcast(t.Context()) {
					if n++; err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if n != len(names) {
					t.Errorf("%d of %d have answered", n, len(names))
				}
			}
		})
	}
	wg.Wait()
	for _, d := range desks {
		require.Equal(t, slices.Collect(numbersBelow(callers*calls)), d.sorted())
	}
}

// workers are never more than there may be, and as many as there may be where there is work.
func workers(t *testing.T, w *world) {
	for _, n := range []int{1, 10, 50} {
		const calls = 100
		name := fmt.Sprintf("workers-%d", n)
		_, d := w.desk(name, daffi.Workers(n))
		d.release = make(chan struct{})
		p := NewDesk(w.node("client-of-"+name), daffi.To(name))
		var all []daffi.Settler
		for range calls {
			all = append(all, p.Prepare().Work().Go(t.Context()))
		}
		for range n {
			soon(t, d.blocked, "a worker")
		}
		close(d.release)
		require.NoError(t, daffi.WaitAll(t.Context(), all...))
		require.EqualValues(t, n, d.most.Load())
	}
}

// liveChanges has a method that comes and goes while it is called: a call has its answer, or has not run.
func liveChanges(t *testing.T, w *world) {
	const callers, changes = 8, 50
	server, client := w.node("changing"), w.node("client")
	over := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			call := daffi.Prepare(client, "tools.double", 21)
			for answered := 0; ; {
				select {
				case <-over:
					return
				default:
				}
				v, err := call.Do(t.Context())
				switch {
				case err == nil && v != 42:
					t.Errorf("%v has come", v)
				case err == nil:
					answered++
				case daffi.OutcomeOf(err) != daffi.NotRun:
					t.Error(err)
				}
			}
		})
	}
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	for range changes {
		reg, err := daffi.Handle(server, "tools.double", double)
		require.NoError(t, err)
		require.NoError(t, client.WaitMethod(t.Context(), "tools.double"))
		v, err := daffi.Invoke(t.Context(), client, "tools.double", 21)
		require.NoError(t, err)
		require.Equal(t, 42, v)
		_, err = daffi.Handle(server, "tools.double", double)
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		require.NoError(t, reg.Close())
	}
	close(over)
	wg.Wait()
}
