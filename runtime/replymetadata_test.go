package daffi_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// replier sends metadata back with everything.
type replier struct {
	testkit.Impl
	t  *testing.T
	md map[string]string
}

func (r *replier) set(ctx context.Context) { assert.NoError(r.t, daffi.SetReplyMetadata(ctx, r.md)) }

func (r *replier) Echo(ctx context.Context, b []byte) ([]byte, error) {
	r.set(ctx)
	return r.Impl.Echo(ctx, b)
}

func (r *replier) Fail(ctx context.Context, how string) (string, error) {
	r.set(ctx)
	return r.Impl.Fail(ctx, how)
}

func (r *replier) Add(ctx context.Context, n int) error {
	r.set(ctx)
	assert.NoError(r.t, daffi.SetReplyMetadata(ctx, map[string]string{"n": fmt.Sprint(n)}))
	return r.Impl.Add(ctx, n)
}

func (r *replier) Sum(ctx context.Context, limit int, in iter.Seq2[int, error]) (int, error) {
	defer r.set(ctx)
	return r.Impl.Sum(ctx, limit, in)
}

func (r *replier) Count(ctx context.Context, n int, fail string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		defer r.set(ctx)
		r.Impl.Count(ctx, n, fail)(yield)
	}
}

func (r *replier) Note(ctx context.Context, line string) error {
	r.set(ctx)
	return r.Impl.Note(ctx, line)
}

// replierKit is a kit whose handlers send metadata back.
func replierKit(t *testing.T, o daffi.Options, md map[string]string) *kit {
	k := newKit(t)
	o.Name = "replier"
	server := k.net.NodeWith(o)
	_, err := testkit.RegisterKit(server, &replier{t: t, md: md})
	require.NoError(t, err)
	o.Name = "caller"
	k.client, k.server = k.net.NodeWith(o), server
	k.p = testkit.NewKit(k.client, daffi.To("replier"))
	return k
}

// TestLIM9ReplyMetadata comes with results of every size, with errors and at the ends of streams, and only to those who want it.
func TestLIM9ReplyMetadata(t *testing.T) {
	for _, zstd := range []daffi.Compression{daffi.CompressOff, daffi.CompressOn} {
		synctest.Test(t, func(t *testing.T) {
			md := map[string]string{"took": "7ms"}
			k := replierKit(t, daffi.Options{Compression: zstd}, md)
			for _, size := range []int{0, 100, 2 << 10, 20 << 10, 64<<10 - 3, 64 << 10, 1 << 20, 4<<20 - 6} {
				var r daffi.ReplyMetadata
				b := bytes.Repeat([]byte("tea "), size/4)
				got, err := k.p.Echo(daffi.WithReplyMetadata(t.Context(), &r), b)
				require.NoError(t, err)
				require.True(t, bytes.Equal(b, got), "%d", size)
				require.Equal(t, md, r.Values(), "%d", size)
				got, err = k.p.Echo(t.Context(), b)
				require.NoError(t, err)
				require.True(t, bytes.Equal(b, got), "%d", size)
			}
			for name, c := range map[string]struct {
				do   func(ctx context.Context) error
				fail string
				want map[string]string
			}{
				"action":            {do: func(ctx context.Context) error { return k.p.Add(ctx, 3) }, want: map[string]string{"took": "7ms", "n": "3"}},
				"error":             {do: func(ctx context.Context) error { _, err := k.p.Fail(ctx, "coded"); return err }, fail: "no item 7", want: md},
				"panic":             {do: func(ctx context.Context) error { _, err := k.p.Fail(ctx, "panic"); return err }, fail: "handler panicked", want: md},
				"input":             {do: func(ctx context.Context) error { _, err := k.p.Sum(ctx, 0, numbers(100)); return err }, want: md},
				"output":            {do: func(ctx context.Context) error { return drain(k.p.Count(ctx, 100, "")) }, want: md},
				"empty output":      {do: func(ctx context.Context) error { return drain(k.p.Count(ctx, 0, "")) }, want: md},
				"output that fails": {do: func(ctx context.Context) error { return drain(k.p.Count(ctx, 3, "enough")) }, fail: "enough", want: md},
				"items": {do: func(ctx context.Context) error {
					return testkit.NewMany(k.client, daffi.To("replier")).AddEach(ctx, numbers(3))
				}, want: map[string]string{"took": "7ms", "n": "2"}},
				"oneway":  {do: func(ctx context.Context) error { return k.p.Note(ctx, "") }},
				"post":    {do: func(ctx context.Context) error { return k.p.Prepare().Add(1).Post(ctx) }},
				"refused": {do: func(ctx context.Context) error { return testkit.NewKit(k.client, daffi.To("nobody")).Add(ctx, 1) }, fail: "nobody"},
			} {
				for _, ask := range []bool{true, false} {
					ctx, r := daffi.WithMetadata(t.Context(), map[string]string{"a": "b"}), new(daffi.ReplyMetadata)
					if ask {
						ctx = daffi.WithMetadata(daffi.WithReplyMetadata(ctx, r), map[string]string{"c": "d"})
					}
					err := c.do(ctx)
					require.Equal(t, c.fail != "", err != nil, "%s: %v", name, err)
					if err != nil {
						require.ErrorContains(t, err, c.fail)
					}
					if ask {
						require.Equal(t, c.want, r.Values(), name)
						require.Equal(t, c.want["took"], r.Get("took"))
					} else {
						require.Nil(t, r.Values())
					}
				}
			}
			for range k.p.Count(daffi.WithReplyMetadata(t.Context(), new(daffi.ReplyMetadata)), 100, "") {
				break // and nothing is waited for
			}
			synctest.Wait()
			require.Empty(t, k.client.Held()+k.server.Held())
		})
	}
}

func TestLIM9ReplyMetadataIsBounded(t *testing.T) {
	k := newKit(t)
	var set func(ctx context.Context) error
	_, err := daffi.Handle(k.server, "Tea.Brew", func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, set(ctx) })
	require.NoError(t, err)
	brew := func() (map[string]string, error) {
		var r daffi.ReplyMetadata
		_, err := daffi.Invoke(daffi.WithReplyMetadata(t.Context(), &r), k.client, "Tea.Brew")
		return r.Values(), err
	}
	keys := func(n int) map[string]string {
		md := map[string]string{}
		for i := range n {
			md[fmt.Sprint(i)] = ""
		}
		return md
	}
	bytes := func(n int) map[string]string { return map[string]string{"k": strings.Repeat("x", n-6)} }
	for _, md := range []map[string]string{keys(64), bytes(8 << 10)} {
		set = func(ctx context.Context) error { return daffi.SetReplyMetadata(ctx, md) }
		got, err := brew()
		require.NoError(t, err)
		require.Equal(t, md, got)
		set = func(ctx context.Context) error {
			require.NoError(t, daffi.SetReplyMetadata(ctx, md))
			return &daffi.Error{Code: daffi.NotFound, Reason: "none"}
		}
		got, err = brew()
		requireError(t, err, daffi.NotFound, "none", daffi.Ran)
		require.Equal(t, md, got, "with an error")
	}
	for _, md := range []map[string]string{keys(65), bytes(8<<10 + 1)} {
		set = func(ctx context.Context) error {
			require.NoError(t, daffi.SetReplyMetadata(ctx, map[string]string{"first": "1"}))
			return daffi.SetReplyMetadata(ctx, md)
		}
		got, err := brew()
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonTooLarge, daffi.Ran)
		require.Equal(t, map[string]string{"first": "1"}, got, "nothing of it was set")
	}
	requireError(t, daffi.SetReplyMetadata(t.Context(), nil), daffi.FailedPrecondition, "", daffi.MayHaveRun)
}

// Calls at the same time may share what they fill, and a handler's own calls do not fill it.
func TestLIM9ReplyMetadataOfSeveralCalls(t *testing.T) {
	k := replierKit(t, daffi.Options{}, map[string]string{"took": "7ms"})
	var r daffi.ReplyMetadata
	ctx := daffi.WithReplyMetadata(t.Context(), &r)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { assert.NoError(t, k.p.Add(ctx, i)) })
	}
	all.Wait()
	require.Equal(t, "7ms", r.Get("took"))
	require.Len(t, r.Values(), 2)

	var outer daffi.ReplyMetadata
	_, err := daffi.Handle(k.server, "Relay.Tell", func(ctx context.Context, n int) (int, error) { return n, k.p.Add(ctx, n) })
	require.NoError(t, err)
	_, err = daffi.Invoke(daffi.WithReplyMetadata(t.Context(), &outer), k.client, "Relay.Tell", 5)
	require.NoError(t, err)
	require.Nil(t, outer.Values())

	f := k.p.Prepare().Echo(nil).Go(daffi.WithReplyMetadata(t.Context(), &outer))
	_, err = f.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, "7ms", outer.Get("took"))
}
