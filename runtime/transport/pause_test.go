package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
)

// pausePair is a link, and the other end of its connection.
func pausePair() (near Link, far *memconn.Conn, sees *recorder) {
	a, far := memconn.Pair()
	near, sees = NewConn(a, Info{}), newRecorder()
	near.SetMaxPayload(MaxPayload)
	near.Start(sees)
	return near, far, sees
}

var (
	someFrame = AppendFrame(nil, &Header{Kind: Data}, make([]byte, 100))
	longFrame = AppendFrame(nil, &Header{Kind: Data, Flags: Bulk}, make([]byte, MaxContent))
)

// What came while the process was stopped is not delivered, whether a read finds out first or whoever says that the process runs.
func TestNothingIsTakenAfterAStop(t *testing.T) {
	const most = 10 * time.Second
	for name, c := range map[string]struct {
		before []byte
		keeper bool
		after  []byte
	}{
		"found by a read":                {nil, false, someFrame},
		"found in the middle of a frame": {longFrame[:40_000], false, longFrame[40_000:]},
		"found by its keeper":            {nil, true, someFrame},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far, sees := pausePair()
				near.Awake(most)
				time.Sleep(most)
				far.Write(someFrame)
				synctest.Wait()
				time.Sleep(most)
				near.Awake(most)
				require.Len(t, sees.wait(1), 1, "up to then it may be as long as the peer waits")

				far.Write(c.before)
				synctest.Wait()
				time.Sleep(most + 1)
				if c.keeper {
					near.Awake(most)
				}
				far.Write(c.after)
				err := <-sees.closed
				require.ErrorIs(t, err, ErrPaused)
				require.ErrorIs(t, err, ErrSilent)
				require.Len(t, sees.frames, 1)
				near.Wait()
			})
		})
	}
}

// A peer that is silent for longer is no sign of a stop, as long as somebody says that the process runs.
func TestSilenceIsNoStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far, sees := pausePair()
		for range 10 {
			near.Awake(10 * time.Second)
			time.Sleep(10 * time.Second)
		}
		far.Write(someFrame)
		require.Len(t, sees.wait(1), 1)
		near.Close(nil)
		near.Wait()
	})
}
