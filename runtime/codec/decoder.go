package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The memory that one message may occupy once decoded (LIM-8), unless a [Scope] has another limit; a message of more than half of it twice its length.
const (
	maxBudget     = 16 << 20
	baseBudget    = 64 << 10
	budgetPerByte = 64
)

// Decoder reads one message. The first error sticks and leaves no bytes to read, so that every read after it gives a zero
// value. Nothing that a Decoder returns refers to the message, but for Key, and for a long Blob after Share. A Decoder may not be used concurrently.
type Decoder struct {
	b        []byte // nil once err is set
	pos      int
	err      error
	budget   int // what is left of limit
	limit    int
	args     int // elements of the argument array still to come
	depth    int
	pointers int
	closer   Closer
	scope    *Scope
	share    int // length from which a blob is a part of the message, if owner is not nil
	owner    interface{ Forsake() }
}

// Reset starts reading b and forgets any error, but not the scope. The budget is 64 KiB and 64 bytes per byte of b, but at most what the scope says, or twice the
// length of b if that is more.
func (d *Decoder) Reset(b []byte) {
	most := d.scope.memory()
	limit := max(most, len(b)+min(len(b), math.MaxInt-len(b)))
	if len(b) < (most-baseBudget)/budgetPerByte {
		limit = baseBudget + budgetPerByte*len(b)
	}
	*d = Decoder{b: b, budget: limit, limit: limit, scope: d.scope}
}

// SetScope says where the codecs of [ReadWith] are found. Without it there are none.
func (d *Decoder) SetScope(s *Scope) { d.scope = s }

// Share lets a blob of at least min bytes be a part of the message instead of a copy. owner, which the message must be alone in the hands of, is
// told so before. Call it after Reset.
func (d *Decoder) Share(min int, owner interface{ Forsake() }) { d.share, d.owner = min, owner }

// SetBudget replaces the budget, in bytes, for the rest of this message; zero or less leaves nothing to spend. Call it
// after Reset. Charged are strings and blobs with their length, elements of slices and what pointers point to with their Go
// size but at least one byte, and maps with about what Go's maps occupy.
func (d *Decoder) SetBudget(bytes int) {
	d.limit = max(bytes, 0)
	d.budget = d.limit
}

// Err gives the first error; it wraps [ErrDecode].
func (d *Decoder) Err() error { return d.err }

// Rest is what was not read yet. It is a part of what Reset was given.
func (d *Decoder) Rest() []byte { return d.b[d.pos:] }

// More reports whether bytes are left.
func (d *Decoder) More() bool { return d.pos < len(d.b) }

// Left is how many bytes were not read yet.
func (d *Decoder) Left() int { return len(d.b) - d.pos }

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
func (d *Decoder) short(h head) {
	d.failAt(d.pos, "%s of length %d announced, bytes left: %d", h.kind, h.n, len(d.b)-d.pos-h.size)
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

// Charge takes n bytes from the budget, for what is made of a message beside what this package's functions make of it. False is an error: the budget has less.
func (d *Decoder) Charge(n int) bool { return d.charge(max(n, 0)) }

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
		d.failAt(d.pos, "end of message expected, bytes left: %d", len(d.b)-d.pos)
	}
	if c := d.closer; c != nil {
		d.b, d.pos, d.closer, d.owner = nil, 0, nil, nil
		c.Closed()
	}
	return d.err
}

// A Closer is told that a message was read, so that it can be given back before what was read from it is used.
type Closer interface {
	// Closed may look at Err and Spent, and may Fail.
	Closed()
}

// OnClose makes the next Close tell c. Call it after Reset.
func (d *Decoder) OnClose(c Closer) { d.closer = c }

// Spent is what of the budget was taken; see [Decoder.SetBudget].
func (d *Decoder) Spent() int { return d.limit - d.budget }

// Enter goes one level down and reports whether what is there can be read. Every Enter needs its Leave, also when it
// reported false.
func (d *Decoder) Enter() bool {
	if d.depth++; d.depth > d.scope.depth() {
		d.tooDeep()
	}
	return d.err == nil
}

func (d *Decoder) tooDeep() { d.failAt(d.pos, "%w: more than %d levels", ErrDepth, d.scope.depth()) }

// Leave ends what Enter began.
func (d *Decoder) Leave() { d.depth-- }

// follow is Enter for a pointer, which is no level in the message and must end all the same: type P *P.
func (d *Decoder) follow() bool {
	if d.pointers++; d.pointers > d.scope.depth() {
		d.tooDeep()
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
	return d.count(h, min)
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
	return d.count(h, max(min, 2))
}

// count passes a header whose elements, min bytes each, the rest can hold. The comparison comes before the conversion: an
// int may have 32 bits.
func (d *Decoder) count(h head, min int) (int, bool) {
	if rest := len(d.b) - d.pos - h.size; h.n > uint64(rest/max(min, 1)) {
		d.short(h)
		return 0, false
	}
	d.pos += h.size
	return int(h.n), true
}

// Skip passes one value, whatever it is.
func (d *Decoder) Skip() { d.skip(1) }

func (d *Decoder) skip(n int) {
	for ; n > 0; n-- {
		if d.pos < len(d.b) { // most values of a byte
			if c := d.b[d.pos]; c < 0x80 || c >= 0xe0 || c == 0xc0 {
				d.pos++
				continue
			}
		}
		h := d.head()
		switch h.kind {
		case kindEnd, kindInvalid:
			d.expected("value")
			return
		case kindArray, kindMap:
			values := 1
			if h.kind == kindMap {
				values = 2
			}
			count, _ := d.count(h, values)
			if count > 0 {
				if d.Enter() {
					d.skip(count * values)
				}
				d.Leave()
			}
			if d.err != nil {
				return
			}
		default:
			if h.n > uint64(len(d.b)-d.pos-h.size) {
				d.short(h)
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
		d.short(h)
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
	if d.owner != nil && len(p) >= d.share {
		d.owner.Forsake()
		return p[:len(p):len(p)]
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
