package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The memory that one message may occupy once decoded (LIM-8).
const (
	maxBudget     = 16 << 20
	baseBudget    = 64 << 10
	budgetPerByte = 64
)

// Decoder reads one message. The first error sticks and leaves no bytes to read, so that every read after it gives a zero
// value. Nothing that a Decoder returns refers to the message, but for Key. A Decoder may not be used concurrently.
type Decoder struct {
	b        []byte // nil once err is set
	pos      int
	err      error
	budget   int // what is left of limit
	limit    int
	args     int // elements of the argument array still to come
	depth    int
	pointers int
}

// Reset starts reading b and forgets any error. The budget is 64 KiB and 64 bytes per byte of b, at most 16 MiB.
func (d *Decoder) Reset(b []byte) {
	limit := maxBudget
	if len(b) < (maxBudget-baseBudget)/budgetPerByte {
		limit = baseBudget + budgetPerByte*len(b)
	}
	*d = Decoder{b: b, budget: limit, limit: limit}
}

// SetBudget replaces the budget, in bytes, for the rest of this message; zero or less leaves nothing to spend. Call it
// after Reset. Charged are strings and blobs with their length, elements of slices and what pointers point to with their Go
// size but at least one byte, and maps with about what Go's maps occupy.
func (d *Decoder) SetBudget(bytes int) {
	d.limit = max(bytes, 0)
	d.budget = d.limit
}

// Err gives the first error; it wraps [ErrDecode].
func (d *Decoder) Err() error { return d.err }

// More reports whether bytes are left.
func (d *Decoder) More() bool { return d.pos < len(d.b) }

// Fail records err, unless there is an error already, and ends reading.
func (d *Decoder) Fail(err error) {
	if d.err == nil && err != nil {
		d.err = within(ErrDecode, err)
		d.b, d.pos, d.args = nil, 0, 0
	}
}

// failAt is Fail with the offset of the value that is wrong.
func (d *Decoder) failAt(pos int, format string, args ...any) {
	if d.err == nil {
		d.Fail(fmt.Errorf("%w at byte %d", fmt.Errorf(format, args...), pos))
	}
}

// expected says what stands where something else was wanted.
func (d *Decoder) expected(what string) {
	h := d.head()
	switch {
	case d.err != nil:
	case h.kind == kindEnd:
		d.failAt(d.pos, "%s expected, end of message found", what)
	case h.kind == kindInvalid:
		d.failAt(d.pos, "%s expected, invalid byte %#x found", what, d.b[d.pos])
	default:
		d.failAt(d.pos, "%s expected, %s found", what, h.kind)
	}
}

// short says that a header announces more than there is.
func (d *Decoder) short(what string, n uint64, unit string) {
	d.failAt(d.pos, "%s of %d %s announced, %d bytes left", what, n, unit, len(d.b)-d.pos)
}

// charge takes n bytes from the budget.
func (d *Decoder) charge(n int) bool {
	if n > d.budget {
		d.overspent()
		return false
	}
	d.budget -= n
	return true
}

// chargeEach takes n times size bytes, and at least one byte for each, so that elements of no size are bounded as well.
func (d *Decoder) chargeEach(n, size int) bool {
	size = max(size, 1)
	if n > 0 && n > d.budget/size {
		d.overspent()
		return false
	}
	d.budget -= n * size
	return true
}

func (d *Decoder) overspent() { d.failAt(d.pos, "%w: more than %d bytes needed", ErrBudget, d.limit) }

// Open reads the header of the argument array, Next counts its elements and Close ends it. Nil is an array of none.
func (d *Decoder) Open() { d.args = d.Array(1) }

// Next reports whether another argument is there, which the caller then reads. False means that an older peer does not
// know the argument, which stays zero, or that there was an error.
func (d *Decoder) Next() bool {
	if d.args == 0 {
		return false
	}
	d.args--
	return true
}

// Close skips the arguments that this side does not know and refuses bytes after the last one. Without Open it ends a
// message that is a single value.
func (d *Decoder) Close() error {
	for d.Next() {
		d.Skip()
	}
	if d.More() {
		d.failAt(d.pos, "%d bytes after the end of the message", len(d.b)-d.pos)
	}
	return d.err
}

// Enter goes one level down and reports whether what is there can be read. Every Enter needs its Leave, also when it
// reported false.
func (d *Decoder) Enter() bool {
	if d.depth++; d.depth > maxDepth {
		d.failAt(d.pos, "%w", ErrDepth)
	}
	return d.err == nil
}

// Leave ends what Enter began.
func (d *Decoder) Leave() { d.depth-- }

// follow is Enter for a pointer, which is no level in the message and must end all the same: type P *P.
func (d *Decoder) follow() bool {
	if d.pointers++; d.pointers > maxDepth {
		d.failAt(d.pos, "%w", ErrDepth)
	}
	return d.err == nil
}

// Null reads nil if that is what comes next, and reports whether it did.
func (d *Decoder) Null() bool {
	if d.pos < len(d.b) && d.b[d.pos] == 0xc0 {
		d.pos++
		return true
	}
	return false
}

// Array reads the header of an array and gives the number of its elements; nil counts as none. Each element takes at least
// min bytes, zero means one: a number that the rest of the message cannot hold is refused.
func (d *Decoder) Array(min int) int {
	n, _ := d.array(min)
	return n
}

// array tells nil, or an error, from none.
func (d *Decoder) array(min int) (int, bool) {
	if d.Null() {
		return 0, false
	}
	h := d.head()
	if h.kind != kindArray {
		d.expected("array")
		return 0, false
	}
	return d.count(h, min, "elements")
}

// Map reads the header of a map and gives the number of its pairs; nil counts as none. Each pair takes at least min bytes,
// zero means two.
func (d *Decoder) Map(min int) int {
	n, _ := d.mapping(min)
	return n
}

func (d *Decoder) mapping(min int) (int, bool) {
	if d.Null() {
		return 0, false
	}
	h := d.head()
	if h.kind != kindMap {
		d.expected("map")
		return 0, false
	}
	return d.count(h, max(min, 2), "pairs")
}

// count passes a header whose elements, min bytes each, the rest can hold. The comparison comes before the conversion: an
// int may have 32 bits.
func (d *Decoder) count(h head, min int, unit string) (int, bool) {
	if rest := len(d.b) - d.pos - h.size; h.n > uint64(rest/max(min, 1)) {
		d.short(h.kind.String(), h.n, unit)
		return 0, false
	}
	d.pos += h.size
	return int(h.n), true
}

// Skip passes one value, whatever it is.
func (d *Decoder) Skip() { d.skip(1) }

func (d *Decoder) skip(n int) {
	for ; n > 0; n-- {
		h := d.head()
		switch h.kind {
		case kindEnd, kindInvalid:
			d.expected("value")
			return
		case kindArray, kindMap:
			size, unit, per := 1, "elements", 1
			if h.kind == kindMap {
				size, unit, per = 2, "pairs", 2
			}
			count, ok := d.count(h, size, unit)
			if ok && count > 0 && d.Enter() {
				d.skip(count * per)
				d.Leave()
			}
			if d.err != nil {
				return
			}
		default:
			if h.n > uint64(len(d.b)-d.pos-h.size) {
				d.short(h.kind.String(), h.n, "bytes")
				return
			}
			d.pos += h.size + int(h.n)
		}
	}
}

// Key reads a string without copying it: it is valid as long as the message is.
func (d *Decoder) Key() []byte { return d.text("key") }

// text reads a string's bytes.
func (d *Decoder) text(what string) []byte {
	if d.pos < len(d.b) {
		c := d.b[d.pos]
		if start, n := d.pos+1, int(c&0x1f); c&0xe0 == 0xa0 && n <= len(d.b)-start {
			d.pos = start + n
			return d.b[start:d.pos]
		}
	}
	return d.payload(what, kindString, kindString)
}

// payload reads the bytes of a value of one of two kinds.
func (d *Decoder) payload(what string, k, or kind) []byte {
	h := d.head()
	if h.kind != k && h.kind != or {
		d.expected(what)
		return nil
	}
	start := d.pos + h.size
	if h.n > uint64(len(d.b)-start) {
		d.short(h.kind.String(), h.n, "bytes")
		return nil
	}
	d.pos = start + int(h.n)
	return d.b[start:d.pos]
}

// String reads a string. It need not be UTF-8.
func (d *Decoder) String() string {
	p := d.text("string")
	if !d.charge(len(p)) {
		return ""
	}
	return string(p)
}

// Blob reads bytes, from a string as well; nil gives nil.
func (d *Decoder) Blob() []byte {
	if d.Null() {
		return nil
	}
	p := d.payload("binary", kindBinary, kindString)
	if d.err != nil || !d.charge(len(p)) {
		return nil
	}
	c := make([]byte, len(p))
	copy(c, p)
	return c
}

// BlobInto reads bytes into p, for an array: there must be exactly as many.
func (d *Decoder) BlobInto(p []byte) {
	at := d.pos
	switch b := d.payload("binary", kindBinary, kindString); {
	case d.err != nil:
	case len(b) != len(p):
		d.failAt(at, "%d bytes expected, %d found", len(p), len(b))
	default:
		copy(p, b)
	}
}

// Bool reads true or false.
func (d *Decoder) Bool() bool {
	if d.pos < len(d.b) {
		if c := d.b[d.pos]; c == 0xc2 || c == 0xc3 {
			d.pos++
			return c == 0xc3
		}
	}
	d.expected("bool")
	return false
}

// Int reads an integer, as do its siblings; all accept any of MessagePack's integers and refuse a value that is out of
// the type's range.
func (d *Decoder) Int() int {
	if d.pos < len(d.b) && d.b[d.pos] < 0x80 {
		d.pos++
		return int(d.b[d.pos-1])
	}
	return int(d.signed("int", math.MinInt, math.MaxInt))
}

func (d *Decoder) Int8() int8   { return int8(d.signed("int8", math.MinInt8, math.MaxInt8)) }
func (d *Decoder) Int16() int16 { return int16(d.signed("int16", math.MinInt16, math.MaxInt16)) }
func (d *Decoder) Int32() int32 { return int32(d.signed("int32", math.MinInt32, math.MaxInt32)) }
func (d *Decoder) Int64() int64 { return d.signed("int64", math.MinInt64, math.MaxInt64) }

func (d *Decoder) Uint() uint     { return uint(d.unsigned("uint", math.MaxUint)) }
func (d *Decoder) Uint8() uint8   { return uint8(d.unsigned("uint8", math.MaxUint8)) }
func (d *Decoder) Uint16() uint16 { return uint16(d.unsigned("uint16", math.MaxUint16)) }
func (d *Decoder) Uint32() uint32 { return uint32(d.unsigned("uint32", math.MaxUint32)) }
func (d *Decoder) Uint64() uint64 { return d.unsigned("uint64", math.MaxUint64) }

func (d *Decoder) signed(name string, min, max int64) int64 {
	v, negative, size := d.integer(name)
	switch i := int64(v); {
	case size == 0:
		return 0
	case negative != (i < 0) || i < min || i > max:
		d.outOfRange(v, negative, name)
		return 0
	default:
		d.pos += size
		return i
	}
}

func (d *Decoder) unsigned(name string, max uint64) uint64 {
	v, negative, size := d.integer(name)
	switch {
	case size == 0:
		return 0
	case negative || v > max:
		d.outOfRange(v, negative, name)
		return 0
	default:
		d.pos += size
		return v
	}
}

func (d *Decoder) outOfRange(v uint64, negative bool, name string) {
	if negative {
		d.failAt(d.pos, "%d is out of range for %s", int64(v), name)
	} else {
		d.failAt(d.pos, "%d is out of range for %s", v, name)
	}
}

// integer looks at the integer that comes next without passing it: its bits, extended to 64, its sign and its size, which
// is zero after an error.
func (d *Decoder) integer(what string) (v uint64, negative bool, size int) {
	if d.pos < len(d.b) {
		p := d.b[d.pos:]
		c := p[0]
		if c < 0x80 {
			return uint64(c), false, 1
		}
		if c >= 0xe0 {
			return uint64(int64(int8(c))), true, 1
		}
		if c >= 0xcc && c <= 0xd3 {
			width := 1 << (c & 3)
			if len(p) <= width {
				d.short("int", uint64(width), "bytes")
				return 0, false, 0
			}
			switch p = p[1:]; c {
			case 0xcc:
				v = uint64(p[0])
			case 0xcd:
				v = uint64(binary.BigEndian.Uint16(p))
			case 0xce:
				v = uint64(binary.BigEndian.Uint32(p))
			case 0xcf, 0xd3:
				v = binary.BigEndian.Uint64(p)
			case 0xd0:
				v = uint64(int64(int8(p[0])))
			case 0xd1:
				v = uint64(int64(int16(binary.BigEndian.Uint16(p))))
			case 0xd2:
				v = uint64(int64(int32(binary.BigEndian.Uint32(p))))
			}
			return v, c >= 0xd0 && int64(v) < 0, 1 + width
		}
	}
	d.expected(what)
	return 0, false, 0
}

// Float64 reads a float, or an integer up to 2⁵³.
func (d *Decoder) Float64() float64 {
	f, size := d.float("float64", 1<<53)
	d.pos += size
	return f
}

// Float32 reads a float, or an integer up to 2²⁴, and refuses one that a float32 does not hold exactly.
func (d *Decoder) Float32() float32 {
	f, size := d.float("float32", 1<<24)
	if v := float32(f); float64(v) == f || math.IsNaN(f) {
		d.pos += size
		return v
	}
	d.failAt(d.pos, "%v does not fit float32", f)
	return 0
}

// float looks at the number that comes next without passing it; its size is zero after an error.
func (d *Decoder) float(what string, most int64) (f float64, size int) {
	switch h := d.head(); h.kind {
	case kindFloat:
		p := d.b[d.pos+1:]
		switch {
		case uint64(len(p)) < h.n:
			d.short("float", h.n, "bytes")
			return 0, 0
		case h.n == 4:
			return float64(math.Float32frombits(binary.BigEndian.Uint32(p))), 5
		default:
			return math.Float64frombits(binary.BigEndian.Uint64(p)), 9
		}
	case kindInt:
		v, negative, size := d.integer(what)
		if i := int64(v); size > 0 && (negative != (i < 0) || i < -most || i > most) {
			d.outOfRange(v, negative, what)
			return 0, 0
		}
		return float64(int64(v)), size
	default:
		d.expected(what)
		return 0, 0
	}
}

// Complex64 reads an array of real and imaginary part.
func (d *Decoder) Complex64() (v complex64) {
	if d.pair("complex64") {
		re := d.Float32()
		v = complex(re, d.Float32())
	}
	d.Leave()
	return v
}

// Complex128 reads an array of real and imaginary part.
func (d *Decoder) Complex128() (v complex128) {
	if d.pair("complex128") {
		re := d.Float64()
		v = complex(re, d.Float64())
	}
	d.Leave()
	return v
}

func (d *Decoder) pair(what string) bool {
	switch h := d.head(); {
	case h.kind != kindArray:
		d.expected(what)
	case h.n != 2:
		d.failAt(d.pos, "%s is an array of 2, %d elements found", what, h.n)
	default:
		d.pos += h.size
	}
	return d.Enter()
}

// Time reads a timestamp extension in any of its three forms. The result is in UTC.
func (d *Decoder) Time() time.Time {
	at := d.pos
	if h := d.head(); h.kind == kindExtension && d.pos+h.size < len(d.b) && int8(d.b[d.pos+h.size]) != -1 {
		d.failAt(at, "time expected, extension %d found", int8(d.b[d.pos+h.size]))
		return time.Time{}
	}
	p := d.payload("time", kindExtension, kindExtension)
	if d.err != nil {
		return time.Time{}
	}
	var s int64
	var ns uint32
	switch p = p[1:]; len(p) {
	case 4:
		s = int64(binary.BigEndian.Uint32(p))
	case 8:
		v := binary.BigEndian.Uint64(p)
		s, ns = int64(v&(1<<34-1)), uint32(v>>34)
	case 12:
		s, ns = int64(binary.BigEndian.Uint64(p[4:])), binary.BigEndian.Uint32(p)
	default:
		d.failAt(at, "time of 4, 8 or 12 bytes expected, %d found", len(p))
		return time.Time{}
	}
	if ns >= 1e9 {
		d.failAt(at, "%d is out of range for nanoseconds", ns)
		return time.Time{}
	}
	return time.Unix(s, int64(ns)).UTC()
}

// Duration reads nanoseconds.
func (d *Decoder) Duration() time.Duration { return time.Duration(d.Int64()) }
