package daffi

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

func FuzzTag(f *testing.F) {
	full := tag{attempt: 15, id: newCallID(), turns: make([]uint64, transport.MaxDepth)}
	for _, t := range []tag{{}, {attempt: 1}, {id: newCallID()}, {turns: []uint64{1, 1 << 63}}, {replies: true}, full} {
		f.Add(t.append(nil))
	}
	f.Add([]byte{tagTurns, 0})
	f.Add([]byte{tagTurns, transport.MaxDepth + 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var got tag
		n, err := got.read(b)
		if err != nil {
			return
		}
		if got.id == (callID{}) || got.empty() { // a writer leaves a zero id out
			return
		}
		require.Equal(t, n, got.size())
		require.True(t, bytes.Equal(b[:n], got.append(nil)))
	})
}

func TestTag(t *testing.T) {
	for _, want := range []tag{
		{attempt: 1},
		{attempt: 2, id: newCallID()},
		{turns: []uint64{7}},
		{replies: true},
		{attempt: 15, id: newCallID(), turns: make([]uint64, transport.MaxDepth)},
	} {
		b := append(want.append(nil), "message"...)
		var got tag
		n, err := got.read(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, "message", string(b[n:]))
		for i := range n {
			_, err := new(tag).read(b[:i])
			require.ErrorIs(t, err, errTag, "%d bytes", i)
		}
		require.LessOrEqual(t, n, maxTag)
	}
	for _, b := range [][]byte{{0x80}, {0xc0}, {tagTurns, 0, 0, 0, 0, 0, 0, 0, 0, 0}, append([]byte{tagTurns, transport.MaxDepth + 1}, make([]byte, 400)...)} {
		_, err := new(tag).read(b)
		require.ErrorIs(t, err, errTag)
	}
	require.True(t, (&tag{}).empty())
	require.Zero(t, (&tag{}).size())
}
