package transport

import (
	"context"
	"fmt"
	"math"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
)

// resumablePair are the ends of a link that resumes, started: near dials, and what it dials is given to far as a controller would.
func resumablePair(t testing.TB, near, far Handler, nearBudget, farBudget *KeepBudget) (a, b *conn, cable func() *memconn.Conn) {
	x, y := memconn.Pair()
	var newest atomic.Pointer[memconn.Conn]
	newest.Store(x)
	a = newConn(x, Info{}, func(context.Context) (net.Conn, error) {
		x, c := memconn.Pair()
		newest.Store(x)
		door := newConn(c, Info{}, nil)
		door.Start(&doorman{to: b})
		t.Cleanup(door.Wait)
		return x, nil
	})
	b = newConn(y, Info{}, nil)
	o := ResumeOptions{Session: 1, Grace: time.Second, Budget: nearBudget, Pause: func(int) time.Duration { return time.Millisecond }}
	MakeResumable(a, o)
	o.Budget = farBudget
	MakeResumable(b, o)
	for l, h := range map[*conn]Handler{a: near, b: far} {
		l.SetMaxPayload(MaxPayload)
		l.Start(h)
	}
	t.Cleanup(func() {
		a.Close(nil)
		b.Close(nil)
		a.Wait()
		b.Wait()
		require.Zero(t, nearBudget.Used())
		require.Zero(t, farBudget.Used())
	})
	return a, b, newest.Load
}

// doorman hands new connections over.
type doorman struct{ to Link }

func (d *doorman) HandleFrame(f *Frame) error {
	ask, err := ParseResume(f.Payload)
	if err != nil {
		return err
	}
	over, refused := HandOver(d.to, &ask)
	if refused != nil {
		return refused
	}
	return over
}
func (d *doorman) HandleBatch()       {}
func (d *doorman) HandleClosed(error) {}

// TestKeptUntilAcknowledged: what was sent is kept, and let go of with the next Ack.
func TestKeptUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRecorder()
		mine, theirs := NewKeepBudget(KeepBytes), NewKeepBudget(KeepBytes)
		a, _, _ := resumablePair(t, newRecorder(), far, mine, theirs)
		require.NoError(t, a.Enqueue(Frame{Header: Header{Kind: Request}, Payload: make([]byte, 100)}))
		require.NoError(t, a.Enqueue(Frame{Header: Header{Kind: Data, Flags: Bulk}, Payload: make([]byte, 20<<10)}))
		a.Flush()
		far.wait(2)
		require.InDelta(t, 20<<10+2*HeaderSize+100, mine.Used(), 3*pieceCost+chargeStep)
		time.Sleep(ackDelay + time.Millisecond)
		synctest.Wait()
		require.Zero(t, mine.Used())
		require.Zero(t, theirs.Used(), "an Ack is not kept")
		for range 5 { // without waiting, for so much
			require.NoError(t, a.Enqueue(Frame{Header: Header{Kind: Data, Flags: Bulk}, Payload: make([]byte, MaxContent)}))
		}
		a.Flush()
		synctest.Wait()
		require.Less(t, mine.Used(), ackBytes)
		require.NotZero(t, mine.Used())
	})
}

// silentEnd reads everything and acknowledges nothing.
func silentEnd(c net.Conn) {
	b := make([]byte, 64<<10)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// TestLIM27BudgetIsKept: a writer stops when it has as much of the budget as it leaves free, and goes on with an Ack; only what a link may keep in any case is beyond it.
func TestLIM27BudgetIsKept(t *testing.T) {
	const limit = 1 << 20
	for _, frames := range []int{limit/(16<<10) - 10, limit / (16 << 10), 3 * limit / (16 << 10)} {
		synctest.Test(t, func(t *testing.T) {
			budget := NewKeepBudget(2 * limit)
			x, y := memconn.Pair()
			l := newConn(x, Info{}, func(context.Context) (net.Conn, error) { return nil, ErrNoController })
			MakeResumable(l, ResumeOptions{Grace: time.Second, Budget: budget})
			go silentEnd(y)
			l.Start(newRecorder())
			for range frames {
				require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Reply}, Payload: make([]byte, 16<<10-HeaderSize)}))
			}
			require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Ping}}), "behind the others")
			l.Flush()
			synctest.Wait()
			l.w.q.mu.Lock()
			waits, sent := l.w.pending(), l.w.keep.sent
			l.w.q.mu.Unlock()
			most := limit + blockSize + pieceCost + chargeStep
			require.LessOrEqual(t, budget.Used(), most)
			require.Equal(t, frames*(16<<10) > most, waits, "%d frames", frames)
			if waits {
				require.GreaterOrEqual(t, budget.Used(), limit-chargeStep)
				require.True(t, budget.Short())
			}
			// An Ack of this end's own goes all the same, and one of the peer's lets the writer go on.
			y.Write(AppendFrame(nil, &Header{Kind: Request}, nil))
			time.Sleep(2 * ackDelay)
			l.w.q.mu.Lock()
			require.False(t, l.w.keep.ackDue)
			require.EqualValues(t, HeaderSize, l.w.keep.told.Load())
			l.w.q.mu.Unlock()
			y.Write(AppendFrame(nil, &Header{Kind: Ack, Arg: sent}, nil))
			synctest.Wait()
			l.w.q.mu.Lock()
			more := l.w.keep.sent - sent
			l.w.q.mu.Unlock()
			require.Equal(t, waits, more > 0)
			l.Close(nil)
			l.Wait()
			y.Close()
			require.Zero(t, budget.Used())
		})
	}
}

// TestOneLinkDoesNotStopAnother: where a link has used up its part of the budget, another one still sends, in full when there is room.
func TestOneLinkDoesNotStopAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewKeepBudget(512 << 10)
		short := 0
		budget.OnShort(func() { short++ })
		x, y := memconn.Pair()
		hog := newConn(x, Info{}, func(context.Context) (net.Conn, error) { return nil, ErrNoController })
		MakeResumable(hog, ResumeOptions{Grace: time.Second, Budget: budget})
		go silentEnd(y)
		hog.Start(newRecorder())
		for range 100 {
			require.NoError(t, hog.Enqueue(Frame{Header: Header{Kind: Reply}, Payload: make([]byte, 16<<10)}))
		}
		hog.Flush()
		synctest.Wait()
		require.InDelta(t, 256<<10, budget.Used(), 80<<10)
		require.True(t, budget.Short())
		require.Positive(t, short)

		far := newRecorder()
		a, _, _ := resumablePair(t, newRecorder(), far, budget, NewKeepBudget(KeepBytes))
		for range 100 {
			require.NoError(t, a.Enqueue(Frame{Header: Header{Kind: Reply}, Payload: make([]byte, 16<<10)}))
		}
		a.Flush()
		far.wait(100)
		hog.Close(nil)
		hog.Wait()
		y.Close()
	})
}

// TestPeerThatAcknowledgesNothingIsLeft after StallTimeout, though it takes and says something (LIM-14); where that is short it has the time that an Ack may take.
func TestPeerThatAcknowledgesNothingIsLeft(t *testing.T) {
	for limit, after := range map[time.Duration]time.Duration{0: StallTimeout, 2 * time.Second: 2 * time.Second, 10 * time.Millisecond: ackPatience} {
		synctest.Test(t, func(t *testing.T) {
			x, y := memconn.Pair()
			l := newConn(x, Info{}, func(context.Context) (net.Conn, error) { return nil, ErrNoController })
			MakeResumable(l, ResumeOptions{Grace: time.Second, Budget: NewKeepBudget(1 << 20)})
			Limit(l, Limits{StallTimeout: limit})
			go silentEnd(y)
			r := newRecorder()
			l.Start(r)
			for range 100 {
				require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Reply}, Payload: make([]byte, 16<<10)}))
			}
			l.Flush()
			begin := time.Now()
			for range 9 {
				time.Sleep(after / 10)
				y.Write(AppendFrame(nil, &Header{Kind: Ping}, nil))
			}
			require.Equal(t, ErrStalled, <-r.closed)
			require.Equal(t, after, time.Since(begin))
			y.Close()
			l.Wait()
		})
	}
}

// TestEveryFrameComesOnce cuts the link at random and sends frames of every size in every lane.
func TestEveryFrameComesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := newRecorder(), newRecorder()
		a, b, cable := resumablePair(t, near, far, NewKeepBudget(1<<20), NewKeepBudget(300<<10))
		kinds := []Header{{Kind: Request}, {Kind: Data, Flags: Bulk}, {Kind: Reply}, {Kind: Credit}, {Kind: Chunk, Flags: Bulk}}
		sizes := []int{0, 1, 500, 1 << 10, 3 << 10, 17 << 10, MaxContent}
		const n = 3000
		for i := range n {
			h := kinds[i%len(kinds)]
			h.Call = uint64(i)
			for _, l := range []*conn{a, b} {
				for l.Enqueue(Frame{Header: h, Payload: make([]byte, sizes[i*7%len(sizes)])}) == ErrFull {
					l.Flush()
					synctest.Wait()
				}
				l.Flush()
			}
			if i%50 == 0 {
				cable().CutAfter(i * 31 % 9000)
			}
			if i%10 == 0 {
				synctest.Wait()
			}
		}
		for _, r := range []*recorder{near, far} {
			seen := map[uint64]int{}
			for _, f := range r.wait(n) {
				seen[f.Call]++
			}
			require.Len(t, seen, n)
			require.Len(t, r.wait(n), n)
		}
	})
}

// BenchmarkKeeping is what it costs to number and keep what is sent; the difference between the two is the price of a link that resumes.
func BenchmarkKeeping(b *testing.B) {
	for _, size := range []int{64, 16 << 10} {
		for _, keeps := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d bytes/keeps %v", size, keeps), func(b *testing.B) {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(b, err)
				defer ln.Close()
				x, err := net.Dial("tcp", ln.Addr().String())
				require.NoError(b, err)
				y, err := ln.Accept()
				require.NoError(b, err)
				budget := NewKeepBudget(KeepBytes)
				near := newConn(x, Info{}, func(context.Context) (net.Conn, error) { return nil, ErrNoController })
				far := newConn(y, Info{}, nil)
				if keeps {
					MakeResumable(near, ResumeOptions{Grace: time.Second, Budget: budget})
					MakeResumable(far, ResumeOptions{Grace: time.Second, Budget: budget})
				}
				counts := &counting{got: make(chan struct{}, 1<<16)}
				near.SetMaxPayload(MaxPayload)
				far.SetMaxPayload(MaxPayload)
				near.Start(newRecorder())
				far.Start(counts)
				payload := make([]byte, size)
				b.SetBytes(int64(size + HeaderSize))
				b.ReportAllocs()
				for b.Loop() {
					for range 64 {
						near.Enqueue(Frame{Header: Header{Kind: Request}, Payload: payload})
					}
					near.Flush()
					for range 64 {
						<-counts.got
					}
				}
				near.Close(nil)
				far.Close(nil)
				near.Wait()
				far.Wait()
			})
		}
	}
}

// counting is a handler that tells of every frame.
type counting struct{ got chan struct{} }

func (c *counting) HandleFrame(*Frame) error { c.got <- struct{}{}; return nil }
func (c *counting) HandleBatch()             {}
func (c *counting) HandleClosed(error)       {}

// FuzzResume reads a Resume, writes it again, and offers it to a link, which must not take it.
func FuzzResume(f *testing.F) {
	ask := ResumePayload{Session: 1, Attempt: 1, Received: 0}
	f.Add(AppendResume(nil, &ask))
	f.Add([]byte{Version})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseResume(b)
		if err != nil {
			require.ErrorIs(t, err, ErrProtocol)
			return
		}
		require.Equal(t, b[:resumeSize], AppendResume(nil, &p))
		x, _ := net.Pipe()
		l := newConn(x, Info{}, nil)
		MakeResumable(l, ResumeOptions{Secret: [ProofSize]byte{1}, Session: p.Session, Controller: p.Controller, Budget: NewKeepBudget(1)})
		over, refused := HandOver(l, &p)
		require.Nil(t, over)
		require.Error(t, refused)
		l.end(nil)
	})
}

// FuzzResumableReader is what a peer may send on a link that resumes: at worst that ends it.
func FuzzResumableReader(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, &Header{Kind: Request}, []byte("x")), &Header{Kind: Ack, Arg: HeaderSize}, nil))
	f.Add(AppendFrame(nil, &Header{Kind: Ack, Arg: 1 << 63}, nil))
	f.Add(AppendFrame(nil, &Header{Kind: Resume}, AppendResume(nil, &ResumePayload{Session: 1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newConn(&twoReads{first: b[:len(b)/2], second: b[len(b)/2:]}, Info{}, func(context.Context) (net.Conn, error) { return nil, ErrNoController })
		l.SetMaxPayload(MaxPayload)
		budget := NewKeepBudget(KeepBytes)
		MakeResumable(l, ResumeOptions{Grace: time.Hour, Budget: budget})
		r := newRecorder()
		require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Ping}}))
		l.Flush()
		l.Start(r)
		require.Error(t, <-r.closed)
		l.Wait()
		require.Zero(t, budget.Used())
	})
}

// BenchmarkKeptBy1000Links is how much memory 1000 links keep that have each sent something which was not acknowledged.
func BenchmarkKeptBy1000Links(b *testing.B) {
	const links = 1000
	for _, size := range []int{0, 64, 16 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%d bytes each", size), func(b *testing.B) {
			for b.Loop() {
				budget := NewKeepBudget(KeepBytes)
				var before, after runtime.MemStats
				for range 3 { // what the pools hold is gone with the second
					runtime.GC()
				}
				runtime.ReadMemStats(&before)
				all := make([]*conn, links)
				for i := range all {
					all[i] = newConn(&twoReads{}, Info{}, nil)
					MakeResumable(all[i], ResumeOptions{Grace: time.Second, Budget: budget})
					if size > 0 {
						all[i].Enqueue(Frame{Header: Header{Kind: Reply}, Payload: make([]byte, size)})
						all[i].Flush()
					}
				}
				for _, l := range all {
					l.w.wg.Wait()
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(budget.Used())/links, "charged-B/link")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/links, "heap-B/link")
				for _, l := range all {
					l.end(nil)
				}
			}
		})
	}
}

// A peer that resumes over and over, and receives next to nothing, makes this side send the same again and again: not for ever (LIM-67).
func TestLIM67ResentBytes(t *testing.T) {
	for _, c := range []struct {
		kept             int
		resent, received uint64
		ok               bool
	}{
		{KeepLink, resendFree - 1000, 0, true}, {KeepLink, resendFree - 999, 0, false}, {1, resendFree - 1000, 0, true}, {1, resendFree - 999, 0, false},
		{KeepLink, resendFree + 3000, 1000, true}, {KeepLink, resendFree + 4001, 1000, false},
		{1 << 30, resendLink<<30 - 1000, 0, true}, {1 << 30, resendLink<<30 - 999, 0, false}, {math.MaxInt, resendFree, 0, true},
	} {
		var l conn
		k := &keep{link: &l}
		k.Session, k.sent, k.resent, k.limit = 7, 1000+c.received, c.resent, c.kept
		l.w.keep = k
		ask := ResumePayload{Session: 7, Attempt: 1, Received: c.received}
		ask.Prove(k.Secret, false)
		_, err := HandOver(&l, &ask)
		require.Equal(t, c.ok, err == nil, "%+v: %v", c, err)
	}
}
