package transport

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
)

// TestBacklog: how long a peer has needed at least is told of what waited at some moment, whatever came later, until the peer has taken, or acknowledged, all of that.
func TestBacklog(t *testing.T) {
	for _, resumes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x, y := memconn.Pair()
			l := newConn(x, Info{}, func(context.Context) (net.Conn, error) { return nil, ErrNoController })
			if resumes {
				MakeResumable(l, ResumeOptions{Grace: time.Second, Budget: NewKeepBudget(KeepBytes)})
				go silentEnd(y)
			} else {
				y.Stall(true)
			}
			l.Start(newRecorder())
			var b Backlog
			look := func(held int, waits time.Duration) {
				t.Helper()
				synctest.Wait()
				h, w := b.Look(l, time.Now())
				require.InDelta(t, held, h, 3<<19)
				require.Equal(t, waits, w)
			}
			say := func() {
				for range 64 {
					require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Reply}, Payload: make([]byte, 64<<10)}))
				}
				l.Flush()
			}
			look(0, 0)
			say()
			time.Sleep(time.Second)
			look(4<<20, 0)
			say()
			time.Sleep(time.Second)
			look(8<<20, time.Second)
			if resumes {
				y.Write(AppendFrame(nil, &Header{Kind: Ack, Arg: 64 << 10}, nil))
				time.Sleep(time.Second)
				look(8<<20, 2*time.Second)
				y.Write(AppendFrame(nil, &Header{Kind: Ack, Arg: 64 * (64<<10 + HeaderSize)}, nil))
				time.Sleep(time.Second)
				look(4<<20, 0)
				time.Sleep(time.Second)
				look(4<<20, time.Second)
			} else {
				go silentEnd(y)
				y.Stall(false)
				time.Sleep(time.Second)
				look(0, 0)
				time.Sleep(time.Second)
				look(0, 0)
			}
			l.Close(nil)
			l.Wait()
			y.Close()
		})
	}
	a, b := Pipe()
	var g Backlog
	require.NoError(t, a.Enqueue(Frame{Header: Header{Kind: Ping}, Payload: make([]byte, 100)}))
	begin := time.Now()
	held, _ := g.Look(a, begin)
	require.Equal(t, 100+HeaderSize, held)
	_, waits := g.Look(a, begin.Add(time.Second))
	require.Equal(t, time.Second, waits)
	a.Close(nil)
	b.Close(nil)
	held, waits = g.Look(nil, begin)
	require.Zero(t, held)
	require.Zero(t, waits)
}
