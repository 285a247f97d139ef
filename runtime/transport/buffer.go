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
	refs   atomic.Int32
	pooled bool
}

// Buffers are pooled by capacity, 256 bytes to 128 KiB in powers of two, so that a small payload never pins a large block; larger
// ones are left to the collector.
const (
	minClass = 8
	maxClass = 17
)

var pools [maxClass - minClass + 1]sync.Pool

// NewBuffer returns an empty buffer with room for n bytes.
func NewBuffer(n int) *Buffer {
	class := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if class > maxClass {
		b := &Buffer{B: make([]byte, 0, n)}
		b.refs.Store(1)
		return b
	}
	p := &pools[class-minClass]
	b, _ := p.Get().(*Buffer)
	if b == nil {
		b = &Buffer{B: make([]byte, 0, 1<<class), pooled: true}
	}
	b.refs.Store(1)
	return b
}

// Retain adds a reference and returns b.
func (b *Buffer) Retain() *Buffer {
	b.refs.Add(1)
	return b
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
	if c := cap(b.B); c > 1<<maxClass || c < 1<<minClass { // it grew past its class: let the next one of that size be made anew
		return
	}
	b.B = b.B[:0]
	pools[classOf(cap(b.B))].Put(b)
}

// classOf is the largest class whose buffers a capacity of c can serve.
func classOf(c int) int { return bits.Len(uint(c)) - 1 - minClass }
