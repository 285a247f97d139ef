package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
)

// twoReads is a connection that brings its bytes in two reads, or more where they do not fit, then the end.
type twoReads struct{ first, second []byte }

func (r *twoReads) Read(p []byte) (int, error) {
	if len(r.first) == 0 {
		r.first, r.second = r.second, nil
	}
	if len(r.first) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.first)
	r.first = r.first[n:]
	return n, nil
}
func (r *twoReads) Write(p []byte) (int, error)      { return len(p), nil }
func (r *twoReads) Close() error                     { return nil }
func (r *twoReads) LocalAddr() net.Addr              { return nil }
func (r *twoReads) RemoteAddr() net.Addr             { return nil }
func (r *twoReads) SetDeadline(time.Time) error      { return nil }
func (r *twoReads) SetReadDeadline(time.Time) error  { return nil }
func (r *twoReads) SetWriteDeadline(time.Time) error { return nil }

// recorder is a handler that hands headers and the first bytes of payloads to a test.
type recorder struct {
	mu     sync.Mutex
	frames []Frame
	got    chan struct{}
	closed chan error
	refuse error // returned for every frame
}

func newRecorder() *recorder {
	return &recorder{got: make(chan struct{}, 1), closed: make(chan error, 1)}
}

func (r *recorder) HandleFrame(f *Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	r.frames = append(r.frames, Frame{Header: f.Header, Payload: append([]byte(nil), f.Payload[:min(len(f.Payload), 16)]...)})
	return nil
}

func (r *recorder) HandleBatch() {
	select {
	case r.got <- struct{}{}:
	default:
	}
}

func (r *recorder) HandleClosed(err error) { r.closed <- err }

// wait returns when n frames have come.
func (r *recorder) wait(n int) []Frame {
	for {
		r.mu.Lock()
		fs := r.frames
		r.mu.Unlock()
		if len(fs) >= n {
			return fs
		}
		<-r.got
	}
}

// ends are the two ends of a link, started, with the far one's recorder.
type ends struct {
	near, far Link
	nearSees  *recorder
	farSees   *recorder
	cable     *memconn.Conn // of the near end, where there is one
}

// eachLink runs f with every kind of link; in a bubble where that is possible.
func eachLink(t *testing.T, f func(t *testing.T, e *ends)) {
	start := func(e *ends) *ends {
		e.nearSees, e.farSees = newRecorder(), newRecorder()
		e.near.SetMaxPayload(MaxPayload)
		e.far.SetMaxPayload(MaxPayload)
		e.near.Start(e.nearSees)
		e.far.Start(e.farSees)
		return e
	}
	stop := func(e *ends) {
		e.near.Close(nil)
		e.far.Close(nil)
		e.near.Wait()
		e.far.Wait()
	}
	t.Run("pipe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := Pipe()
			e := start(&ends{near: a, far: b})
			defer stop(e)
			f(t, e)
		})
	})
	t.Run("conn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := memconn.Pair()
			e := start(&ends{near: NewConn(a, Info{}), far: NewConn(b, Info{}), cable: a})
			defer stop(e)
			f(t, e)
		})
	})
	t.Run("unix", func(t *testing.T) {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		require.NoError(t, err)
		defer l.Close()
		a, err := net.Dial("unix", l.Addr().String())
		require.NoError(t, err)
		b, err := l.Accept()
		require.NoError(t, err)
		e := start(&ends{near: NewConn(a, Info{}), far: NewConn(b, Info{})})
		defer stop(e)
		f(t, e)
	})
}

// number is a payload of size bytes that begins with i.
func number(i, size int) []byte {
	b := make([]byte, max(size, 8))
	binary.LittleEndian.PutUint64(b, uint64(i))
	return b
}

func TestLinkKeepsTheOrderOfALane(t *testing.T) {
	eachLink(t, func(t *testing.T, e *ends) {
		const n = 300
		// One sequence in each lane, small and large frames mixed, from three goroutines.
		var wg sync.WaitGroup
		for lane, h := range []Header{{Kind: Control, Call: 0}, {Kind: Reply, Call: 1}, {Kind: Reply, Flags: Bulk, Call: 2}} {
			wg.Go(func() {
				for i := range n {
					size := 8
					if lane > 0 && i%7 == 0 {
						size = MaxPayload / (1 + i%3)
					}
					for {
						err := e.near.Enqueue(Frame{Header: h, Payload: number(i, size)})
						if err == nil {
							break
						}
						require.ErrorIs(t, err, ErrFull)
						<-e.near.Room()
					}
					if i%5 == 0 {
						e.near.Flush()
					}
				}
				e.near.Flush()
			})
		}
		wg.Wait()
		next := [3]uint64{}
		for _, f := range e.farSees.wait(3 * n) {
			i := binary.LittleEndian.Uint64(f.Payload)
			require.Equal(t, next[f.Call], i, "lane %d", f.Call)
			next[f.Call]++
		}
		require.Equal(t, [3]uint64{n, n, n}, next)
	})
}

func TestBulkNeverOvertakesSmall(t *testing.T) {
	eachLink(t, func(t *testing.T, e *ends) {
		// A request in the small lane behind much else, its stream in the bulk lane.
		const others = 2000
		for i := range others {
			require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Reply, Call: 1}, Payload: number(i, 200)}))
		}
		require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Request, Call: 9}}))
		require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Data, Flags: Bulk, Call: 9}, Payload: number(0, 9)}))
		e.near.Flush()
		var order []Kind
		for _, f := range e.farSees.wait(others + 2) {
			if f.Call == 9 {
				order = append(order, f.Kind)
			}
		}
		require.Equal(t, []Kind{Request, Data}, order)
	})
}

func TestControlGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pair()
		near, far := NewConn(a, Info{}), NewConn(b, Info{})
		sees := newRecorder()
		far.SetMaxPayload(MaxPayload)
		near.Start(newRecorder())
		far.Start(sees)
		for i := range 100 {
			require.NoError(t, near.Enqueue(Frame{Header: Header{Kind: Data, Flags: Bulk, Call: 1}, Payload: number(i, MaxContent)}))
		}
		require.NoError(t, near.Enqueue(Frame{Header: Header{Kind: Reply, Call: 2}}))
		require.NoError(t, near.Enqueue(Frame{Header: Header{Kind: Ping}}))
		near.Flush()
		fs := sees.wait(102)
		require.Equal(t, Ping, fs[0].Kind)
		require.Equal(t, Reply, fs[1].Kind)
		near.Close(nil)
		near.Wait()
		far.Wait()
	})
}

// stuck takes nothing: its handler waits until it is released.
type stuck struct {
	*recorder
	release chan struct{}
}

func (s *stuck) HandleFrame(f *Frame) error {
	<-s.release
	return s.recorder.HandleFrame(f)
}

func TestQueueIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		h       Header
		payload int
		frames  int // that fit
	}{
		"requests by number":   {Header{Kind: Request}, 0, QueueFrames},
		"requests by size":     {Header{Kind: Request, Flags: Bulk}, MaxContent, QueueBytes / (HeaderSize + MaxContent)},
		"answers by number":    {Header{Kind: Reply}, 0, AnswerFrames},
		"answers by size":      {Header{Kind: Reply, Flags: Bulk}, MaxContent, AnswerBytes / (HeaderSize + MaxContent)},
		"what credit covers":   {Header{Kind: Data, Flags: Bulk}, MaxContent, CreditBytes / (HeaderSize + MaxContent)},
		"tiny items of credit": {Header{Kind: Data, Flags: Bulk}, 1, CreditBytes / (HeaderSize + MinCost)},
		"too long for a frame": {Header{Kind: Reply}, MaxPayload + 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := memconn.Pair()
				l := NewConn(a, Info{})
				l.Start(newRecorder())
				payload := make([]byte, c.payload)
				n := 0
				for l.Enqueue(Frame{Header: c.h, Payload: payload}) == nil {
					n++
				}
				require.Equal(t, c.frames, n, "one more does not fit")
				want := ErrFull
				if c.payload > MaxPayload {
					want = ErrTooLong
				}
				require.ErrorIs(t, l.Enqueue(Frame{Header: c.h, Payload: payload}), want)
				l.Close(nil)
				l.Wait()
				require.ErrorIs(t, l.Enqueue(Frame{Header: c.h}), ErrClosed)
				<-l.Room() // whoever waits for room learns of the end
			})
		})
	}
}

func TestControlLaneIsBounded(t *testing.T) {
	eachLink(t, func(t *testing.T, e *ends) {
		fill := func(k Kind) (n int) {
			for e.near.Enqueue(Frame{Header: Header{Kind: k}}) == nil {
				n++
			}
			return n
		}
		windows, rest := fill(Credit), fill(Control)
		require.Zero(t, fill(Grant))
		if _, ok := e.near.(*conn); !ok { // a pipe bounds all its frames alike
			require.Equal(t, AnswerFrames*3/4, windows)
			require.Equal(t, AnswerFrames/4, rest)
			return
		}
		require.InDelta(t, WindowBytes/HeaderSize, windows, 1)
		require.InDelta(t, (ControlBytes-WindowBytes)/HeaderSize, rest, 1)
	})
}

// TestRoomOfItemsIsGivenBack sends more items than a link may hold at a time, in either lane.
func TestRoomOfItemsIsGivenBack(t *testing.T) {
	eachLink(t, func(t *testing.T, e *ends) {
		sent := 0
		for _, flags := range []Flags{0, Bulk} {
			for total := 0; total <= CreditBytes+CreditBytes/8; {
				const burst = 64
				for range burst {
					require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Data, Flags: flags}, Payload: make([]byte, MaxContent)}))
					total += MaxContent
				}
				e.near.Flush()
				sent += burst
				e.farSees.wait(sent)
			}
		}
	})
}

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pair()
		near, far := NewConn(a, Info{}), NewConn(b, Info{})
		s := &stuck{newRecorder(), make(chan struct{})}
		near.Start(newRecorder())
		far.Start(s)
		for near.Enqueue(Frame{Header: Header{Kind: Request}}) == nil {
		}
		room := near.Room()
		near.Flush()
		synctest.Wait()
		close(s.release)
		<-room
		require.NoError(t, near.Enqueue(Frame{Header: Header{Kind: Request}}))
		near.Close(nil)
		near.Wait()
		far.Wait()
	})
}

func TestPeerThatTakesNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := memconn.Pair()
		l := NewConn(a, Info{})
		r := newRecorder()
		l.Start(r)
		start := time.Now()
		for range 4 {
			require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Reply, Flags: Bulk}, Payload: make([]byte, MaxContent)}))
		}
		l.Flush()
		require.ErrorIs(t, <-r.closed, ErrStalled)
		require.Equal(t, StallTimeout*3/2, time.Since(start), "half of it with some progress, the whole without")
		l.Wait()
	})
}

func TestSlowPeerIsNotLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pair()
		l := NewConn(a, Info{})
		r := newRecorder()
		l.Start(r)
		for range 8 {
			require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Reply, Flags: Bulk}, Payload: make([]byte, MaxContent)}))
		}
		l.Flush()
		p := make([]byte, 30<<10)
		for total := 0; total < 8*(HeaderSize+MaxContent); {
			time.Sleep(StallTimeout - time.Second)
			n, err := b.Read(p)
			require.NoError(t, err)
			total += n
		}
		select {
		case err := <-r.closed:
			t.Fatalf("closed: %v", err)
		default:
		}
		l.Close(nil)
		l.Wait()
	})
}

// counter is a source of n frames.
type counter struct {
	call  uint64
	n, at int
}

func (c *counter) NextFrame() (f Frame, more, ok bool) {
	if c.at == c.n {
		return f, false, false
	}
	f = Frame{Header: Header{Kind: Chunk, Flags: Bulk, Call: c.call}, Payload: number(c.at, MaxContent)}
	c.at++
	return f, c.at < c.n, true
}

func TestSourcesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pair()
		near, far := NewConn(a, Info{}), NewConn(b, Info{})
		sees := newRecorder()
		far.SetMaxPayload(MaxPayload)
		near.Start(newRecorder())
		far.Start(sees)
		for call := range uint64(3) {
			near.EnqueueSource(&counter{call: call, n: 20})
		}
		near.Flush()
		for i, f := range sees.wait(60) {
			require.Equal(t, uint64(i%3), f.Call, "frame %d", i)
			require.Equal(t, uint64(i/3), binary.LittleEndian.Uint64(f.Payload))
		}
		near.Close(nil)
		near.Wait()
		far.Wait()
	})
}

func TestE26Close(t *testing.T) {
	eachLink(t, func(t *testing.T, e *ends) {
		require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Goodbye}}))
		reason := errors.New("enough")
		e.near.Finish(reason, time.Second)
		require.ErrorIs(t, <-e.nearSees.closed, reason)
		require.Equal(t, Goodbye, e.farSees.wait(1)[0].Kind, "what was sent before the end arrives")
		require.ErrorIs(t, <-e.farSees.closed, io.EOF)
		require.ErrorIs(t, e.near.Enqueue(Frame{Header: Header{Kind: Ping}}), reason)
		e.near.Close(errors.New("again"))
		e.near.Flush()
		e.near.FlushSoon()
	})
}

func TestE27FinishIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := memconn.Pair()
		l := NewConn(a, Info{})
		r := newRecorder()
		l.Start(r)
		for range 4 {
			require.NoError(t, l.Enqueue(Frame{Header: Header{Kind: Reply, Flags: Bulk}, Payload: make([]byte, MaxContent)}))
		}
		start := time.Now()
		l.Finish(nil, time.Second)
		require.ErrorIs(t, <-r.closed, ErrClosed)
		require.Equal(t, time.Second, time.Since(start))
		l.Wait()
	})
}

func TestFrameThatIsRefusedClosesTheLink(t *testing.T) {
	eachLink(t, func(t *testing.T, e *ends) {
		refused := fmt.Errorf("%w: not that", ErrProtocol)
		e.farSees.mu.Lock()
		e.farSees.refuse = refused
		e.farSees.mu.Unlock()
		require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Ping}}))
		e.near.Flush()
		require.ErrorIs(t, <-e.farSees.closed, ErrProtocol)
		require.Error(t, <-e.nearSees.closed)
	})
}

func TestReceivedPayloadsAreBounded(t *testing.T) {
	eachLink(t, func(t *testing.T, e *ends) {
		e.far.SetMaxPayload(MaxUnproven)
		require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Data}, Payload: make([]byte, MaxUnproven)}))
		e.near.Flush()
		e.farSees.wait(1)
		require.NoError(t, e.near.Enqueue(Frame{Header: Header{Kind: Data}, Payload: make([]byte, MaxUnproven+1)}))
		e.near.Flush()
		require.ErrorIs(t, <-e.farSees.closed, ErrProtocol)
	})
}

// panics is a handler with a bug.
type panics struct{ *recorder }

func (panics) HandleFrame(*Frame) error { panic("a bug") }

func TestBugInAHandlerEndsTheLinkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pair()
		near, far := NewConn(a, Info{}), NewConn(b, Info{})
		r := newRecorder()
		near.Start(newRecorder())
		far.Start(panics{r})
		require.NoError(t, near.Enqueue(Frame{Header: Header{Kind: Ping}}))
		near.Flush()
		err := <-r.closed
		require.ErrorIs(t, err, ErrProtocol)
		var p *PanicError
		require.ErrorAs(t, err, &p)
		require.Equal(t, "a bug", p.Value)
		require.Contains(t, string(p.Stack), "HandleFrame")
		require.NotContains(t, err.Error(), "a bug", "it is for this process's log")
		near.Wait()
		far.Wait()
	})
}

func TestCutFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pair()
		far := NewConn(b, Info{})
		r := newRecorder()
		far.Start(r)
		frame := AppendFrame(nil, &Header{Kind: Ping}, make([]byte, 100))
		_, err := a.Write(frame[:len(frame)-1])
		require.NoError(t, err)
		a.Close()
		require.ErrorIs(t, <-r.closed, io.ErrUnexpectedEOF)
		far.Wait()
	})
}

func BenchmarkAppendFrame(b *testing.B) {
	h := Header{Kind: Request, Call: CallID(1, 2), Route: 3, Arg: 4}
	payload := make([]byte, 64)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendFrame(buf[:0], &h, payload)
	}
}

func BenchmarkParseFrame(b *testing.B) {
	buf := AppendFrame(nil, &Header{Kind: Request, Call: CallID(1, 2), Route: 3, Arg: 4}, make([]byte, 64))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok, err := ParseFrame(buf, MaxPayload); !ok || err != nil {
			b.Fatal(err)
		}
	}
}

func TestTimeInTheQueueIsSubtracted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pair()
		near, far := NewConn(a, Info{}), NewConn(b, Info{})
		sees := newRecorder()
		far.SetMaxPayload(MaxPayload)
		near.Start(newRecorder())
		far.Start(sees)
		small, bulk := Header{Kind: Request}, Header{Kind: Request, Flags: Bulk}
		for i, left := range []time.Duration{0, time.Second, 5 * time.Second} {
			for _, h := range []Header{small, bulk} {
				h.Call, h.Arg = uint64(i), uint64(left)
				require.NoError(t, near.Enqueue(Frame{Header: h, Payload: number(0, 20)}))
			}
		}
		time.Sleep(2 * time.Second)
		near.Flush()
		want := []time.Duration{0, 1, 3 * time.Second} // none at all, passed, left
		for _, f := range sees.wait(6) {
			require.Equal(t, want[f.Call], time.Duration(f.Arg), "%+v", f.Header)
		}
		near.Close(nil)
		near.Wait()
		far.Wait()
	})
}

// keeper is a handler that keeps what it gets, and notes whether that was copied.
type keeper struct {
	kept   []*Buffer
	copied int // bytes
	done   chan error
}

func (k *keeper) HandleFrame(f *Frame) error {
	p := f.Payload
	b := f.Own()
	if len(p) > 0 && &p[0] != &b.B[0] {
		k.copied += len(p)
	}
	k.kept = append(k.kept, b)
	return nil
}
func (k *keeper) HandleBatch()           {}
func (k *keeper) HandleClosed(err error) { k.done <- err }

func TestLongPayloadsAreReadInPlace(t *testing.T) {
	const frames = 20
	size := func(i int) int { return []int{MaxPayload, 60 << 10, 40 << 10, 38 << 10}[i%4] - i }
	var all []byte
	for i := range frames {
		all = AppendFrame(all, &Header{Kind: Data, Call: 1}, number(i, size(i)))
		if i%3 == 0 {
			all = AppendFrame(all, &Header{Kind: Reply, Call: 2}, number(i, 100))
		}
	}
	for _, cut := range []int{0, 1, 31, 32, 4 << 10, 70 << 10, 72 << 10, len(all) - 1} { // where one read ends and another begins
		outgrown := NewBuffer(MaxPayload)
		outgrown.B = make([]byte, 0, 120<<10)
		outgrown.Release() // is not read into
		k := &keeper{done: make(chan error, 1)}
		l := NewConn(&twoReads{first: all[:cut], second: all[cut:]}, Info{})
		l.SetMaxPayload(MaxPayload)
		l.Start(k)
		require.ErrorIs(t, <-k.done, io.EOF)
		l.Wait()
		small := 0
		for i, b := range k.kept {
			if len(b.B) == 100 {
				small++
				continue
			}
			require.True(t, bytes.Equal(number(i-small, size(i-small)), b.B), "frame %d", i)
		}
		require.Len(t, k.kept, frames+small)
		require.Equal(t, small*100, k.copied, "only what is small is copied")
		for _, b := range k.kept {
			b.Release()
		}
	}
}

// sockets are two ends of a unix socket.
func sockets(t *testing.T) (near, far Link) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	near, far = NewConn(a, Info{}), NewConn(b, Info{})
	far.SetMaxPayload(MaxPayload)
	return near, far
}

// What a socket takes of bulk frames is written by who flushes, the rest by somebody else, and nothing gets lost between them.
func TestBulkThatASocketDoesNotTake(t *testing.T) {
	near, far := sockets(t)
	near.Start(newRecorder())
	const n = 40
	for i := range n { // nobody reads yet
		require.NoError(t, near.Enqueue(Frame{Header: Header{Kind: Reply, Flags: Bulk, Call: 1}, Payload: number(i, MaxPayload-i)}))
		near.Flush()
	}
	k := &keeper{done: make(chan error, 1)}
	far.Start(k)
	near.Finish(nil, 10*time.Second)
	require.ErrorIs(t, <-k.done, io.EOF)
	require.Len(t, k.kept, n)
	for i, b := range k.kept {
		require.True(t, bytes.Equal(number(i, MaxPayload-i), b.B), "frame %d", i)
		b.Release()
	}
	near.Wait()
	far.Wait()
}

// busySource makes its only frame when it is let.
type busySource struct {
	let    chan struct{}
	prompt bool
}

func (s *busySource) NextFrame() (f Frame, more, ok bool) {
	<-s.let
	return Frame{Header: Header{Kind: Data, Flags: Bulk, Call: 1}, Payload: number(1, 100)}, false, true
}
func (s *busySource) Prompt() bool { return s.prompt }

func TestFlushDoesNotWaitForASource(t *testing.T) {
	near, far := sockets(t)
	sees := newRecorder()
	near.Start(newRecorder())
	far.Start(sees)
	s := &busySource{let: make(chan struct{})}
	near.EnqueueSource(s)
	near.Flush()
	close(s.let)
	sees.wait(1)
	s.prompt = true
	near.EnqueueSource(s)
	near.Flush()
	sees.wait(2)
	near.Close(nil)
	near.Wait()
	far.Wait()
}
