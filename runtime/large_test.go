package daffi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// A Grant may come when the message is not sent any more: its buffer, which may be another's by then, is not looked at.
func TestGrantOfWhatWasGivenUp(t *testing.T) {
	buf := transport.NewBuffer(100)
	buf.B = buf.B[:100]
	l := newLarge(nil, 1, buf, nil)
	l.close()
	l.granted(50)
	require.Zero(t, l.allowed)
	buf.Release()
}
