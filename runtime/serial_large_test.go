package daffi_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// blobs is a service by hand whose method Put takes bytes and Get gives some.
func blobs(name string, put func(ctx context.Context) error) *daffi.Service[plain] {
	return &daffi.Service[plain]{Name: name, Handlers: []daffi.Handler[plain]{
		{Name: "Put", Sig: "(bytes)()", Serve: func(ctx context.Context, _ plain, c *daffi.Incoming) error {
			d := c.Args()
			if d.Next() {
				d.Blob()
			}
			if err := d.Close(); err != nil {
				return err
			}
			c.Results(0)
			return put(ctx)
		}},
		{Name: "Get", Sig: "()(bytes)", Serve: func(_ context.Context, _ plain, c *daffi.Incoming) error {
			if err := c.Args().Close(); err != nil {
				return err
			}
			c.Results(1).Blob(noise(1 << 20))
			return nil
		}},
	}}
}

// putter and getter call them.
func putter(n *daffi.Node, name string) func(ctx context.Context, b []byte) error {
	b := daffi.Bind(n, &daffi.Client{Service: name, Methods: []daffi.Method{{Name: "Put", Sig: "(bytes)()"}}})
	return func(ctx context.Context, blob []byte) error {
		return daffi.NewAction(b, 0, func(e *codec.Encoder) { e.Array(1); e.Blob(blob) }).Do(ctx)
	}
}

func getter(n *daffi.Node, name string) func(ctx context.Context) ([]byte, error) {
	b := daffi.Bind(n, &daffi.Client{Service: name, Methods: []daffi.Method{{Name: "Get", Sig: "()(bytes)"}}})
	return func(ctx context.Context) ([]byte, error) {
		return daffi.NewCall(b, 0, nil, func(d *codec.Decoder) (v []byte) {
			if d.Next() {
				v = d.Blob()
			}
			return v
		}).Do(ctx)
	}
}

// Large requests that wait for a turn do not keep its holder from getting a large reply.
func TestLargeRequestsWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, other, caller := net.Node("server"), net.Node("other"), net.Node("caller")
		_, err := daffi.Register(other, blobs("Other", nil), plain{})
		require.NoError(t, err)
		get := getter(server, "Other")
		_, err = daffi.Register(server, blobs("Store", func(ctx context.Context) error {
			time.Sleep(time.Second) // until the others are there
			_, err := get(ctx)
			return err
		}), plain{}, daffi.Serial())
		require.NoError(t, err)
		put := putter(caller, "Store")
		const calls = 8 // more than there is room for at a time
		blob := bytes.Repeat(noise(1<<20), 3)
		ends := make(chan error, calls)
		for range calls {
			go func() { ends <- put(t.Context(), blob) }()
		}
		for range calls {
			require.NoError(t, <-ends)
		}
	})
}

// As many large requests wait as LIM-11 says, and one more is busy. Those that were given up give their room back.
func TestLargeRequestsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.With(t, controller.Options{MaxMessage: 16 << 20})
		server, caller := net.NodeWith(daffi.Options{Name: "server", MaxMessage: 16 << 20}), net.NodeWith(daffi.Options{Name: "caller", MaxMessage: 16 << 20})
		hold := make(chan struct{})
		_, err := daffi.Register(server, blobs("Store", func(context.Context) error { <-hold; return nil }), plain{}, daffi.Serial())
		require.NoError(t, err)
		put := putter(caller, "Store")
		blob := bytes.Repeat(noise(1<<20), 16)[:16<<20-6] // with what goes before it in the message exactly a quarter
		ends := make(chan error, 16)
		start := func(ctx context.Context, b []byte) {
			go func() { ends <- put(ctx, b) }()
			synctest.Wait()
		}
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			start(ctx, nil) // has the turn
			for range 4 {
				start(ctx, blob)
			}
			start(ctx, noise(1000))
			require.Empty(t, ends)
			requireError(t, put(ctx, noise(100<<10)), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
			cancel()
			for range 6 {
				require.Error(t, <-ends)
			}
			hold <- struct{}{}
			synctest.Wait()
		}
		close(hold)
		require.NoError(t, put(t.Context(), blob))
		synctest.Wait()
		require.Empty(t, server.Held())
	})
}
