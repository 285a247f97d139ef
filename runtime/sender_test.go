package daffi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// While items are compressed, what takes as long as they are large, or as others that are compressed, the reader can give the stream its credit.
func TestCreditComesWhileItemsAreCompressed(t *testing.T) {
	for name, size := range map[string]int{"short": 500, "large": 100 << 10} {
		t.Run(name, func(t *testing.T) {
			link, _ := transport.Pipe()
			packed, locked := 0, 0
			var s *sender
			s = newSender(&session{link: link}, 1, transport.MinCredit, func([]byte) (*transport.Buffer, bool) {
				packed++
				if !s.mu.TryLock() {
					locked++
					return nil, false
				}
				s.mu.Unlock()
				return nil, false
			})
			ok, err := s.send(t.Context(), make([]byte, size), nil)
			require.True(t, ok)
			require.NoError(t, err)
			f, _, ok := s.NextFrame()
			require.True(t, ok)
			f.Release()
			require.Equal(t, 1, packed)
			require.Zero(t, locked)
			require.True(t, s.abort(nil, nil))
		})
	}
}
