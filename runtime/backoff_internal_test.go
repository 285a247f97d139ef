package daffi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The pause before joining again is random, grows to the limit of the kind of address, and never beyond it.
func TestLIM18Backoff(t *testing.T) {
	for addr, limit := range map[string]time.Duration{"": time.Second, "unix:///a": time.Second, "tcp://127.0.0.1:1": 5 * time.Second} {
		n := New(Options{Name: "n", Addr: addr})
		for failures, most := range map[int]time.Duration{0: 50 * time.Millisecond, 1: 100 * time.Millisecond, 3: 400 * time.Millisecond, 20: limit, 1 << 30: limit} {
			var longest time.Duration
			for range 10_000 {
				pause := n.backoff(failures)
				require.Positive(t, pause)
				longest = max(longest, pause)
			}
			require.LessOrEqual(t, longest, most, "%s after %d failures", addr, failures)
			require.Greater(t, longest, most*9/10, "%s after %d failures", addr, failures)
		}
		require.NoError(t, n.Close())
	}
}
