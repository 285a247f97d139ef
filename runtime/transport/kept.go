package transport

import (
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what resumable links keep until the peer has acknowledged it (LIM-27).
const (
	KeepBytes  = 64 << 20 // default of all links of a node or controller
	KeepLink   = 16 << 20 // default of one link
	keepFloor  = 64 << 10 // that a link may keep whatever the others do, so that none stops another
	copyBelow  = 1 << 10  // what is smaller is copied, so that a buffer is not kept for it
	packSize   = 32 << 10 // of the buffers that it is copied to
	pieceCost  = 80       // what a piece costs besides its bytes
	chargeStep = 4 << 10  // by which a budget is charged

	sameWait = 10 * time.Millisecond // by which the times of requests may differ that are corrected together
)

// A KeepBudget bounds what the links that share it keep. A writer looks before each frame, or block of small ones, so the last of them may go over it.
type KeepBudget struct {
	limit int64
	used  atomic.Int64
	short func() // is told when a link has to wait for the others; nil for nobody

	mu      sync.Mutex
	waiting []*keep
}

// NewKeepBudget returns a budget of that many bytes.
func NewKeepBudget(bytes int) *KeepBudget { return &KeepBudget{limit: int64(bytes)} }

// OnShort has fn told each time that a link has to wait for the others. It is called with that link's lock held, and must not block. Call it before links use the budget.
func (b *KeepBudget) OnShort(fn func()) { b.short = fn }

// Short reports whether a link waits for the others.
func (b *KeepBudget) Short() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) > 0
}

// Used is how many bytes are kept.
func (b *KeepBudget) Used() int { return int(b.used.Load()) }

// room reports whether a link that keeps that much may keep more: no more than it leaves free, so that whoever comes finds something.
func (b *KeepBudget) room(bytes int) bool { return int64(bytes) < b.limit-b.used.Load() }

// wait has k's writer woken when there is room. It looks often, and is on the list once.
func (b *KeepBudget) wait(k *keep) {
	b.mu.Lock()
	if !k.waits {
		k.waits = true
		b.waiting = append(b.waiting, k)
	}
	b.mu.Unlock()
	if b.short != nil {
		b.short()
	}
}

// wake lets those that wait look again. Call without a link's lock.
func (b *KeepBudget) wake() {
	if !b.room(0) {
		return
	}
	b.mu.Lock()
	list := b.waiting
	b.waiting = nil
	for _, k := range list {
		k.waits = false
	}
	b.mu.Unlock()
	for _, k := range list {
		k.link.w.flushSoon()
	}
}

// kept are the bytes that were taken for writing and that the peer has not acknowledged, in order. The queue's lock guards it.
type kept struct {
	budget  *KeepBudget
	limit   int // of bytes
	pieces  []piece
	head    int     // of pieces
	sent    uint64  // offset of what is taken next
	acked   uint64  // offset up to which the peer has everything
	bytes   int     // of memory
	charged int     // to the budget
	pack    *Buffer // where small pieces are copied
}

// piece is a run of bytes within one buffer.
type piece struct {
	buf   *Buffer
	b     []byte
	end   uint64    // offset behind it
	since time.Time // when the first of the requests in it was taken, or all were last corrected; zero if there are none
	cost  int
	whole bool // it consists of whole frames; else it is a header or a payload
}

// addBlock keeps a block of frames that is about to be written.
func (k *kept) addBlock(b block) {
	if n := len(b.buf.B); n <= copyBelow || n <= cap(b.buf.B)/4 { // a copy costs less than not having the buffer
		k.copy(b.buf.B, nil, b.since)
		return
	}
	k.add(piece{buf: b.buf.Retain(), b: b.buf.B, since: b.since, cost: cap(b.buf.B), whole: true})
}

// addFrame keeps a frame whose payload has a buffer of its own.
func (k *kept) addFrame(head []byte, f *Frame) {
	since := time.Time{}
	if f.Kind == Request {
		since = time.Now()
	}
	if len(f.Payload) <= copyBelow {
		k.copy(head, f.Payload, since)
		return
	}
	at := k.reserve(len(head))
	k.pack.B = append(k.pack.B, head...)
	k.add(piece{buf: k.pack.Retain(), b: k.pack.B[at:], since: since, cost: len(head)})
	if n := len(f.Payload); f.Buf != nil && (n > packSize || n > f.Buf.Size()/4) { // several frames may share it, and each pays for its own part
		k.add(piece{buf: f.Buf.Retain(), b: f.Payload, cost: len(f.Payload)})
		return
	}
	buf := NewBuffer(len(f.Payload))
	buf.B = append(buf.B, f.Payload...)
	k.add(piece{buf: buf, b: buf.B, cost: len(f.Payload)})
}

// reserve makes room for n bytes more in one run of the pack, and returns where it begins.
func (k *kept) reserve(n int) int {
	if k.pack == nil || cap(k.pack.B)-len(k.pack.B) < n {
		size := packSize
		if k.head == len(k.pieces) { // most links keep little
			size = 4 << 10
		}
		size = max(size, n)
		if k.pack != nil {
			k.pack.Release()
		}
		k.pack = NewBuffer(size)
	}
	return len(k.pack.B)
}

// copy keeps whole frames, which are short.
func (k *kept) copy(a, b []byte, since time.Time) {
	n := len(a) + len(b)
	at := k.reserve(n)
	k.pack.B = append(append(k.pack.B, a...), b...)
	if k.head < len(k.pieces) {
		if last := &k.pieces[len(k.pieces)-1]; last.whole && last.buf == k.pack && sameTime(last.since, since) {
			k.grew(n, n)
			last.b, last.end, last.cost = last.b[:len(last.b)+n], k.sent, last.cost+n
			if last.since.IsZero() {
				last.since = since
			}
			return
		}
	}
	k.add(piece{buf: k.pack.Retain(), b: k.pack.B[at : at+n], since: since, cost: n, whole: true})
}

// sameTime reports whether requests of these times may be corrected together; zero is for no requests.
func sameTime(first, next time.Time) bool {
	return first.IsZero() || next.IsZero() || next.Sub(first) <= sameWait
}

func (k *kept) add(p piece) {
	p.cost += pieceCost
	k.grew(len(p.b), p.cost)
	p.end = k.sent
	if k.head > 0 && len(k.pieces) == cap(k.pieces) {
		n := copy(k.pieces, k.pieces[k.head:])
		clear(k.pieces[n:])
		k.pieces, k.head = k.pieces[:n], 0
	}
	k.pieces = append(k.pieces, p)
}

func (k *kept) grew(bytes, cost int) {
	k.sent += uint64(bytes)
	k.bytes += cost
	if k.bytes > k.charged {
		k.charge(k.bytes + chargeStep)
	}
}

// charge changes what the budget knows of, in steps, since other processors change it, too.
func (k *kept) charge(bytes int) {
	bytes -= bytes % chargeStep
	k.budget.used.Add(int64(bytes - k.charged))
	k.charged = bytes
}

// open reports whether there is room to keep more.
func (k *kept) open() bool {
	return k.bytes < keepFloor || k.bytes < k.limit && k.budget.room(k.bytes)
}

// trim forgets what is before an offset.
func (k *kept) trim(to uint64) {
	k.acked = to
	for k.head < len(k.pieces) && k.pieces[k.head].end <= to {
		p := &k.pieces[k.head]
		k.bytes -= p.cost
		p.buf.Release()
		*p = piece{}
		k.head++
	}
	if k.head < len(k.pieces) {
		if k.charged-k.bytes > 4*chargeStep {
			k.charge(k.bytes + chargeStep)
		}
		return
	}
	k.charge(0)
	k.pieces, k.head = k.pieces[:0], 0
	if cap(k.pieces) > 1024 { // a burst is over
		k.pieces = nil
	}
	if k.pack != nil {
		k.pack.Release()
		k.pack = nil
	}
}

// from returns about limit bytes from an offset on, in pieces of which each has a reference more. The remaining time of requests among them is corrected
// (SEM-5), so nobody else may be writing them.
func (k *kept) from(offset uint64, limit int) (list []piece, size int) {
	now := time.Now()
	for i := k.head; i < len(k.pieces) && size < limit; i++ {
		p := &k.pieces[i]
		if p.end <= offset {
			continue
		}
		if waited := now.Sub(p.since); !p.since.IsZero() && waited > worthSubtracting {
			subtractWait(p.b, waited)
			p.since = now
		}
		begin := p.end - uint64(len(p.b))
		part := *p
		if offset > begin {
			part.b = p.b[offset-begin:]
		}
		part.buf.Retain()
		list = append(list, part)
		size += len(part.b)
	}
	return list, size
}
