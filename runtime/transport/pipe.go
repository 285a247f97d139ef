package transport

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Pipe returns the two ends of a link within one process. Frames are handed over as they are: headers are never turned into bytes, and
// buffers pass from one end to the other, so a payload must not be changed after it was enqueued. Both ends are
// bounded like a connection, and work inside a testing/synctest bubble.
func Pipe() (a, b Link) {
	x, y := newPipeEnd(), newPipeEnd()
	x.peer, y.peer = y, x
	return x, y
}

// inlineBatches is how many batches a goroutine that flushes delivers itself before it leaves the rest to another.
const inlineBatches = 4

// pipeEnd is one end: what it receives waits in its inbox, which whoever flushes the other end delivers.
type pipeEnd struct {
	peer    *pipeEnd
	handler Handler
	limit   atomic.Int64
	heard   atomic.Int64 // time of the last delivery, in nanoseconds since base
	base    time.Time

	in      queue // what the peer has sent and was not delivered; in.err is why this end is closed
	inbox   []Frame
	sources []Source
	spare   []Frame
	f       Frame // of a source, being delivered; here so that it is not allocated for each
	started bool
	busy    bool // somebody delivers
	eof     bool // the peer's end is closed
	told    bool // the handler knows of the end
	done    chan struct{}
	wg      sync.WaitGroup
}

func newPipeEnd() *pipeEnd {
	e := &pipeEnd{done: make(chan struct{}), base: time.Now()}
	e.limit.Store(MaxUnproven)
	e.in.limits.setDefaults()
	return e
}

func (e *pipeEnd) Start(h Handler) {
	e.in.mu.Lock()
	e.handler, e.base, e.started = h, time.Now(), true
	e.in.mu.Unlock()
	e.spawn()
}

func (e *pipeEnd) SetMaxPayload(n int)    { e.limit.Store(int64(n)) }
func (e *pipeEnd) Silence() time.Duration { return time.Since(e.base) - time.Duration(e.heard.Load()) }
func (e *pipeEnd) Awake(time.Duration)    {} // both ends are of this process
func (e *pipeEnd) Info() Info             { return Info{Network: "memory", Remote: "memory", Local: true, UID: -1} }
func (e *pipeEnd) Room() <-chan struct{}  { return e.peer.in.waitRoom() }

func (e *pipeEnd) Enqueue(f Frame) error {
	if len(f.Payload) > MaxPayload {
		f.Release()
		return ErrTooLong
	}
	if f.Buf == nil && len(f.Payload) > 0 {
		f.Buf = NewBuffer(len(f.Payload))
		f.Buf.B = append(f.Buf.B, f.Payload...)
		f.Payload = f.Buf.B
	}
	p := e.peer
	p.in.mu.Lock()
	if p.eof { // this end is closed
		p.in.mu.Unlock()
		f.Release()
		return e.reason()
	}
	if p.in.err != nil { // the peer is gone: what is sent to it is lost, as on a socket; the end follows
		p.in.mu.Unlock()
		f.Release()
		return nil
	}
	if err := p.in.admit(&f.Header, len(f.Payload)); err != nil {
		p.in.mu.Unlock()
		f.Release()
		return err
	}
	p.inbox = append(p.inbox, f)
	p.in.mu.Unlock()
	return nil
}

// reason is why this end is closed.
func (e *pipeEnd) reason() error {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	return e.in.err
}

func (e *pipeEnd) EnqueueSource(s Source) {
	p := e.peer
	p.in.mu.Lock()
	if p.in.err == nil {
		p.sources = append(p.sources, s)
	}
	p.in.mu.Unlock()
}

func (e *pipeEnd) Flush() {
	if w := e.FlushHere(); w != nil {
		w.Elsewhere()
	}
}

func (e *pipeEnd) FlushHere() Work       { return e.peer.deliver(inlineBatches) }
func (e *pipeEnd) FlushSoon()            { e.peer.spawn() }
func (e *pipeEnd) Attend(Attendant) bool { return false } // whoever flushes delivers

// spawn delivers on a goroutine of its own, if there is something to deliver and nobody does.
func (e *pipeEnd) spawn() {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if !e.startBusy() {
		return
	}
	e.wg.Go(e.runAll)
}

// startBusy claims the delivery. Call with the lock held.
func (e *pipeEnd) startBusy() bool {
	if e.busy || !e.started || e.told || len(e.inbox) == 0 && len(e.sources) == 0 && !e.eof && e.in.err == nil {
		return false
	}
	e.busy = true
	return true
}

func (e *pipeEnd) deliver(batches int) Work {
	e.in.mu.Lock()
	ok := e.startBusy()
	e.in.mu.Unlock()
	if !ok {
		return nil
	}
	return e.run(batches)
}

func (e *pipeEnd) runAll() {
	if w := e.run(-1); w != nil {
		w.Elsewhere()
	}
}

// run delivers until there is nothing left, or hands over after that many batches (-1: never). It returns what work the last batch has led to.
func (e *pipeEnd) run(batches int) (work Work) {
	for {
		e.in.mu.Lock()
		if e.in.err != nil {
			e.finish()
			return work
		}
		if len(e.inbox) == 0 && len(e.sources) == 0 {
			if e.eof {
				e.in.end(io.EOF)
				e.finish()
				return work
			}
			e.busy = false
			e.in.rest()
			e.in.mu.Unlock()
			return work
		}
		if batches == 0 {
			e.wg.Go(e.runAll)
			e.in.mu.Unlock()
			return work
		}
		batches--
		frames := e.inbox
		e.inbox, e.spare = e.spare[:0], nil
		var src Source
		if len(e.sources) > 0 {
			src = e.sources[0]
			e.sources[0] = nil
			if len(e.sources) == 1 {
				e.sources = e.sources[:0] // to be used again
			} else {
				e.sources = e.sources[1:]
			}
		}
		e.in.mu.Unlock()

		e.heard.Store(int64(time.Since(e.base)))
		nf, nb, nc := 0, 0, 0
		var err error
		for i := range frames {
			n := len(frames[i].Payload)
			if credited(frames[i].Kind) {
				nc += charge(n)
			} else {
				nf, nb = nf+1, nb+HeaderSize+n
			}
			if err == nil {
				err = e.handle(&frames[i])
			}
			frames[i].Release()
		}
		more := false
		if src != nil && err == nil {
			more, err = e.pull(src)
		}
		if err == nil {
			e.handler.HandleBatch()
			if work != nil {
				work.Elsewhere()
			}
			work = workOf(e.handler)
		}
		clear(frames)
		e.in.mu.Lock()
		e.in.taken(nf, nb, nc)
		if cap(frames) <= 1024 {
			e.spare = frames[:0]
		}
		if more {
			e.sources = append(e.sources, src)
		}
		e.in.mu.Unlock()
		if err != nil {
			e.Close(err)
		}
	}
}

// pull delivers what fits into one turn of a source.
func (e *pipeEnd) pull(s Source) (more bool, err error) {
	for sent := 0; sent < writeBatch; {
		f := &e.f
		var next, ok bool
		if *f, next, ok = s.NextFrame(); !ok {
			return false, nil
		}
		sent += HeaderSize + len(f.Payload)
		err = e.handle(f)
		f.Release()
		if err != nil || !next {
			return false, err
		}
	}
	return true, nil
}

// handle delivers one frame, held to the limit that a connection's reader has.
func (e *pipeEnd) handle(f *Frame) error {
	if limit := int(e.limit.Load()); len(f.Payload) > limit {
		return fmt.Errorf("%w: %v frame of %d bytes, at most %d are allowed here", ErrProtocol, f.Kind, len(f.Payload), limit)
	}
	if !f.Kind.Known() {
		return unknownKind(&f.Header)
	}
	return e.handler.HandleFrame(f)
}

// finish tells the handler of the end. Call with the lock held and busy; it unlocks.
func (e *pipeEnd) finish() {
	err := e.in.err
	frames := e.inbox
	e.inbox, e.sources, e.spare = nil, nil, nil
	e.in.unmeasure()
	e.told, e.busy = true, false
	e.in.mu.Unlock()
	for i := range frames {
		frames[i].Release()
	}
	e.peer.hangUp()
	e.handler.HandleClosed(err)
	close(e.done)
}

// hangUp lets the handler of this end know that the other is closed, once it got what was sent before.
func (e *pipeEnd) hangUp() {
	e.in.mu.Lock()
	e.eof = true
	e.in.mu.Unlock()
	e.spawn()
}

func (e *pipeEnd) Close(err error) {
	e.in.mu.Lock()
	e.in.end(err)
	e.in.mu.Unlock()
	e.peer.hangUp()
	e.spawn()
}

// Finish waits until the peer's handler has taken everything.
func (e *pipeEnd) Finish(err error, timeout time.Duration) {
	p := e.peer
	p.in.mu.Lock()
	var idle <-chan struct{}
	if p.in.err == nil && (p.busy || len(p.inbox) > 0 || len(p.sources) > 0) {
		idle = p.in.waitIdle()
	}
	p.in.mu.Unlock()
	if idle != nil {
		e.FlushSoon()
		t := time.NewTimer(timeout)
		defer t.Stop()
		select {
		case <-idle:
		case <-t.C:
		case <-e.done:
		}
	}
	e.Close(err)
}

func (e *pipeEnd) Wait() {
	<-e.done
	e.wg.Wait()
}
