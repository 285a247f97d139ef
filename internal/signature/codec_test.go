package signature

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// coded are the types that package codec has a function for: extreme values, written, and how one is read.
var coded = []struct {
	typ     string
	samples []any
	read    func(*codec.Decoder) any
}{
	{"bool", []any{false, true}, func(d *codec.Decoder) any { return d.Bool() }},
	{"int", []any{math.MinInt, math.MaxInt}, func(d *codec.Decoder) any { return d.Int() }},
	{"int8", []any{int8(math.MinInt8), int8(math.MaxInt8)}, func(d *codec.Decoder) any { return d.Int8() }},
	{"int16", []any{int16(math.MinInt16), int16(math.MaxInt16)}, func(d *codec.Decoder) any { return d.Int16() }},
	{"int32", []any{int32(math.MinInt32), int32(math.MaxInt32)}, func(d *codec.Decoder) any { return d.Int32() }},
	{"int64", []any{int64(math.MinInt64), int64(math.MaxInt64)}, func(d *codec.Decoder) any { return d.Int64() }},
	{"uint", []any{uint(0), uint(math.MaxUint)}, func(d *codec.Decoder) any { return d.Uint() }},
	{"uint8", []any{uint8(0), uint8(math.MaxUint8)}, func(d *codec.Decoder) any { return d.Uint8() }},
	{"uint16", []any{uint16(0), uint16(math.MaxUint16)}, func(d *codec.Decoder) any { return d.Uint16() }},
	{"uint32", []any{uint32(0), uint32(math.MaxUint32)}, func(d *codec.Decoder) any { return d.Uint32() }},
	{"uint64", []any{uint64(0), uint64(math.MaxUint64)}, func(d *codec.Decoder) any { return d.Uint64() }},
	{"float32", []any{float32(0.1), float32(math.MaxFloat32)}, func(d *codec.Decoder) any { return d.Float32() }},
	{"float64", []any{0.1, math.MaxFloat64}, func(d *codec.Decoder) any { return d.Float64() }},
	{"complex64", []any{complex64(complex(0.1, math.MaxFloat32))}, func(d *codec.Decoder) any { return d.Complex64() }},
	{"complex128", []any{complex(0.1, math.MaxFloat64)}, func(d *codec.Decoder) any { return d.Complex128() }},
	{"string", []any{"", "two"}, func(d *codec.Decoder) any { return d.String() }},
	{"bytes", []any{[]byte(nil), []byte("two")}, func(d *codec.Decoder) any { return d.Blob() }},
	{"time", []any{time.Unix(1, 2).UTC()}, func(d *codec.Decoder) any { return d.Time() }},
	{"[2]byte", []any{[2]byte{1, 2}}, func(d *codec.Decoder) any { var b [2]byte; d.BlobInto(b[:]); return b }},
	{"[2]uint8", []any{[2]kind{1, 2}}, func(d *codec.Decoder) any {
		var b [2]kind
		codec.ReadArrayInto(d, b[:], codec.ReadUint8Of[kind])
		return b
	}},
	{"[]uint8", []any{[]kind(nil), []kind{1, 2, 3}}, func(d *codec.Decoder) any { return codec.ReadSlice(d, 1, codec.ReadUint8Of[kind]) }},
	{"*uint8", []any{(*uint8)(nil), new(uint8)}, func(d *codec.Decoder) any { return codec.ReadPtr(d, codec.ReadUint8) }},
	{"map[string]int", []any{map[string]int(nil), map[string]int{"a": 1}}, func(d *codec.Decoder) any {
		return codec.ReadMap(d, 2, codec.ReadString, codec.ReadInt)
	}},
}

type kind uint8

func write(e *codec.Encoder, v any) {
	switch v := v.(type) {
	case complex64:
		e.Complex64(v)
	case complex128:
		e.Complex128(v)
	case [2]byte:
		e.Blob(v[:])
	case [2]kind:
		codec.WriteArray(e, v[:], codec.WriteUint8Of[kind])
	case []kind:
		codec.WriteSlice(e, v, codec.WriteUint8Of[kind])
	case *uint8:
		codec.WritePtr(e, v, codec.WriteUint8)
	case map[string]int:
		codec.WriteMap(e, v, codec.WriteString, codec.WriteInt)
	default:
		codec.WriteAny(e, v)
	}
}

// value is v as text, the same for the same value of another type.
func value(v any) string {
	switch v := v.(type) {
	case int8, int16, int32, uint8, uint16, uint32:
		return fmt.Sprint(v)
	case float32:
		return fmt.Sprintf("%.20g", v)
	case float64:
		return fmt.Sprintf("%.20g", v)
	case complex64, complex128:
		return fmt.Sprintf("%.20g", v)
	case *uint8:
		if v == nil {
			return "nil"
		}
		return fmt.Sprint(*v)
	case []byte:
		return string(v)
	case [2]byte:
		return string(v[:])
	}
	return fmt.Sprint(v)
}

// TestCodec holds the rules against the decoders, for all pairs of types: where a reader is said to take what a writer writes, it reads all values
// as they were, and where it is not, there is one that it refuses.
func TestCodec(t *testing.T) {
	for _, w := range coded {
		for _, r := range coded {
			err := Compatible(parsed(t, "("+w.typ+")()"), parsed(t, "("+r.typ+")()"))
			refused := false
			for _, v := range w.samples {
				var e codec.Encoder
				write(&e, v)
				assert.NoError(t, e.Err())
				var d codec.Decoder
				d.Reset(e.Bytes())
				got := r.read(&d)
				if d.Close() != nil {
					refused = true
				} else if err == nil {
					assert.Equalf(t, value(v), value(got), "%s read as %s", w.typ, r.typ)
				}
			}
			if w.typ == "[2]uint8" && strings.HasPrefix(r.typ, "complex") {
				continue // two numbers are a complex one for the decoder, but do not mean it
			}
			assert.Equalf(t, err != nil, refused, "%s read as %s", w.typ, r.typ)
		}
	}
}
