package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// maxDepth bounds nesting in both directions (LIM-8), unless a [Scope] has another limit.
const maxDepth = 64

func (s *Scope) depth() int {
	if s == nil || s.Depth == 0 {
		return maxDepth
	}
	return s.Depth
}

func (s *Scope) memory() int {
	if s == nil || s.Memory == 0 {
		return maxBudget
	}
	return s.Memory
}

// Encoder appends values to a slice. The zero Encoder is ready and starts with no slice. The first error sticks: what is
// written after it is meaningless. An Encoder may not be used concurrently.
type Encoder struct {
	b        []byte
	err      error
	depth    int
	pointers int
	scope    *Scope

	keyFrom, keyTo int // what RouteBy has marked
}

// Reset starts a message in b's capacity and forgets any error, but not the scope. The encoder owns b until the next Reset.
func (e *Encoder) Reset(b []byte) { *e = Encoder{b: b[:0], scope: e.scope} }

// SetScope says where the codecs of [WriteWith] are found. Without it there are none.
func (e *Encoder) SetScope(s *Scope) { e.scope = s }

// Bytes gives what was written, valid until the next write or Reset.
func (e *Encoder) Bytes() []byte { return e.b }

// Len is the number of bytes written.
func (e *Encoder) Len() int { return len(e.b) }

// Err gives the first error; it wraps [ErrEncode].
func (e *Encoder) Err() error { return e.err }

// Fail records err, unless there is an error already.
func (e *Encoder) Fail(err error) {
	if e.err == nil && err != nil {
		e.err = within(ErrEncode, err)
	}
}

// Raw appends p, which must hold whole encoded values.
func (e *Encoder) Raw(p []byte) { e.b = append(e.b, p...) }

// Enter goes one level down and reports whether what is there should be written. Every Enter needs its Leave, also
// when it reported false.
func (e *Encoder) Enter() bool {
	if e.depth++; e.depth > e.scope.depth() {
		e.tooDeep()
	}
	return e.err == nil
}

func (e *Encoder) tooDeep() { e.Fail(fmt.Errorf("%w: more than %d levels", ErrDepth, e.scope.depth())) }

// Leave ends what Enter or Struct began.
func (e *Encoder) Leave() { e.depth-- }

// follow is Enter for a pointer, which is no level in the message and must end all the same: type P *P.
func (e *Encoder) follow() bool {
	if e.pointers++; e.pointers > e.scope.depth() {
		e.tooDeep()
	}
	return e.err == nil
}

// Struct begins a struct of n fields: a map of n entries, one level down. Leave ends it.
func (e *Encoder) Struct(n int) {
	e.Map(n)
	e.Enter()
}

// Key writes a field's name and returns e, to be followed by the field's value.
func (e *Encoder) Key(name string) *Encoder {
	e.String(name)
	return e
}

// Array announces n elements.
func (e *Encoder) Array(n int) {
	switch {
	case uint(n) < 16:
		e.b = append(e.b, 0x90|byte(n))
	case e.fits("an array", n):
		e.b = msgp.AppendArrayHeader(e.b, uint32(n))
	}
}

// Map announces n pairs of key and value.
func (e *Encoder) Map(n int) {
	switch {
	case uint(n) < 16:
		e.b = append(e.b, 0x80|byte(n))
	case e.fits("a map", n):
		e.b = msgp.AppendMapHeader(e.b, uint32(n))
	}
}

// fits refuses lengths that MessagePack cannot express.
func (e *Encoder) fits(what string, n int) bool {
	if n < 0 || uint64(n) > math.MaxUint32 {
		e.Fail(fmt.Errorf("%s cannot have length %d", what, n))
		return false
	}
	return true
}

// Nil writes nil.
func (e *Encoder) Nil() { e.b = append(e.b, 0xc0) }

// Bool writes true or false.
func (e *Encoder) Bool(v bool) { e.b = msgp.AppendBool(e.b, v) }

// Int writes an integer, as do its siblings; all use the shortest form.
func (e *Encoder) Int(v int) { e.Int64(int64(v)) }

func (e *Encoder) Int8(v int8)   { e.Int64(int64(v)) }
func (e *Encoder) Int16(v int16) { e.Int64(int64(v)) }
func (e *Encoder) Int32(v int32) { e.Int64(int64(v)) }
func (e *Encoder) Int64(v int64) { e.b = msgp.AppendInt64(e.b, v) }

func (e *Encoder) Uint(v uint)     { e.Uint64(uint64(v)) }
func (e *Encoder) Uint8(v uint8)   { e.Uint64(uint64(v)) }
func (e *Encoder) Uint16(v uint16) { e.Uint64(uint64(v)) }
func (e *Encoder) Uint32(v uint32) { e.Uint64(uint64(v)) }
func (e *Encoder) Uint64(v uint64) { e.b = msgp.AppendUint64(e.b, v) }

// Float32 writes v in five bytes.
func (e *Encoder) Float32(v float32) { e.b = msgp.AppendFloat32(e.b, v) }

// Float64 writes v in nine bytes.
func (e *Encoder) Float64(v float64) { e.b = msgp.AppendFloat64(e.b, v) }

// Complex64 writes an array of real and imaginary part.
func (e *Encoder) Complex64(v complex64) {
	e.Array(2)
	e.Enter()
	e.Float32(real(v))
	e.Float32(imag(v))
	e.Leave()
}

// Complex128 writes an array of real and imaginary part.
func (e *Encoder) Complex128(v complex128) {
	e.Array(2)
	e.Enter()
	e.Float64(real(v))
	e.Float64(imag(v))
	e.Leave()
}

// String writes s as it is; it need not be UTF-8.
func (e *Encoder) String(s string) {
	switch {
	case len(s) < 32:
		e.b = append(append(e.b, 0xa0|byte(len(s))), s...)
	case e.fits("a string", len(s)):
		e.reserve(len(s))
		e.b = msgp.AppendString(e.b, s)
	}
}

// reserve makes room for a value of n bytes and its header. A long one is most of its message as a rule: no more is taken for it than it needs,
// and a little for what follows.
func (e *Encoder) reserve(n int) {
	const long, more = 32 << 10, 128
	if have := len(e.b); n >= long && cap(e.b)-have < n+more {
		b := make([]byte, have, max(have+n+more, 2*have))
		copy(b, e.b)
		e.b = b
	}
}

// Blob writes p; nil stays nil.
func (e *Encoder) Blob(p []byte) {
	switch {
	case p == nil:
		e.Nil()
	case e.fits("a blob", len(p)):
		e.reserve(len(p))
		e.b = msgp.AppendBytes(e.b, p)
	}
}

// Time writes the instant to the nanosecond, without location and monotonic clock: in 6 bytes if it is a whole second
// from 1970 to 2106, in 10 bytes until 2514, in 15 bytes otherwise.
func (e *Encoder) Time(t time.Time) {
	s, ns := uint64(t.Unix()), uint64(t.Nanosecond())
	switch {
	case s <= math.MaxUint32 && ns == 0:
		e.b = binary.BigEndian.AppendUint32(append(e.b, 0xd6, 0xff), uint32(s))
	case s < 1<<34:
		e.b = binary.BigEndian.AppendUint64(append(e.b, 0xd7, 0xff), ns<<34|s)
	default:
		e.b = binary.BigEndian.AppendUint32(append(e.b, 0xc7, 12, 0xff), uint32(ns))
		e.b = binary.BigEndian.AppendUint64(e.b, s)
	}
}

// Duration writes v in nanoseconds.
func (e *Encoder) Duration(v time.Duration) { e.Int64(int64(v)) }
