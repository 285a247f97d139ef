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

// TestWriterWaitsForTheBudgetOnce however often it is told to write meanwhile.
func TestWriterWaitsForTheBudgetOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewKeepBudget(128 << 10)
		x, y := memconn.Pair()
		l := newConn(x, Info{}, func(context.Context) (net.Conn, error) { return nil, ErrNoController })
		MakeResumable(l, ResumeOptions{Grace: time.Second, Budget: budget})
		go silentEnd(y)
		l.Start(newRecorder())
		for range 100 {
			require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Reply}, Payload: make([]byte, 16<<10)}))
			l.Flush()
			synctest.Wait()
		}
		budget.mu.Lock()
		require.Len(t, budget.waiting, 1)
		budget.mu.Unlock()
		l.Close(nil)
		l.Wait()
		y.Close()
	})
}

// TestRequestsThatAreKeptTogether each have the time taken off that they themselves have waited (SEM-5).
func TestRequestsThatAreKeptTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRecorder()
		a, b, cable := resumablePair(t, newRecorder(), far, NewKeepBudget(KeepBytes), NewKeepBudget(KeepBytes))
		cable().Stall(true)
		for _, f := range []Header{
			{Kind: Request, Arg: uint64(20 * time.Second)}, {Kind: Data, Flags: Bulk}, {Kind: Request, Arg: uint64(20 * time.Second)}, {Kind: Credit},
		} {
			require.NoError(t, a.Enqueue(Frame{Header: f}))
			a.Flush()
			time.Sleep(time.Second)
		}
		a.w.q.mu.Lock()
		require.Less(t, len(a.w.keep.pieces), 4, "what came long after a request is kept with it all the same, if it is no request")
		a.w.q.mu.Unlock()
		b.fail(ErrSilent)
		cable().Close()
		var left []time.Duration
		for _, f := range far.wait(4) {
			if f.Kind == Request {
				left = append(left, time.Duration(f.Arg))
			}
		}
		require.InDelta(t, 16, left[0].Seconds(), 0.1)
		require.InDelta(t, 18, left[1].Seconds(), 0.1)
	})
}

// TestShortPayloadOfALongBuffer is copied: what is kept is as much as the budget knows of.
func TestShortPayloadOfALongBuffer(t *testing.T) {
	for size, stays := range map[int]bool{2 << 10: false, 16 << 10: false, 40 << 10: true, MaxContent: true} {
		synctest.Test(t, func(t *testing.T) {
			far, budget := newRecorder(), NewKeepBudget(KeepBytes)
			a, _, _ := resumablePair(t, newRecorder(), far, budget, NewKeepBudget(KeepBytes))
			buf := NewBuffer(MaxContent)
			require.NoError(t, a.Enqueue(Frame{Header: Header{Kind: Data, Flags: Bulk}, Payload: buf.B[:size], Buf: buf.Retain()}))
			a.Flush()
			far.wait(1)
			synctest.Wait()
			require.Greater(t, budget.Used(), size)
			require.Equal(t, stays, !buf.Sole(), "%d bytes", size)
		})
	}
}

// TestOnlyWhatFollowsTheHandshakeCounts in the offsets: a later version may say something before.
func TestOnlyWhatFollowsTheHandshakeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := memconn.Pair()
		l := newConn(x, Info{}, nil)
		l.Start(newRecorder())
		write := func(hs ...Header) {
			for i := range hs {
				y.Write(AppendFrame(nil, &hs[i], nil))
			}
			synctest.Wait()
		}
		write(Header{Kind: 200, Flags: Optional}, Header{Kind: Hello}, Header{Kind: 200, Flags: Optional}, Header{Kind: Proof})
		require.Zero(t, l.count)
		write(Header{Kind: 200, Flags: Optional}, Header{Kind: Ack}, Header{Kind: Ping})
		require.EqualValues(t, 2*HeaderSize, l.count)
		l.Close(nil)
		l.Wait()
	})
}

// TestStopOfAProcessWhoseLinkResumes: what came meanwhile is not taken as it lies there, but sent again, with the time that has passed taken off.
func TestStopOfAProcessWhoseLinkResumes(t *testing.T) {
	for _, keeper := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const most = 10 * time.Second
			near := newRecorder()
			a, b, cable := resumablePair(t, near, newRecorder(), NewKeepBudget(KeepBytes), NewKeepBudget(KeepBytes))
			before := cable()
			a.Awake(most)
			before.Stall(true) // nothing is read
			for i := range 3 {
				require.NoError(t, b.Enqueue(Frame{Header: Header{Kind: Request, Call: uint64(i), Arg: uint64(time.Minute)}}))
			}
			b.Flush()
			time.Sleep(most + time.Second)
			if keeper {
				a.Awake(most)
			} else {
				before.Stall(false)
			}
			near.wait(3)
			synctest.Wait()
			require.NotSame(t, before, cable())
			require.Len(t, near.frames, 3)
			for i, f := range near.frames {
				require.EqualValues(t, i, f.Call)
				require.Equal(t, time.Minute-most-time.Second, time.Duration(f.Arg).Round(10*time.Millisecond))
			}
			time.Sleep(most + time.Second)
			a.Awake(2 * most)
			require.NoError(t, b.Enqueue(Frame{Header: Header{Kind: Ping}}))
			b.Flush()
			near.wait(4)
		})
	}
}
