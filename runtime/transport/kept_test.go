package transport

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// sourceFunc is a source of frames.
type sourceFunc func() (Frame, bool, bool)

func (f sourceFunc) NextFrame() (Frame, bool, bool) { return f() }

// TestNothingIsKeptOfALinkThatHasEnded while it asked a source for a frame.
func TestNothingIsKeptOfALinkThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget, buf := NewKeepBudget(KeepBytes), NewBuffer(32<<10)
		a, _, _ := resumablePair(t, newRecorder(), newRecorder(), budget, NewKeepBudget(KeepBytes))
		calls := 0
		a.EnqueueSource(sourceFunc(func() (Frame, bool, bool) {
			calls++
			a.Close(nil)
			return Frame{Header: Header{Kind: Data, Flags: Bulk}, Payload: buf.B[:32<<10], Buf: buf.Retain()}, true, true
		}))
		a.Flush()
		a.Wait()
		require.Zero(t, budget.Used())
		require.True(t, buf.Sole())
		require.Equal(t, 1, calls)
	})
}
