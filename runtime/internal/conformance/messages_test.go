package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// messages of several kinds, and what a worker writes, come to their parent.
func messages(t *testing.T, w *world) {
	var mu sync.Mutex
	var output bytes.Buffer
	progress := make(chan daffi.Msg[int], 100)
	w.nodeWith(daffi.Options{Name: "parent"}, func(n *daffi.Node) error {
		if _, err := daffi.HandleMsg(n, "progress", func(_ context.Context, m daffi.Msg[int]) error { progress <- m; return nil }); err != nil {
			return err
		}
		_, err := daffi.HandleWriter(n, "stdout", func(_ context.Context, _ string, p []byte) error {
			mu.Lock()
			defer mu.Unlock()
			output.Write(p)
			return nil
		})
		return err
	})
	worker := w.node("worker")
	for i := range 20 {
		require.NoError(t, daffi.SendMsg(t.Context(), worker, "progress", i))
	}
	sum := 0
	for range 20 {
		m := soon(t, progress, "a message")
		require.Equal(t, "worker", m.From)
		sum += m.Value
	}
	require.Equal(t, 190, sum)
	require.Equal(t, daffi.NotRun, daffi.OutcomeOf(daffi.SendMsg(t.Context(), worker, "progress", "text")))
	require.Equal(t, daffi.NotRun, daffi.OutcomeOf(daffi.SendMsg(t.Context(), worker, "unheard-of", 1)))

	var want bytes.Buffer
	out := daffi.RemoteWriter(worker, "stdout")
	for i := range 200 {
		_, err := fmt.Fprintf(io.MultiWriter(out, &want), "line %d\n", i)
		require.NoError(t, err)
	}
	require.NoError(t, out.Close())
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, want.String(), output.String())
}
