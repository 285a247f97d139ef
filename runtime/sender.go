package daffi

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// sender is the sending half of a stream: it packs items into Data frames, which the link takes when it has room and the receiver has
// granted credit. It is the source of every frame of its direction from the first item on, so that they keep their order.
type sender struct {
	s    *session
	call uint64
	pack func(raw []byte) (*transport.Buffer, bool) // compresses a payload if that pays; nil for never

	mu     sync.Mutex
	batch  *transport.Buffer // items that wait to be sent
	size   int               // of the last batch
	credit int
	most   int // the largest credit so far
	queued bool

	large     *transport.Buffer // an item that was, or is to be, announced
	largeFlag transport.Flags
	announced bool
	off       int
	allowed   int // up to where it was granted

	ended   bool             // no more items follow
	aborted bool             // and none that waits is sent
	final   *transport.Frame // what follows the last item
	after   func()           // called when final was taken
	done    bool             // final was sent, or there is none to send
	err     error            // why nothing more is sent, with done
	room    chan struct{}    // wakes the producer
}

func newSender(s *session, call uint64, credit int, pack func([]byte) (*transport.Buffer, bool)) *sender {
	return &sender{s: s, call: call, pack: pack, credit: credit, most: credit, room: make(chan struct{}, 1)}
}

// header is that of a Data frame.
func (s *sender) header(flags transport.Flags) transport.Header {
	return transport.Header{Kind: transport.Data, Flags: flags | transport.Bulk, Call: s.call}
}

// batchLimit is where a batch is full: an item that still fits then makes a frame of at most transport.MaxContent.
const batchLimit = transport.MaxContent

// send adds an item, waiting for room. It reports false when nothing more will be sent. A buffer that begins with room for the item's length, of
// longPrefix bytes, and goes on with the item, is taken over; without one the item is copied.
func (s *sender) send(ctx context.Context, item []byte, buf *transport.Buffer) (ok bool, err error) {
	if isLarge(item) { // without the lock: the reader, which has a Credit, must not wait until it is compressed
		return s.sendLarge(ctx, s.makeLarge(item, buf))
	}
	var prefix [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(prefix[:], uint64(len(item)))
	if ok, err := s.lockFor(ctx, k+len(item)); !ok {
		release(buf)
		return false, err
	}
	if s.batch == nil && buf != nil && k == longPrefix {
		copy(buf.B, prefix[:k])
		s.batch = buf
	} else {
		s.reserve(k + len(item))
		s.batch.B = append(append(s.batch.B, prefix[:k]...), item...)
		release(buf)
	}
	s.unlockAndSend(len(s.batch.B) >= longItem)
	return true, nil
}

// isLarge reports whether an item is announced.
func isLarge(item []byte) bool {
	var prefix [binary.MaxVarintLen64]byte
	return binary.PutUvarint(prefix[:], uint64(len(item)))+len(item) > transport.MaxPayload
}

// sendLarge is send for an item that is announced.
func (s *sender) sendLarge(ctx context.Context, l largeItem) (ok bool, err error) {
	if ok, err := s.lockFor(ctx, 0); !ok {
		l.buf.Release()
		return false, err
	}
	s.setLarge(l)
	s.unlockAndSend(true)
	return true, nil
}

// lockFor takes the lock once the batch has room for n bytes, or, with 0, for a large item, which needs all of it. It does not where nothing more will be sent.
func (s *sender) lockFor(ctx context.Context, n int) (ok bool, err error) {
	for {
		s.mu.Lock()
		if s.done || s.ended {
			defer s.mu.Unlock()
			return false, s.err
		}
		have := 0
		if s.batch != nil {
			have = len(s.batch.B)
		}
		if s.large == nil && (have == 0 || n > 0 && have+n <= batchLimit) {
			return true, nil
		}
		s.mu.Unlock()
		select {
		case <-s.room:
		case <-ctx.Done():
			return false, contextError(ctx, "")
		}
	}
}

// unlockAndSend is start, and sends. atOnce says that nothing is to be gained by waiting for more.
func (s *sender) unlockAndSend(atOnce bool) {
	if start := s.start(); start && atOnce {
		s.s.link.Flush()
	} else if start {
		s.s.link.FlushSoon()
	}
}

func release(b *transport.Buffer) {
	if b != nil {
		b.Release()
	}
}

// reserve makes room for n more bytes in the batch. A new one is as large as the last: what was packed once will be again. Call with the
// lock held.
func (s *sender) reserve(n int) {
	switch b := s.batch; {
	case b == nil:
		s.batch = transport.NewBuffer(max(n, s.size))
	case len(b.B)+n > cap(b.B):
		s.batch = transport.NewBuffer(max(len(b.B)+n, 2*cap(b.B)))
		s.batch.B = append(s.batch.B, b.B...)
		b.Release()
	}
}

// largeItem is an item that is, or is to be, announced: what buf holds from off.
type largeItem struct {
	buf   *transport.Buffer
	off   int
	flags transport.Flags
}

// makeLarge makes a large item of one that buf, if there is one, holds behind the room for its length.
func (s *sender) makeLarge(item []byte, buf *transport.Buffer) largeItem {
	if buf != nil {
		return s.packLarge(buf, longPrefix)
	}
	buf = transport.NewBuffer(len(item))
	buf.B = append(buf.B, item...)
	return s.packLarge(buf, 0)
}

// packLarge makes a large item of what buf holds from off, compressed if that pays.
func (s *sender) packLarge(buf *transport.Buffer, off int) largeItem {
	if s.pack != nil {
		if b, ok := s.pack(buf.B[off:]); ok {
			buf.Release()
			return largeItem{b, 0, transport.Zstd}
		}
	}
	return largeItem{buf, off, 0}
}

// setLarge makes l the item that is announced next. Call with the lock held.
func (s *sender) setLarge(l largeItem) {
	s.large, s.off, s.largeFlag = l.buf, l.off, l.flags
	s.announced, s.allowed = false, l.off
}

// unlockAndStart is start, and has another goroutine send.
func (s *sender) unlockAndStart() {
	if s.start() {
		s.s.link.FlushSoon()
	}
}

// start unlocks, and puts the sender into the link's lane if it has something to send and is not there; it reports whether it did.
func (s *sender) start() bool {
	start := !s.queued && s.ready()
	if start {
		s.queued = true
	}
	s.mu.Unlock()
	if start {
		s.s.link.EnqueueSource(s)
	}
	return start
}

// Prompt says that NextFrame takes no time, unless it compresses.
func (s *sender) Prompt() bool { return s.pack == nil }

// ready reports whether NextFrame has a frame. Call with the lock held.
func (s *sender) ready() bool {
	switch {
	case s.done:
		return false
	case s.large != nil:
		return !s.announced || s.off < s.allowed
	case s.batch != nil:
		return s.fit() > 0 || s.mustAnnounce()
	}
	return s.ended
}

// fit is how many bytes of the batch, whole items, the credit reaches for. Call with the lock held.
func (s *sender) fit() int {
	b := s.batch.B
	if transport.Cost(len(b)) <= s.credit {
		return len(b)
	}
	if s.credit < transport.MinCost {
		return 0
	}
	n := 0
	for n < len(b) {
		l, k := binary.Uvarint(b[n:])
		if n+k+int(l) > s.credit {
			break
		}
		n += k + int(l)
	}
	return n
}

// mustAnnounce reports whether credit may never reach for the first item of the batch. Call with the lock held.
func (s *sender) mustAnnounce() bool {
	l, k := binary.Uvarint(s.batch.B)
	return k+int(l) > s.most/2 && k+int(l) > s.credit
}

// NextFrame implements [transport.Source].
func (s *sender) NextFrame() (f transport.Frame, more, ok bool) {
	s.mu.Lock()
	f, ok = s.next()
	more = ok && s.ready()
	if !more {
		s.queued = false
	}
	var after func()
	if s.done {
		after, s.after = s.after, nil
	}
	s.mu.Unlock()
	if after != nil {
		after()
	}
	return f, more, ok
}

func (s *sender) next() (f transport.Frame, ok bool) {
	if !s.ready() {
		return f, false
	}
	if s.large == nil && s.batch != nil {
		if n := s.fit(); n > 0 {
			return s.data(n), true
		}
		l, k := binary.Uvarint(s.batch.B) // it becomes a large item, and what follows it stays
		first, end := s.batch, k+int(l)
		s.batch = s.remainder(first.Retain(), end)
		first.B = first.B[:end]
		s.setLarge(s.packLarge(first, k))
	}
	switch {
	case s.large != nil && !s.announced:
		s.announced = true
		return transport.Frame{Header: s.header(transport.Large | s.largeFlag), Payload: transport.AppendAnnounced(nil, len(s.large.B)-s.off)}, true
	case s.large != nil:
		f, s.off = chunk(transport.Header{Kind: transport.Chunk, Flags: transport.Bulk, Call: s.call}, s.large, s.off, s.allowed)
		if s.off == len(s.large.B) {
			s.large.Release()
			s.large = nil
			s.wake()
		}
		return f, true
	}
	s.done = true // only the end is left
	if s.final == nil {
		return transport.Frame{Header: s.header(transport.End)}, true
	}
	return *s.final, true
}

// data makes a frame of the first n bytes of the batch. The lock is released while they are compressed, or wait for others that are: the reader must not.
func (s *sender) data(n int) transport.Frame {
	b := s.batch
	if n < len(b.B) {
		head := transport.NewBuffer(n)
		head.B = append(head.B, b.B[:n]...)
		s.batch = s.remainder(b, n)
		b = head
	} else {
		s.batch = nil
	}
	s.size = len(b.B)
	flags := transport.Flags(0)
	if s.pack != nil {
		s.mu.Unlock()
		if packed, ok := s.pack(b.B); ok {
			b.Release()
			b, flags = packed, transport.Zstd
		}
		s.mu.Lock()
	}
	s.credit -= transport.Cost(len(b.B))
	s.wake()
	return transport.Frame{Header: s.header(flags), Payload: b.B, Buf: b}
}

// remainder is a batch of what follows the first n bytes of b, which it releases; nil if nothing does.
func (s *sender) remainder(b *transport.Buffer, n int) *transport.Buffer {
	defer b.Release()
	if n == len(b.B) {
		return nil
	}
	r := transport.NewBuffer(len(b.B) - n)
	r.B = append(r.B, b.B[n:]...)
	return r
}

func (s *sender) wake() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// grow adds credit that the receiver has granted.
func (s *sender) grow(n uint64) {
	s.mu.Lock()
	s.credit = int(min(uint64(s.credit)+min(n, transport.MaxCredit), 2*transport.MaxCredit))
	s.most = max(s.most, s.credit)
	s.unlockAndStart()
}

// grant lets n bytes more of the announced item go, or all of it if n is 0.
func (s *sender) grant(n uint64) {
	s.mu.Lock()
	if s.large != nil && s.announced {
		s.allowed = allow(s.allowed, n, len(s.large.B))
	}
	s.unlockAndStart()
}

// finish says that no more items follow, and what does: nil for a plain end of the input. after, if it is not nil, is called when
// that was taken.
func (s *sender) finish(final *transport.Frame, after func()) {
	s.mu.Lock()
	if s.ended || s.done {
		s.mu.Unlock()
		return
	}
	s.ended, s.final, s.after = true, final, after
	s.wake()
	s.unlockAndStart()
}

// abort drops what was not sent, and sends final, if there is one, in its place. The producer is told err. The first abort counts; it
// reports false when everything was sent before, so that final is still to be sent.
func (s *sender) abort(final *transport.Frame, err error) bool {
	s.mu.Lock()
	if s.done || s.aborted {
		s.mu.Unlock()
		return false
	}
	if s.batch != nil {
		s.batch.Release()
		s.batch = nil
	}
	if s.large != nil {
		s.large.Release()
		s.large = nil
	}
	s.ended, s.aborted, s.final, s.err = true, true, final, err
	s.done = final == nil
	s.wake()
	s.unlockAndStart()
	return true
}

// longPrefix is the length of an item's length from longItem on, as far as items fit into frames.
const (
	longPrefix = 3
	longItem   = 1 << 14
)

// An itemEncoder encodes the items of a stream, long ones where they are sent from.
type itemEncoder struct {
	e     codec.Encoder
	limit int
	short []byte // the buffer of short items
	long  *transport.Buffer
	last  int // length of the last item
}

func (s *session) itemEncoder() *itemEncoder {
	w := &itemEncoder{limit: min(s.node.opts.MaxMessage, s.limit)}
	w.e.SetScope(&s.node.scope)
	return w
}

// begin starts an item. One that follows a long one is expected to be long as well.
func (w *itemEncoder) begin() *codec.Encoder {
	if w.last < longItem {
		w.e.Reset(w.short)
		return &w.e
	}
	w.long = transport.NewBuffer(longPrefix + w.last)
	w.e.Reset(w.long.B)
	w.e.Raw(make([]byte, longPrefix))
	return &w.e
}

// send sends the item that was begun; see [sender.send].
func (w *itemEncoder) send(ctx context.Context, s *sender) (ok bool, err error) {
	item, long := w.take()
	return s.send(ctx, item, long)
}

// take ends the item that was begun.
func (w *itemEncoder) take() (item []byte, long *transport.Buffer) {
	item, long = w.e.Bytes(), w.long
	if w.long = nil; long == nil {
		w.short = item
	} else {
		long.B = item
		item = item[longPrefix:]
	}
	w.last = len(item)
	return item, long
}

// sendAll sends the item that was begun to several, one after the other. It reports false when none of them takes any more. One that is large they share.
func (w *itemEncoder) sendAll(to []*sender) (some bool) {
	item, long := w.take()
	defer release(long)
	if !isLarge(item) {
		for _, s := range to {
			ok, _ := s.send(context.Background(), item, nil)
			some = some || ok
		}
		return some
	}
	l := to[0].makeLarge(item, nil)
	defer l.buf.Release()
	for _, s := range to {
		ok, _ := s.sendLarge(context.Background(), largeItem{l.buf.Retain(), l.off, l.flags})
		some = some || ok
	}
	return some
}

// check says why the item cannot be sent, or nil.
func (w *itemEncoder) check() *Error {
	err, size := w.e.Err(), w.e.Len()
	if w.long != nil {
		size -= longPrefix
	}
	switch {
	case err != nil:
		return &Error{Code: Internal, Reason: ReasonEncode, Message: err.Error(), cause: err}
	case size > w.limit:
		return tooLargeItem(int64(size), w.limit)
	}
	return nil
}
