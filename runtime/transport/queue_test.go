package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLIM14CauseOfACancel: a queue that is filled by half takes a Cancel only without its cause.
func TestLIM14CauseOfACancel(t *testing.T) {
	var q queue
	q.limits.setDefaults()
	h := Header{Kind: Cancel}
	q.bytes = QueueBytes - HeaderSize - 10
	require.NoError(t, q.admit(&h, 10), "the last that fits")
	require.ErrorIs(t, q.admit(&h, 10), ErrFull)
	require.NoError(t, q.admit(&h, 0))
	q.bytes, q.frames = 0, QueueFrames-1
	require.NoError(t, q.admit(&h, 10))
	require.ErrorIs(t, q.admit(&h, 10), ErrFull)
	require.NoError(t, q.admit(&h, 0))
}
