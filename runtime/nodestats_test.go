package daffi_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

func TestD75NodeStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Zero(t, daffi.New(daffi.Options{}).Stats(), "of a node that has not joined")
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		_, err := testkit.RegisterKit(server, new(testkit.Impl), daffi.Workers(2))
		require.NoError(t, err)
		p := testkit.NewKit(client)
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go p.Block(ctx)
		}
		synctest.Wait()
		require.Equal(t, daffi.NodeStats{Calls: 3}, client.Stats())
		require.Equal(t, daffi.NodeStats{Serving: 3, Running: 2, Waiting: 1}, server.Stats())
		cancel()
		synctest.Wait()
		require.Zero(t, client.Stats().Calls)
		_, err = p.Nest(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		st := server.Stats()
		require.Equal(t, daffi.NodeStats{Late: st.Late}, st)
	})
}
