package transport

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestCallersShareAQueue fills the queue towards a callee that takes nothing: one caller leaves room to the next, whatever the lane, and when the callee has taken everything
// all is as before.
func TestCallersShareAQueue(t *testing.T) {
	for name, c := range map[string]struct {
		flags   Flags
		payload int
		most    int // that fit without shares
	}{
		"by number": {0, 0, QueueFrames},
		"by size":   {Bulk, 32 << 10, QueueBytes / (HeaderSize + 32<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			eachLink(t, func(t *testing.T, e *ends) {
				e.far.SetMaxPayload(MaxPayload)
				sent := 0
				fill := func(caller uint32) (n int) {
					h := Header{Kind: Request, Flags: c.flags, Call: Served | CallID(1, 1), Peer: caller}
					for e.near.Enqueue(Frame{Header: h, Payload: make([]byte, c.payload)}) == nil {
						n++
					}
					sent += n
					return n
				}
				for range 2 {
					first, second, third := fill(1), fill(2), fill(3)
					require.InDelta(t, c.most*5/8, first, 3)
					require.InDelta(t, c.most*3/16, second, 3)
					require.InDelta(t, c.most*3/32, third, 3)
					require.Zero(t, fill(1))
					require.Positive(t, fill(4))
					e.near.Flush()
					e.farSees.wait(sent)
					settle(e.near)
				}
			})
		})
	}
}

// settle waits until a link knows that all was taken.
func settle(l Link) {
	c, ok := l.(*conn)
	if !ok {
		synctest.Wait()
	} else if idle := c.w.waitIdle(); idle != nil {
		<-idle
	}
}
