package transport

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestACC21ReadersRest: an idle connection has the least of buffers to read into, whatever it has read before.
func TestACC21ReadersRest(t *testing.T) {
	for _, size := range []int{0, restRead - HeaderSize, restRead - HeaderSize + 1, idleRead - HeaderSize, idleRead - HeaderSize + 1, MaxPayload} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far)
			l := NewConn(near, Info{}).(*conn)
			got := &collector{}
			l.Start(got)
			l.SetMaxPayload(MaxPayload)
			send := func(k Kind, size int) int {
				_, err := far.Write(AppendFrame(nil, &Header{Kind: k}, make([]byte, size)))
				require.NoError(t, err)
				synctest.Wait() // the reader waits for more
				return len(l.r.b)
			}
			require.Equal(t, restRead, len(l.r.b))
			for range 2 {
				had := send(Reply, size)
				require.LessOrEqual(t, HeaderSize+size, max(had, busyRead))
				if HeaderSize+size > restRead {
					require.Greater(t, had, restRead)
				}
				require.Equal(t, had, send(Ping, 0), "in brisk use it stays")
				time.Sleep(restTime)
				require.Equal(t, restRead, send(Ping, 0))
			}
			require.Len(t, got.frames, 6)
			l.Close(nil)
			l.Wait()
			far.Close()
		})
	}
}
