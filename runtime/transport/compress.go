package transport

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

const (
	encoderWindow = 128 << 10 // also the size of a block
	maxWindow     = 1 << 20   // that a received frame may ask for (LIM-7)
	maxBlock      = 128 << 10 // of content, by the format
	minSized      = 256       // below it an encoder leaves the size out of the frame
	worthwhile    = 1 << 10   // a message up to this size is not compressed
)

// ErrCompressed is wrapped by every error of [Compressor.Decompress].
var ErrCompressed = errors.New("bad zstd frame")

// ErrTooLarge is wrapped, together with [ErrCompressed], by the error for content over the limit.
var ErrTooLarge = errors.New("content over the limit")

// A Compressor packs and unpacks messages. It belongs to one node: nothing in it is shared with others, it starts no goroutine, and it holds
// no memory before its first use. Its methods may be called from any goroutine; as many as there are processors work at a time, and
// the others wait for them. One that is used inside a bubble of testing/synctest belongs to it, as what it makes there has channels.
type Compressor struct {
	encoders coderPool[*zstd.Encoder]
	decoders coderPool[*zstd.Decoder]
}

// NewCompressor returns a compressor to be closed by [Compressor.Close].
func NewCompressor() *Compressor {
	n := runtime.GOMAXPROCS(0)
	c := new(Compressor)
	c.encoders.slots = make(chan struct{}, n)
	c.encoders.make = newEncoder
	c.decoders.slots = make(chan struct{}, n)
	c.decoders.make = newDecoder
	return c
}

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(encoderWindow),
		zstd.WithEncoderConcurrency(1))
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderMaxMemory(math.MaxUint32), // the capacity of the output is what limits, and is checked before
		zstd.WithDecodeAllCapLimit(true))
}

// Compress appends src to dst as one zstd frame, which says how long src is and has a checksum. A short src is only wrapped.
func (c *Compressor) Compress(dst, src []byte) []byte {
	if len(src) < minSized {
		return appendStored(dst, src)
	}
	e, err := c.encoders.get()
	if err != nil {
		panic("transport: " + err.Error()) // our own options are wrong
	}
	defer c.encoders.put(e)
	return e.EncodeAll(src, dst)
}

// appendStored appends a frame of one block that holds src as it is.
func appendStored(dst, src []byte) []byte {
	h := zstd.Header{SingleSegment: true, FrameContentSize: uint64(len(src))}
	dst, _ = h.AppendTo(dst) // never fails
	block := uint32(len(src))<<3 | 1
	dst = append(dst, byte(block), byte(block>>8), byte(block>>16))
	return append(dst, src...)
}

// Decompress appends the content of src to dst. It takes exactly one zstd frame that says how long its content is, at most limit, has a window
// of at most 1 MiB and no dictionary. Nothing is reserved for the content before all of that is known, nor while waiting for others.
// The room in dst is used if it is enough: for the content, and above 1 MiB for 128 KiB more. After an error dst is as it was.
func (c *Compressor) Decompress(dst, src []byte, limit int) ([]byte, error) {
	size, err := contentSize(src, limit)
	if err != nil {
		return dst, err
	}
	d, err := c.decoders.get()
	if err != nil {
		panic("transport: " + err.Error()) // our own options are wrong
	}
	defer c.decoders.put(d)
	n, need := len(dst), roomFor(size)
	room := dst
	if cap(dst)-n < need {
		room = make([]byte, n, n+need)
		copy(room, dst)
	}
	out, err := unpack(d, room[n:n:n+need], src, size)
	if err != nil {
		return dst, err
	}
	return append(room[:n], out...), nil // onto itself
}

// UnpackedSize is how long the content of a frame is that [Compressor.Unpack] with that limit may take.
func UnpackedSize(src []byte, limit int) (int, error) { return contentSize(src, limit) }

// Unpack is [Compressor.Decompress] into a buffer of its own, which is not taken before others have left this one the decoder either, nor before room, if it is not nil, has
// let the content in, of which it is told the length. It must not block; its error is Unpack's.
func (c *Compressor) Unpack(src []byte, limit int, room func(size int) error) (*Buffer, error) {
	size, err := contentSize(src, limit)
	if err != nil {
		return nil, err
	}
	d, err := c.decoders.get()
	if err != nil {
		panic("transport: " + err.Error()) // our own options are wrong
	}
	defer c.decoders.put(d)
	if room != nil {
		if err := room(size); err != nil {
			return nil, err
		}
	}
	need := roomFor(size)
	b := NewBuffer(need)
	out, err := unpack(d, b.B[:0:need], src, size)
	if err != nil {
		b.Release()
		return nil, err
	}
	b.B = append(b.B, out...) // onto itself
	return b, nil
}

// roomFor is the room that the decoder is given. It takes that for the limit, and looks after each block whether the content has become longer than the
// header says; a long one has room for that block, since the decoder would else double its output before it looks.
func roomFor(size int) int {
	if size > maxWindow {
		return size + maxBlock
	}
	return size
}

func unpack(d *zstd.Decoder, room, src []byte, size int) ([]byte, error) {
	out, err := d.DecodeAll(src, room)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompressed, err)
	}
	if len(out) != size {
		return nil, fmt.Errorf("%w: %d bytes of content instead of %d", ErrCompressed, len(out), size)
	}
	return out, nil
}

// Close lets go of what the compressor holds. Later calls work, but keep nothing.
func (c *Compressor) Close() {
	for _, e := range c.encoders.close() {
		e.Close()
	}
	for _, d := range c.decoders.close() {
		d.Close()
	}
}

// contentSize walks over a frame without unpacking it: one header and its blocks, with nothing missing and nothing after them. It returns
// the size that the header gives, if the blocks can hold as much.
func contentSize(src []byte, limit int) (int, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCompressed, err)
	}
	switch {
	case h.Skippable:
		return 0, fmt.Errorf("%w: skippable", ErrCompressed)
	case src[4]&3 != 0: // of the header's descriptor: even an id of 0 is none that we write
		return 0, fmt.Errorf("%w: names dictionary %d", ErrCompressed, h.DictionaryID)
	case !h.HasFCS:
		return 0, fmt.Errorf("%w: does not say how long its content is", ErrCompressed)
	case h.FrameContentSize > uint64(max(limit, 0)):
		return 0, fmt.Errorf("%w: %d bytes of content, at most %d are allowed: %w", ErrCompressed, h.FrameContentSize, limit, ErrTooLarge)
	case h.WindowSize > maxWindow, h.SingleSegment && h.FrameContentSize > maxWindow:
		return 0, fmt.Errorf("%w: window of %d bytes, at most %d are allowed", ErrCompressed, max(h.WindowSize, h.FrameContentSize), maxWindow)
	}
	size := int(h.FrameContentSize)
	rest := src[h.HeaderSize:]
	// A frame of many blocks that hold next to nothing would cost time out of proportion.
	blocks := 16 + size/(1<<10)
	held := 0
	for last := false; !last; blocks-- {
		if blocks == 0 {
			return 0, fmt.Errorf("%w: too many blocks", ErrCompressed)
		}
		if len(rest) < 3 {
			return 0, fmt.Errorf("%w: cut off", ErrCompressed)
		}
		block := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		rest = rest[3:]
		last = block&1 != 0
		length, holds := block>>3, block>>3
		switch block >> 1 & 3 {
		case 0: // raw
		case 1: // one byte, repeated
			length = 1
		case 2: // compressed
			holds = maxBlock
		default:
			return 0, fmt.Errorf("%w: block of a reserved type", ErrCompressed)
		}
		if holds > maxBlock || length > len(rest) {
			return 0, fmt.Errorf("%w: block too long or cut off", ErrCompressed)
		}
		rest = rest[length:]
		held += holds
	}
	if held < size {
		return 0, fmt.Errorf("%w: says %d bytes of content, and its blocks hold at most %d", ErrCompressed, size, held)
	}
	if h.HasCheckSum {
		if len(rest) < 4 {
			return 0, fmt.Errorf("%w: cut off", ErrCompressed)
		}
		rest = rest[4:]
	}
	if len(rest) > 0 {
		return 0, fmt.Errorf("%w: %d bytes after its end", ErrCompressed, len(rest))
	}
	return size, nil
}

// A coderPool lends out as many values as it has slots, makes one when none is idle, and keeps what comes back until it is closed.
type coderPool[T any] struct {
	make  func() (T, error)
	slots chan struct{}

	mu     sync.Mutex
	idle   []T
	closed bool
}

func (p *coderPool[T]) get() (T, error) {
	p.slots <- struct{}{}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		v := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return v, nil
	}
	p.mu.Unlock()
	v, err := p.make()
	if err != nil {
		<-p.slots
	}
	return v, err
}

func (p *coderPool[T]) put(v T) {
	p.mu.Lock()
	if !p.closed {
		p.idle = append(p.idle, v)
	}
	p.mu.Unlock()
	<-p.slots
}

// close returns what is idle. What is lent out is left to the collector when it comes back.
func (p *coderPool[T]) close() []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle
	p.idle, p.closed = nil, true
	return idle
}

// Worth remembers for one method whether compressing its messages pays. The zero value says that it does until it is told otherwise.
//
// After a message that shrank by less than a tenth it lets 2 messages pass before it tries again, then 4, and so on up to 1024; one that did
// shrink starts over. Only messages count, not time.
type Worth struct {
	state atomic.Uint32 // high half: how often in a row it did not pay; low half: messages to let pass
}

const maxWorthLevel = 10

// Try reports whether to compress a message of so many bytes. What came of it is to be told by [Worth.Saw].
func (w *Worth) Try(size int) bool {
	if size <= worthwhile {
		return false
	}
	for {
		s := w.state.Load()
		if s&math.MaxUint16 == 0 {
			return true
		}
		if w.state.CompareAndSwap(s, s-1) {
			return false
		}
	}
}

// Saw tells how many bytes were compressed to how many, and reports whether it paid: else the message should be sent as it was.
func (w *Worth) Saw(in, out int) bool {
	paid := uint64(in)*10 >= uint64(out)*11
	for {
		s := w.state.Load()
		next := uint32(0)
		if !paid {
			if s&math.MaxUint16 != 0 {
				return false // another message that was tried at the same time was seen before
			}
			level := min(s>>16+1, maxWorthLevel)
			next = level<<16 | 1<<level
		}
		if s == next || w.state.CompareAndSwap(s, next) {
			return paid
		}
	}
}
