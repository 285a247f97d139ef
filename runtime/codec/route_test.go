package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRouteKey(t *testing.T) {
	var e Encoder
	require.Nil(t, e.RouteKey())
	e.Array(3)
	e.Int(1)
	at := e.Len()
	e.String("bob")
	e.RouteBy(at)
	e.Bool(true)
	require.Equal(t, "\xa3bob", string(e.RouteKey()))
	at = e.Len()
	e.Nil()
	e.RouteBy(at)
	require.Equal(t, "\xc0", string(e.RouteKey()), "the last call counts")
	e.Reset(e.Bytes())
	require.Nil(t, e.RouteKey())
}
