package daffi_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

func TestMetadata(t *testing.T) {
	for _, zstd := range []daffi.Compression{daffi.CompressOff, daffi.CompressOn} {
		k := newKit(t)
		p := testkit.NewKit(k.net.NodeWith(daffi.Options{Name: "other", Compression: zstd}))
		got, err := p.Meta(t.Context())
		require.NoError(t, err)
		require.Empty(t, got)
		require.Empty(t, daffi.MetadataFrom(t.Context()))

		ctx := daffi.WithMetadata(t.Context(), map[string]string{"traceparent": "00-1-2-01", "tenant": "a"})
		ctx = daffi.WithMetadata(ctx, map[string]string{"tenant": "b"})
		got, err = p.Meta(ctx)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"traceparent": "00-1-2-01", "tenant": "b"}, got)

		// With messages of every size and shape.
		for _, size := range []int{0, 2 << 10, 20 << 10, 64 << 10, 1 << 20} {
			b := blob(size)
			echo, err := p.Echo(ctx, b)
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, echo))
		}
		sum, err := p.Sum(ctx, 0, numbers(100))
		require.NoError(t, err)
		require.Equal(t, 4950, sum)
		require.NoError(t, testkit.NewMany(k.client).AddEach(ctx, numbers(3)))
	}
}

func TestMetadataLimits(t *testing.T) {
	k := newKit(t)
	keys := func(n int) context.Context {
		md := map[string]string{}
		for i := range n {
			md[fmt.Sprint(i)] = ""
		}
		return daffi.WithMetadata(t.Context(), md)
	}
	bytes := func(n int) context.Context { // less a map header, a key of one byte with its header, and a header of three
		return daffi.WithMetadata(t.Context(), map[string]string{"k": strings.Repeat("x", n-6)})
	}
	for _, ctx := range []context.Context{keys(64), bytes(8 << 10)} {
		_, err := k.p.Meta(ctx)
		require.NoError(t, err)
	}
	for _, ctx := range []context.Context{keys(65), bytes(8<<10 + 1), bytes(1 << 20)} {
		_, err := k.p.Meta(ctx)
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonTooLarge, daffi.NotRun)
	}
}

// What goes before the arguments does not count as a part of them.
func TestMetadataBesideTheLargestMessage(t *testing.T) {
	k := newKit(t)
	ctx := daffi.WithMetadata(t.Context(), map[string]string{"k": strings.Repeat("x", 8<<10-6)})
	_, err := k.p.Echo(ctx, make([]byte, 4<<20-6))
	require.NoError(t, err)
	_, err = k.p.Echo(ctx, make([]byte, 4<<20-5))
	requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)

	huge := daffi.Options{Name: "huge", MaxMessage: 16 << 20}
	net := daffitest.With(t, controller.Options{MaxMessage: 16 << 20})
	_, err = testkit.RegisterKit(net.NodeWith(huge), new(testkit.Impl))
	require.NoError(t, err)
	huge.Name = "client"
	_, err = testkit.NewKit(net.NodeWith(huge)).Echo(ctx, make([]byte, 16<<20-6))
	require.NoError(t, err)
}
