package conformance

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// serverStreams come whole and in order, with their error last.
func serverStreams(t *testing.T, w *world) {
	_, d := w.desk("server")
	p := NewDesk(w.node("client"))
	for _, n := range []int{0, 1, 2, 3, 100, 1000, 2000} {
		i := 0
		for v, err := range p.Count(t.Context(), n, 3, "") {
			require.NoError(t, err)
			require.Equal(t, 3*i, v)
			i++
		}
		require.Equal(t, n, i)
	}

	got, err := drain(p.Count(t.Context(), 10, 1, "out of numbers"))
	require.Equal(t, 10, got)
	require.ErrorContains(t, err, "out of numbers")
	requireError(t, err, daffi.Unknown, "", daffi.Ran)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err = drain(p.Count(ctx, 10, 1, "block"))
	require.LessOrEqual(t, got, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	if got > 0 {
		soon(t, d.left, "the end of the handler's context")
	}
}

// drain counts what comes before the error.
func drain(seq iter.Seq2[int, error]) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// leftStream tells the far side that nobody wants more.
func leftStream(t *testing.T, w *world) {
	_, d := w.desk("server")
	p := NewDesk(w.node("client"))
	seq := p.Count(t.Context(), 1_000_000_000, 1, "")
	for v, err := range seq {
		require.NoError(t, err)
		if v == 100 {
			break
		}
	}
	require.Error(t, soon(t, d.left, "the end of the handler"), "its context has ended as well")
	_, err := drain(seq)
	require.ErrorIs(t, err, daffi.ErrStreamConsumed)
}

// itemStream is one call for each item, in order, up to the first that fails or the end.
func itemStream(t *testing.T, w *world) {
	_, d := w.desk("server")
	f := NewFeeder(w.node("client"))
	want := slices.Collect(numbersBelow(1000))
	require.NoError(t, f.PutAll(t.Context(), daffi.NoError(slices.Values(want))))
	kept, _ := d.Kept(t.Context())
	require.Equal(t, want, kept)

	err := f.PutAll(t.Context(), daffi.NoError(slices.Values([]int{1, 2, -1, 3, 4})))
	require.ErrorContains(t, err, "-1 is negative")
	kept, _ = d.Kept(t.Context())
	require.Equal(t, append(want[:1000:1000], 1, 2), kept, "nothing after the failed one")

	stop := errors.New("stop")
	err = f.PutAll(t.Context(), func(yield func(int, error) bool) { _ = yield(5, nil) && yield(6, nil) && yield(0, stop) })
	require.ErrorIs(t, err, stop)
	require.NoError(t, f.PutAll(t.Context(), daffi.NoError(slices.Values[[]int](nil))))
}

func numbersBelow(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// itemStreams go to five nodes at a time: each has all, in order, and an end of its own.
func itemStreams(t *testing.T, w *world) {
	names, nodes, desks := w.desks(5)
	client := w.node("client")
	for _, name := range names {
		require.NoError(t, client.WaitNode(t.Context(), name))
	}
	f := NewFeeder(client)
	want := slices.Collect(numbersBelow(1000))
	entries := map[string]error{}
	for name, err := range f.Prepare().PutAll(daffi.NoError(slices.Values(want))).Broadcast(t.Context()) {
		require.NoError(t, err, name)
		entries[name] = err
	}
	require.Len(t, entries, len(names))
	for _, d := range desks {
		kept, _ := d.Kept(t.Context())
		require.Equal(t, want, kept)
		d.mu.Lock()
		d.kept = nil
		d.mu.Unlock()
	}

	// One of them fails at an item; the others have all.
	desks[2].refuse = 500
	for name, err := range f.Prepare().PutAll(daffi.NoError(slices.Values(want))).Broadcast(t.Context()) {
		if name == names[2] {
			require.ErrorContains(t, err, "500 is refused")
		} else {
			require.NoError(t, err, name)
		}
	}
	for i, d := range desks {
		kept, _ := d.Kept(t.Context())
		if i == 2 {
			require.Equal(t, want[:500], kept, "nothing after the refused one")
		} else {
			require.Equal(t, want, kept)
		}
	}

	// Nobody wants the rest: the source is told.
	require.NoError(t, nodes[2].Close())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stopped := make(chan struct{})
	for range f.Prepare().PutAll(func(yield func(int, error) bool) {
		defer close(stopped)
		for i := 0; yield(i, nil); i++ {
			if i == 100 { // the source has begun, and nothing else ends the broadcast
				time.AfterFunc(50*time.Millisecond, cancel)
			}
		}
	}).Broadcast(ctx) {
		break
	}
	soon(t, stopped, "the end of the source")
}
