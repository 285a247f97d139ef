package daffi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// TestMalformedMessages calls with the right signature and the wrong bytes, as a broken program in another language might.
func TestMalformedMessages(t *testing.T) {
	k := newKit(t)
	client := daffi.Client{Service: testkit.KitName, Methods: []daffi.Method{
		{Name: "Add", Sig: "(int)()"}, {Name: "Echo", Sig: "(bytes)(bytes)"}, {Name: "Sum", Sig: "(int,<int)(int)"}, {Name: "Add", Sig: "(int)()", EachItem: true},
	}}
	b := daffi.Bind(k.client, &client)
	for name, enc := range map[string]func(*codec.Encoder){
		"another type":      func(e *codec.Encoder) { e.Array(1); e.String("seven") },
		"no array":          func(e *codec.Encoder) { e.Int(7) },
		"cut":               func(e *codec.Encoder) { e.Array(2); e.Int(7) },
		"more bytes":        func(e *codec.Encoder) { e.Array(1); e.Int(7); e.Int(8) },
		"a count of 2^32-1": func(e *codec.Encoder) { e.Raw([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}) },
		"nothing":           func(e *codec.Encoder) {},
		"deep":              func(e *codec.Encoder) { e.Array(2); e.Int(1); e.Raw(nested(65)) },
	} {
		err := daffi.NewAction(b, 0, enc).Do(t.Context())
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun)
		require.ErrorContains(t, err, "Kit.Add at server", name)
	}
	n, err := k.p.Total(t.Context())
	require.NoError(t, err, "the connection survives")
	require.Zero(t, n, "no handler ran")

	// An argument more than this side knows is skipped, one less stays zero.
	require.NoError(t, daffi.NewAction(b, 0, func(e *codec.Encoder) { e.Array(2); e.Int(5); e.String("newer") }).Do(t.Context()))
	require.NoError(t, daffi.NewAction(b, 0, func(e *codec.Encoder) { e.Array(0) }).Do(t.Context()))
	n, err = k.p.Total(t.Context())
	require.NoError(t, err)
	require.Equal(t, 5, n)

	// Results that cannot be read: the handler did run.
	_, err = daffi.NewCall(b, 1, func(e *codec.Encoder) { e.Array(1); e.Blob([]byte{1}) }, func(d *codec.Decoder) int { return codec.ReadResult(d, codec.ReadInt) }).Do(t.Context())
	requireError(t, err, daffi.Internal, daffi.ReasonDecode, daffi.Ran)

	// Items.
	text := daffi.Feed(repeat("no number", 3), codec.WriteString)
	_, err = daffi.NewFeedCall(b, 2, func(e *codec.Encoder) { e.Array(1); e.Int(0) }, text, func(d *codec.Decoder) int { return 0 }).Do(t.Context())
	requireError(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.Ran)
	err = daffi.NewFeedAction(b, 3, nil, text).Do(t.Context())
	requireError(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun)
	i := 0
	second := daffi.Feed(repeat("x", 2), func(e *codec.Encoder, _ string) {
		if i++; i == 1 {
			e.Int(1)
		} else {
			e.String("two")
		}
	})
	err = daffi.NewFeedAction(b, 3, nil, second).Do(t.Context())
	requireError(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.Ran) // the first item did run
}

// nested is an array in an array, depth times.
func nested(depth int) []byte {
	b := make([]byte, depth, depth+1)
	for i := range b {
		b[i] = 0x91
	}
	return append(b, 0xc0)
}
