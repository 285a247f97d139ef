package daffi

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// credits is the budget out of which a session grants windows to the streams that it receives (LIM-13). Every stream gets transport.MinCredit, and what all that LIM-12 allows
// need for that is kept for them; only what is used hard may grow into half of it. A window grows as far as a quarter of what is left then: so there is always something
// left, and those that come late grow as well, only not as far.
type credits struct {
	mu      sync.Mutex
	free    int
	open    int
	streams int // LIM-12
	window  int // of one
}

func (c *credits) init(l *Limits) {
	c.free, c.streams, c.window = l.StreamMemory, l.Streams, l.StreamWindow
}

// enter takes the first window of a stream: want, or transport.MinCredit where that is too much, or 0 if there are too many streams.
func (c *credits) enter(want int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == c.streams || c.free < transport.MinCredit {
		return 0
	}
	c.open++
	c.free -= transport.MinCredit
	extra := c.grow(transport.MinCredit, want)
	if extra < want-transport.MinCredit { // the sender knows of two sizes only
		c.free += extra
		return transport.MinCredit
	}
	return want
}

// widen takes what a window may grow by on its way to want.
func (c *credits) widen(window, want int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grow(window, want)
}

// grow is widen. Call with the lock held.
func (c *credits) grow(window, want int) int {
	kept := c.streams - c.open
	if want > transport.InitialCredit {
		kept = min(kept, c.streams/2)
	}
	extra := min(want, c.window, (c.free-transport.MinCredit*kept)/4) - window
	if extra < transport.MinCost {
		return 0
	}
	c.free -= extra
	return extra
}

// leave gives the window of a stream back.
func (c *credits) leave(window int) {
	c.mu.Lock()
	c.open--
	c.free += window
	c.mu.Unlock()
}

// receiver is the receiving half of a stream: a bounded queue between the session's reader and one consumer.
type receiver struct {
	s    *session
	call uint64

	mu       sync.Mutex
	queue    []received // what came, in order; what is before head was taken
	head     int
	window   int   // what the sender may have on its way and here
	left     int   // what it may still send
	unpaid   int   // what was taken and not given back yet
	waited   bool  // the consumer found nothing since credit was last given back
	used     bool  // half of the first window was
	complete bool  // nothing follows what is queued
	err      error // how the sequence ended, with complete
	closed   bool  // the consumer left
	wake     chan struct{}
	part     *part // of a broadcast's output, in place of wake

	in     *Incoming // the call that it is the input of; nil at a caller
	weight int       // that the item that was taken last counts with there
}

// received is one Data frame, or the place of one large item.
type received struct {
	buf   *transport.Buffer
	flags transport.Flags
	cost  int
	asm   *assembly // of a large item
	asked bool      // asm waits for room or chunks
	ready bool      // asm is complete
}

// newReceiver is nil when the session has as many streams as it may. want is the window that it may begin with.
func newReceiver(s *session, call uint64, want int) *receiver {
	window := s.credits.enter(want)
	if window == 0 {
		return nil
	}
	return &receiver{s: s, call: call, window: window, left: window, wake: make(chan struct{}, 1)}
}

var errCreditIgnored = errors.New("the peer sent more than it was granted")

// push takes a Data frame from the reader. An error means that the peer broke the rules of the stream.
func (r *receiver) push(f *transport.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.complete {
		return nil // it crossed a Stop or a Cancel on its way
	}
	switch {
	case f.Flags&transport.Broken != 0:
		r.complete, r.err = true, readFailure(f.Payload)
	case f.Flags&transport.Large != 0:
		total := transport.AnnouncedLength(f.Payload)
		if total > int64(r.s.node.opts.MaxMessage) {
			return tooLargeItem(total, r.s.node.opts.MaxMessage)
		}
		waiting := r.waiting()
		if n := len(waiting); n > 0 && waiting[n-1].asm != nil && !waiting[n-1].ready {
			return errors.New("the peer announced an item before the last one was sent")
		}
		a := r.s.newAssembly(r.call, int(total), f.Flags)
		r.add(received{flags: f.Flags, asm: a})
		r.widen(int(total))
		if len(waiting) == 0 && !r.s.assemblies.crowded(a) {
			r.ask()
		}
	default:
		cost := transport.Cost(len(f.Payload))
		if cost > r.left {
			return errCreditIgnored
		}
		r.left -= cost
		if len(f.Payload) > 0 {
			r.add(received{buf: f.Own(), flags: f.Flags, cost: cost})
		}
		if f.Flags&transport.End != 0 {
			r.complete = true
		}
		r.begin()
	}
	r.signal()
	return nil
}

// waiting is what came and was not taken. Call with the lock held, as the two that follow.
func (r *receiver) waiting() []received { return r.queue[r.head:] }

// add appends to what waits. The memory of what was taken is used again.
func (r *receiver) add(e received) {
	if r.head > 0 && len(r.queue) == cap(r.queue) {
		n := copy(r.queue, r.waiting())
		clear(r.queue[n:])
		r.queue, r.head = r.queue[:n], 0
	}
	r.queue = append(r.queue, e)
}

// remove takes the first of what waits.
func (r *receiver) remove() received {
	e := r.queue[r.head]
	r.queue[r.head] = received{}
	if r.head++; r.head == len(r.queue) {
		r.queue, r.head = r.queue[:0], 0
		if cap(r.queue) > 64 { // a burst is over
			r.queue = nil
		}
	}
	return e
}

// begin widens a window that began small when half of it was used and the stream goes on. Call with the lock held.
func (r *receiver) begin() {
	if r.used || r.complete || r.window >= transport.InitialCredit || r.left > r.window/2 {
		return
	}
	r.used = true
	if r.grow(transport.InitialCredit) {
		r.s.sendInBatch(r.credit())
	}
}

// grow lets the window grow to want as far as the budget goes; what it has grown by is given with the next credit. Call with the lock held.
func (r *receiver) grow(want int) bool {
	extra := r.s.credits.widen(r.window, want)
	r.window += extra
	r.unpaid += extra
	return extra > 0
}

// credit is the frame that gives back what is unpaid. Call with the lock held.
func (r *receiver) credit() transport.Frame {
	n := r.unpaid
	r.unpaid = 0
	r.left += n
	return transport.Frame{Header: transport.Header{Kind: transport.Credit, Call: r.call, Arg: uint64(n)}}
}

// widen makes room for items of that size to be on their way without being announced. Call with the lock held.
func (r *receiver) widen(item int) {
	if item <= transport.MaxPayload {
		r.grow(4 * (item + transport.MinCost))
	}
}

// ask requests room for the large item at the head of the queue. Call with the lock held; grants may be sent from here.
func (r *receiver) ask() {
	head := &r.queue[r.head]
	if head.asm == nil || head.asked {
		return
	}
	head.asked = true
	r.s.assemblies.reserve(head.asm)
}

// chunk takes a piece of a large item from the reader.
func (r *receiver) chunk(f *transport.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	waiting := r.waiting()
	for i := range waiting {
		e := &waiting[i]
		if e.asm == nil || e.ready {
			continue
		}
		last, ok := e.asm.add(f)
		if !ok {
			return errors.New("the peer sent chunks that it had not announced")
		}
		if last {
			e.ready = true
			r.signal()
		}
		return nil
	}
	if r.complete {
		return nil
	}
	return errors.New("the peer sent a chunk of nothing")
}

// end completes the sequence: what is queued is still taken, then err, nil for a plain end. What was announced and has not come does not come any more.
func (r *receiver) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.queue) - 1; n >= 0 && r.queue[n].asm != nil && !r.queue[n].ready {
		r.queue[n].asm.drop()
		r.queue = r.queue[:n]
		if err == nil {
			err = &Error{Code: Internal, Reason: ReasonProtocol, Message: "the stream ended before an item that was announced"}
		}
	}
	if !r.complete {
		r.complete, r.err = true, err
	} else if r.err == nil {
		r.err = err
	}
	r.signal()
}

// abort ends the sequence at once: nothing more is taken but err.
func (r *receiver) abort(err error) {
	r.mu.Lock()
	r.drop()
	r.complete, r.err = true, err
	r.signal()
	r.mu.Unlock()
}

// drop releases what is queued. Call with the lock held.
func (r *receiver) drop() {
	for _, e := range r.waiting() {
		release(e.buf)
		if e.asm != nil {
			e.asm.drop()
		}
	}
	r.queue, r.head = nil, 0
}

func (r *receiver) signal() {
	if r.part != nil {
		r.part.ready()
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// close says that the consumer takes nothing more, and gives the window back.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if r.weight > 0 {
		r.s.node.admission.hold(r.in.peer, -r.weight)
		r.weight = 0
	}
	r.closed = true
	r.drop()
	r.s.credits.leave(r.window)
}

// batch is what next returns: a frame's items, or one large item.
type batch struct {
	buf   *transport.Buffer
	flags transport.Flags
	cost  int
	asm   *assembly
}

// next waits for the next batch. ok is false at the end of the sequence, err is how it ended.
func (r *receiver) next(done <-chan struct{}, cause func() error) (b batch, ok bool, err error) {
	for {
		b, ok, over, err := r.poll()
		if ok || over {
			return b, ok, err
		}
		select {
		case <-r.wake:
		case <-done:
			return b, false, cause()
		}
	}
}

// poll is next without waiting: over says that the sequence has ended, and neither that nor ok that there is nothing at the moment.
func (r *receiver) poll() (b batch, ok, over bool, err error) {
	r.mu.Lock()
	if waiting := r.waiting(); len(waiting) > 0 {
		if head := &waiting[0]; head.asm == nil || head.ready {
			e := r.remove()
			b = batch{buf: e.buf, flags: e.flags, cost: e.cost, asm: e.asm}
			r.mu.Unlock()
			if b.asm != nil {
				b.buf = b.asm.take()
			}
			return b, true, false, nil
		}
		r.ask()
	} else if r.complete {
		defer r.mu.Unlock()
		return b, false, true, r.err
	}
	r.waited = true
	r.mu.Unlock()
	r.pay(0)
	return b, false, false, nil
}

// taken gives back what b cost. The second call does nothing.
func (r *receiver) taken(b *batch) {
	if b.buf == nil {
		return
	}
	b.buf.Release()
	b.buf = nil
	if b.asm != nil {
		b.asm.drop()
		r.mu.Lock()
		if waiting := r.waiting(); len(waiting) > 0 && waiting[0].asm != nil && !r.s.assemblies.crowded(waiting[0].asm) {
			r.ask()
		}
		r.mu.Unlock()
	}
	r.pay(b.cost)
}

// pay gives credit back when it is worth a frame, and widens the window of a sender that the consumer has waited for.
func (r *receiver) pay(cost int) {
	r.mu.Lock()
	r.unpaid += cost
	if r.closed || r.complete || r.unpaid == 0 || r.unpaid < r.window/2 && !(cost == 0 && r.unpaid >= max(r.window/4, transport.MinCredit/2)) {
		r.mu.Unlock()
		return
	}
	if r.waited && cost > 0 {
		r.grow(2 * r.window)
		r.waited = false
	}
	f := r.credit()
	r.mu.Unlock()
	r.s.send(f)
}

// receive is the consumer's loop: it yields items until the sequence ends, and returns how, or until the consumer leaves.
func receive[T any](ctx context.Context, r *receiver, read func(*codec.Decoder) T, yield func(T, error) bool) (left bool, err error) {
	var d codec.Decoder
	d.SetScope(&r.s.node.scope)
	cause := func() error { return contextError(ctx, "") }
	for {
		b, ok, err := r.next(ctx.Done(), cause)
		if !ok {
			return false, err
		}
		if err = receiveBatch(r, &b, &d, read, yield); err != nil {
			return err == errLeft, err
		}
	}
}

// receiveBatch yields the items of one batch. errLeft says that the consumer has left.
func receiveBatch[T any](r *receiver, b *batch, d *codec.Decoder, read func(*codec.Decoder) T, yield func(T, error) bool) error {
	return r.each(b, d, func() error {
		v := read(d)
		if err := d.Err(); err != nil {
			return err
		}
		if b.asm != nil { // its room is needed by others while the consumer is busy with it
			r.taken(b)
		}
		if err := r.weigh(d.Spent()); err != nil {
			return err
		}
		if !yield(v, nil) {
			return errLeft
		}
		return nil
	})
}

// errLeft says that the consumer has left its loop.
var errLeft = errors.New("left")

// each calls do for each item in b, with d set to it, until one returns an error, and gives back what b cost, also when do panics.
func (r *receiver) each(b *batch, d *codec.Decoder, do func() error) error {
	defer r.taken(b)
	defer r.weigh(0)
	if b.asm != nil {
		if err := r.await(b); err != nil {
			return err
		}
	}
	if b.flags&transport.Zstd != 0 {
		limit := transport.MaxPayload
		if b.asm != nil {
			limit = r.s.node.opts.MaxMessage
		}
		raw, err := r.s.node.decompress(b.buf.B, limit, nil)
		if err != nil {
			return err
		}
		b.buf.Release()
		b.buf = raw
	}
	buf := b.buf
	rest := buf.B
	if b.asm != nil {
		d.Reset(rest)
		lend(d, buf)
		return do()
	}
	defer transport.Decoded(len(rest))
	for len(rest) > 0 {
		n, k := binary.Uvarint(rest)
		if k <= 0 || n > uint64(len(rest)-k) {
			return &Error{Code: Internal, Reason: ReasonProtocol, Message: "an item's length is more than its frame holds"}
		}
		d.Reset(rest[k : k+int(n)])
		lend(d, buf)
		rest = rest[k+int(n):]
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// await has the large item in b count with its length once there is room: until then what it has of the link's is not given back.
func (r *receiver) await(b *batch) error {
	if r.in == nil {
		return nil
	}
	n := len(b.buf.B)
	if b.flags&transport.Zstd != 0 {
		if size, err := transport.UnpackedSize(b.buf.B, r.s.node.opts.MaxMessage); err == nil { // else it is not unpacked
			n = size
		}
	}
	if n < weighedFrom {
		return nil
	}
	if err := r.in.node.admission.holdWhen(r.in.ctx, r.in.peer, n); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.in.node.admission.hold(r.in.peer, -n)
		return nil
	}
	r.weight += n
	return nil
}

// weigh is [Incoming.weigh] for the item that was taken last.
func (r *receiver) weigh(n int) error {
	if r.in == nil {
		return nil
	}
	if n < weighedFrom {
		n = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || n == r.weight {
		return nil
	}
	if !r.in.node.admission.hold(r.in.peer, n-r.weight) {
		return r.in.node.admission.tooHeavy()
	}
	r.weight = n
	return nil
}

// lend lets what d reads from buf keep a part of it, where that is most of it and nobody else has it: a copy would take as much memory once more.
func lend(d *codec.Decoder, buf *transport.Buffer) {
	if size := buf.Size(); size >= transport.BulkThreshold && buf.Sole() {
		d.Share(size/4*3, buf)
	}
}
