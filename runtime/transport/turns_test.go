package transport

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
)

// lender is a recorder that lends the reading, and has work after each Request.
type lender struct {
	*recorder
	lends atomic.Bool
	asked func() // called once by Lends
	work  func() // what a Request leads to; nil for nothing
	here  atomic.Int64
	away  atomic.Int64
	ready Work
}

func (l *lender) Lends() bool {
	lends := l.lends.Load()
	if f := l.asked; f != nil {
		l.asked = nil
		f()
	}
	return lends
}

func (l *lender) HandleFrame(f *Frame) error {
	if f.Kind == Request && l.work != nil {
		l.ready = (*lenderWork)(l)
	}
	return l.recorder.HandleFrame(f)
}

func (l *lender) Work() Work {
	w := l.ready
	l.ready = nil
	return w
}

type lenderWork lender

func (w *lenderWork) Here()      { w.here.Add(1); w.work() }
func (w *lenderWork) Elsewhere() { w.away.Add(1); go w.work() }

// answerer answers each Request with a Reply.
type answerer struct {
	*recorder
	link Link
}

func (a *answerer) HandleFrame(f *Frame) error {
	if f.Kind == Request {
		a.link.Enqueue(Frame{Header: Header{Kind: Reply, Call: f.Call}})
	}
	return a.recorder.HandleFrame(f)
}

func (a *answerer) HandleBatch() {
	a.recorder.HandleBatch()
	a.link.Flush()
}

// until waits for a number of frames, or for whatever it is told.
type until struct {
	r *recorder
	n int
	f func() bool
}

func (u *until) Over() bool {
	if u.f != nil {
		return u.f()
	}
	u.r.mu.Lock()
	defer u.r.mu.Unlock()
	return len(u.r.frames) >= u.n
}

// turnsTest is a link whose near end lends the reading and whose far end answers requests.
type turnsTest struct {
	t         *testing.T
	near, far Link
	cable     *memconn.Conn // of the far end
	sees      *lender
	calls     uint64
}

func newTurnsTest(t *testing.T) *turnsTest {
	x, y := memconn.Pair()
	k := &turnsTest{t: t, near: NewConn(x, Info{}), far: NewConn(y, Info{}), cable: y, sees: &lender{recorder: newRecorder()}}
	k.sees.lends.Store(true)
	k.near.SetMaxPayload(MaxPayload)
	k.far.SetMaxPayload(MaxPayload)
	k.near.Start(k.sees)
	k.far.Start(&answerer{newRecorder(), k.far})
	t.Cleanup(func() {
		k.near.Close(nil)
		k.far.Close(nil)
		k.near.Wait()
		k.far.Wait()
	})
	return k
}

// call sends a Request, and reports whether it could read the Reply itself.
func (k *turnsTest) call() bool {
	k.calls++
	require.NoError(k.t, k.near.Enqueue(Frame{Header: Header{Kind: Request, Call: k.calls}}))
	k.near.Flush()
	if k.near.Attend(&until{r: k.sees.recorder, n: int(k.calls)}) {
		return true
	}
	k.sees.wait(int(k.calls))
	synctest.Wait()
	return false
}

// vacate makes calls until nobody reads.
func (k *turnsTest) vacate() {
	k.t.Helper()
	for range 3 {
		if k.call() {
			return
		}
	}
	require.Fail(k.t, "the reading was not lent")
}

// arrives lets the far end send a frame that nobody waits for, and requires that it comes soon.
func (k *turnsTest) arrives() {
	k.t.Helper()
	start := time.Now()
	n := len(k.sees.wait(0)) + 1
	require.NoError(k.t, k.far.Enqueue(Frame{Header: Header{Kind: Ping}}))
	k.far.Flush()
	k.sees.wait(n)
	require.LessOrEqual(k.t, time.Since(start), 2*turnTick)
	k.calls++ // frames and calls are counted together
}

// TestAttend has a lone caller read its replies, and what comes without being asked for come soon.
func TestAttend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTurnsTest(t)
		k.vacate()
		for range 100 {
			require.True(t, k.call())
		}
		k.arrives()
		k.arrives()
		time.Sleep(time.Second)
		k.arrives()
		k.vacate()

		k.sees.lends.Store(false) // there is company
		require.True(t, k.call(), "nobody else reads")
		require.False(t, k.call())
		k.arrives()
	})
}

// TestAttendMeanwhile has somebody begin to wait at the moment at which the reading is lent: either reads.
func TestAttendMeanwhile(t *testing.T) {
	for name, vacant := range map[string]bool{"by the link": false, "by an attendant": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newTurnsTest(t)
				if vacant {
					k.vacate()
				}
				done := make(chan struct{})
				k.sees.asked = func() {
					n := len(k.sees.wait(0))
					go func() {
						defer close(done)
						k.near.Attend(&until{r: k.sees.recorder, n: n + 1})
					}()
					time.Sleep(time.Microsecond)
					k.sees.lends.Store(false)
				}
				k.call()
				time.Sleep(2 * time.Microsecond)
				start := time.Now()
				k.arrives()
				<-done
				require.Zero(t, time.Since(start))
			})
		})
	}
}

// TestAttendNil takes the reading back for who does not attend.
func TestAttendNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTurnsTest(t)
		for range 10 {
			k.vacate()
			require.False(t, k.near.Attend(nil))
			require.False(t, k.near.Attend(nil))
			start := time.Now()
			k.arrives()
			require.Zero(t, time.Since(start))
		}
	})
}

// TestAttendEnds has attendants whose wait ends without a frame, and one that waits for long.
func TestAttendEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTurnsTest(t)
		k.vacate()
		start := time.Now()
		require.True(t, k.near.Attend(&until{f: func() bool { return time.Since(start) >= 5*time.Millisecond }}))
		require.LessOrEqual(t, time.Since(start), 7*time.Millisecond)
		k.arrives()

		k.vacate()
		start = time.Now()
		require.True(t, k.near.Attend(&until{f: func() bool { return false }}))
		require.LessOrEqual(t, time.Since(start), (patience+2)*turnTick, "others wait by themselves after a while")
		require.GreaterOrEqual(t, time.Since(start), patience*turnTick)
		k.arrives()
		k.vacate()
	})
}

// halfFrame is the beginning of a long frame, and the rest of it.
func halfFrame() (begin, rest []byte) {
	b := AppendFrame(nil, &Header{Kind: Data, Call: 1}, make([]byte, 50<<10))
	return b[:len(b)/2], b[len(b)/2:]
}

// TestHalfFrame has long frames of which a part comes, and the rest much later: they hold up neither a request that came before, nor an attendant.
func TestHalfFrame(t *testing.T) {
	t.Run("work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTurnsTest(t)
			k.sees.lends.Store(false)
			var ran atomic.Int64
			k.sees.work = func() { ran.Add(1) }
			begin, rest := halfFrame()
			for i := range 3 {
				_, err := k.cable.Write(append(AppendFrame(nil, &Header{Kind: Request}, nil), begin...))
				require.NoError(t, err)
				synctest.Wait()
				require.Equal(t, int64(i+1), ran.Load())
				time.Sleep(time.Second)
				_, err = k.cable.Write(rest)
				require.NoError(t, err)
				require.Equal(t, Data, k.sees.wait(2 * (i + 1))[2*i+1].Kind)
			}
		})
	})
	t.Run("attendant", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTurnsTest(t)
			k.vacate()
			begin, rest := halfFrame()
			n := len(k.sees.wait(0))
			_, err := k.cable.Write(begin)
			require.NoError(t, err)
			start := time.Now()
			require.True(t, k.near.Attend(&until{f: func() bool { return time.Since(start) >= 5*time.Millisecond }}))
			require.LessOrEqual(t, time.Since(start), 7*time.Millisecond)
			time.Sleep(time.Second)
			_, err = k.cable.Write(rest)
			require.NoError(t, err)
			require.Equal(t, Data, k.sees.wait(n + 1)[n].Kind)
			k.calls++
			k.arrives()
			k.vacate()
		})
	})
	t.Run("end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTurnsTest(t)
			begin, _ := halfFrame()
			_, err := k.cable.Write(begin)
			require.NoError(t, err)
			synctest.Wait()
			k.cable.Close()
			require.Equal(t, io.ErrUnexpectedEOF, <-k.sees.closed)
		})
	})
}

// TestWorkOfAFailedBatch leaves what a batch has led to that was not read to its end to the end of the link.
func TestWorkOfAFailedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTurnsTest(t)
		k.vacate()
		k.sees.work = func() {}
		bad := make([]byte, HeaderSize)
		for i := range bad {
			bad[i] = 0xff
		}
		_, err := k.cable.Write(append(AppendFrame(nil, &Header{Kind: Request}, nil), bad...))
		require.NoError(t, err)
		require.True(t, k.near.Attend(&until{f: func() bool { return false }}))
		require.ErrorIs(t, <-k.sees.closed, ErrProtocol)
		require.Zero(t, k.sees.here.Load()+k.sees.away.Load())
		require.NotNil(t, k.sees.Work())
	})
}

// TestAttendAtTheEnd ends the connection while nobody reads it, and while an attendant does.
func TestAttendAtTheEnd(t *testing.T) {
	for name, lent := range map[string]bool{"nobody reads": false, "an attendant reads": true} {
		for name2, end := range map[string]func(*turnsTest) Link{
			"near closes": func(k *turnsTest) Link { return k.near }, "far closes": func(k *turnsTest) Link { return k.far },
		} {
			t.Run(name+", "+name2, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newTurnsTest(t)
					k.vacate()
					done := make(chan struct{})
					if lent {
						go func() {
							defer close(done)
							assert.True(t, k.near.Attend(&until{f: func() bool { return false }}))
						}()
						synctest.Wait()
					} else {
						close(done)
					}
					start := time.Now()
					end(k).Close(io.ErrClosedPipe)
					err := <-k.sees.closed
					require.LessOrEqual(t, time.Since(start), 2*turnTick)
					<-done
					k.near.Wait()
					require.False(t, k.near.Attend(&until{f: func() bool { return false }}), "there is nothing to read")
					if end(k) == k.near {
						require.Equal(t, io.ErrClosedPipe, err)
						require.Zero(t, time.Since(start))
					} else {
						require.Equal(t, io.EOF, err)
					}
				})
			})
		}
	}
}

// TestWorkHere runs what a lone request leads to where it was read, without keeping others waiting when that blocks or ends its goroutine.
func TestWorkHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTurnsTest(t)
		k.sees.lends.Store(false)
		release := make(chan struct{})
		var next func()
		k.sees.work = func() { next() }
		request := func() {
			n := len(k.sees.wait(0)) + 1
			require.NoError(t, k.far.Enqueue(Frame{Header: Header{Kind: Request}}))
			k.far.Flush()
			k.sees.wait(n)
		}
		quick := func() {}
		for i, f := range []func(){quick, quick, func() { <-release }, quick, runtime.Goexit, quick, func() { <-release }, quick} {
			next = f
			before := k.sees.here.Load() + k.sees.away.Load()
			start := time.Now()
			request()
			require.LessOrEqual(t, time.Since(start), 2*turnTick, i)
			synctest.Wait()
			require.Equal(t, before+1, k.sees.here.Load()+k.sees.away.Load(), i)
		}
		require.GreaterOrEqual(t, k.sees.here.Load(), int64(6))
		time.Sleep(time.Second)
		close(release)
		synctest.Wait()
		next = quick
		away := k.sees.away.Load()
		request()
		synctest.Wait()
		require.Equal(t, away+1, k.sees.away.Load(), "not where it would hold up a link that is not in brisk use")
	})
}
