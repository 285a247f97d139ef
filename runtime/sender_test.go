package daffi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// While a large item is compressed, what takes as long as it is large, the reader can give the stream its credit.
func TestCreditComesWhileALargeItemIsCompressed(t *testing.T) {
	link, _ := transport.Pipe()
	free := false
	var s *sender
	s = newSender(&session{link: link}, 1, transport.MinCredit, func([]byte) (*transport.Buffer, bool) {
		if s.mu.TryLock() {
			s.mu.Unlock()
			free = true
		}
		return nil, false
	})
	ok, err := s.send(t.Context(), make([]byte, 100<<10), nil)
	require.True(t, ok)
	require.NoError(t, err)
	require.True(t, free)
	require.True(t, s.abort(nil, nil))
}
