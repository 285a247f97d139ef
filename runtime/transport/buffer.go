package transport

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A Buffer is a pooled, reference-counted byte slice. It starts with one reference.
//
// What B holds must not change once a second reference exists or the buffer was given to a link.
type Buffer struct {
	B      []byte
	whole  []byte // what B is a part of, where it is not all
	refs   atomic.Int32
	pooled bool
}

// Buffers are pooled by capacity, so that a small payload never pins a large block: 256 bytes to 128 KiB in powers of two, and one that fits
// the longest payload of a frame, which as a power of two would waste as much as it holds. Larger ones are left to the collector.
const (
	minClass   = 8
	maxClass   = 17
	frameClass = maxClass + 1
	frameSize  = 72 << 10 // whole pages, at least MaxPayload
)

var pools [frameClass - minClass + 1]sync.Pool

// NewBuffer returns an empty buffer with room for n bytes.
func NewBuffer(n int) *Buffer {
	class := classOf(n)
	size := sizeOf(class)
	if size == 0 {
		b := &Buffer{B: make([]byte, 0, n)}
		b.refs.Store(1)
		return b
	}
	b, _ := pools[class-minClass].Get().(*Buffer)
	if b == nil {
		b = &Buffer{B: make([]byte, 0, size), pooled: true}
	}
	b.refs.Store(1)
	return b
}

// Size is how many bytes the buffer keeps from being used otherwise.
func (b *Buffer) Size() int { return max(cap(b.B), cap(b.whole)) }

// Retain adds a reference and returns b.
func (b *Buffer) Retain() *Buffer {
	b.refs.Add(1)
	return b
}

// Sole reports whether the reference of the caller is the only one.
func (b *Buffer) Sole() bool { return b.refs.Load() == 1 }

// Forsake leaves what the buffer holds to whoever refers to it: it will not be reused. Only for the sole owner; the reference still has to be
// released.
func (b *Buffer) Forsake() {
	b.pooled = false
	giveAway(b.Size())
}

// Release drops a reference; the last one gives the buffer back.
func (b *Buffer) Release() {
	switch n := b.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("transport: buffer released twice")
	}
	if !b.pooled {
		return
	}
	if b.whole != nil {
		b.B, b.whole = b.whole, nil
	}
	size := cap(b.B)
	class := classOf(size)
	if size != sizeOf(class) { // it was outgrown: let the next one of that size be made anew
		return
	}
	b.B = b.B[:0]
	pools[class-minClass].Put(b)
}

// classOf is the class of the smallest buffers with room for n bytes, above frameClass if there is none.
func classOf(n int) int {
	switch class := max(bits.Len(uint(max(n, 1)-1)), minClass); {
	case class == maxClass && n <= frameSize:
		return frameClass
	case class > maxClass:
		return frameClass + 1
	default:
		return class
	}
}

// sizeOf is the capacity of the buffers of a class, 0 above the last one.
func sizeOf(class int) int {
	switch {
	case class == frameClass:
		return frameSize
	case class > frameClass:
		return 0
	}
	return 1 << class
}
