package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

type owner struct{ forsaken int }

func (o *owner) Forsake() { o.forsaken++ }

func TestShare(t *testing.T) {
	var e Encoder
	e.Blob(make([]byte, 99))
	e.Blob(make([]byte, 100))
	e.Int(7)
	message := e.Bytes()
	read := func(share bool) (short, long []byte, o owner) {
		var d Decoder
		d.Reset(message)
		if share {
			d.Share(100, &o)
		}
		short, long = d.Blob(), d.Blob()
		require.Equal(t, 7, d.Int())
		require.NoError(t, d.Close())
		d.Reset(message) // forgets
		d.Blob()
		d.Blob()
		return short, long, o
	}

	short, long, o := read(false)
	require.Zero(t, o.forsaken)
	short[0], long[0] = 1, 1
	require.Equal(t, e.Bytes(), message)
	require.NotContains(t, message[3:100], byte(1))

	short, long, o = read(true)
	require.Equal(t, 1, o.forsaken)
	require.Len(t, short, 99)
	require.Len(t, long, 100)
	require.Equal(t, 100, cap(long), "what follows is not the blob's")
	long[0] = 'x'
	require.Equal(t, byte('x'), message[2+99+2], "the blob is a part of the message")
	short[0] = 'y'
	require.NotContains(t, message, byte('y'), "a short one is a copy")
}
