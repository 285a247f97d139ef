package codec

import (
	"encoding/binary"
	"math"
)

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
				d.short(head{uint64(width), 1, kindInt})
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
	if p := d.b[d.pos:]; len(p) >= 9 && p[0] == 0xcb {
		d.pos += 9
		return math.Float64frombits(binary.BigEndian.Uint64(p[1:]))
	}
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
			d.short(h)
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
