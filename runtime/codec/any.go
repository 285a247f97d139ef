package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// extDuration is the extension in which an any holds a duration, which could not be told from an integer else.
const extDuration = 1

// WriteAny writes what v holds: nil, a bool, integer, float, string, []byte, [time.Time], [time.Duration], []any, map[string]any or a
// [Message]. Other types, also those that are defined by one of these, are refused.
func WriteAny(e *Encoder, v any) {
	switch v := v.(type) {
	case nil:
		e.Nil()
	case bool:
		e.Bool(v)
	case int:
		e.Int(v)
	case int8:
		e.Int8(v)
	case int16:
		e.Int16(v)
	case int32:
		e.Int32(v)
	case int64:
		e.Int64(v)
	case uint:
		e.Uint(v)
	case uint8:
		e.Uint8(v)
	case uint16:
		e.Uint16(v)
	case uint32:
		e.Uint32(v)
	case uint64:
		e.Uint64(v)
	case float32:
		e.Float32(v)
	case float64:
		e.Float64(v)
	case string:
		e.String(v)
	case []byte:
		e.Blob(v)
	case time.Time:
		e.Time(v)
	case time.Duration:
		e.b = binary.BigEndian.AppendUint64(append(e.b, 0xd7, extDuration), uint64(v))
	case []any:
		WriteSlice(e, v, WriteAny)
	case map[string]any:
		WriteMap(e, v, WriteString, WriteAny)
	case Message:
		WriteMessage(e, v)
	default:
		e.Fail(fmt.Errorf("any holds a %T, which cannot travel in it; a pointer to a type marked //daffi:message can", v))
	}
}

// ReadAny reads what WriteAny wrote. An integer arrives as an int, or as an int64 or uint64 if it does not fit; everything else as
// it was, but nil slices and maps as nil and times in UTC.
func ReadAny(d *Decoder) any {
	if v := d.any(); d.err == nil {
		return v
	}
	return nil
}

func (d *Decoder) any() any {
	h := d.head()
	switch h.kind {
	case kindNil:
		d.pos++
		return nil
	case kindBool:
		return d.Bool()
	case kindInt:
		return d.anyInt()
	case kindFloat:
		if !d.charge(8) {
			return nil
		}
		if d.b[d.pos] == 0xca {
			return d.Float32()
		}
		return d.Float64()
	case kindString:
		if !d.charge(sizeOf[string]()) {
			return nil
		}
		return d.String()
	case kindBinary:
		if !d.charge(sizeOf[[]byte]()) {
			return nil
		}
		return d.Blob()
	case kindArray:
		if !d.charge(sizeOf[[]any]()) {
			return nil
		}
		return ReadSlice(d, 1, ReadAny)
	case kindMap:
		return ReadMap(d, 2, ReadString, ReadAny)
	case kindExtension:
		return d.anyExtension(h)
	}
	d.expected("value")
	return nil
}

// anyInt reads an integer as the first of int, int64 and uint64 that holds it.
func (d *Decoder) anyInt() any {
	if !d.charge(8) {
		return nil
	}
	if d.b[d.pos] == 0xcf {
		v := d.Uint64()
		if v > math.MaxInt64 {
			return v
		}
		return small(int64(v))
	}
	return small(d.Int64())
}

func small(v int64) any {
	if v < math.MinInt || v > math.MaxInt {
		return v
	}
	return int(v)
}

// anyExtension reads a duration or a time.
func (d *Decoder) anyExtension(h head) any {
	if d.pos+h.size >= len(d.b) || d.b[d.pos+h.size] != extDuration {
		if !d.charge(sizeOf[time.Time]()) {
			return nil
		}
		return d.Time()
	}
	at := d.pos
	p := d.payload("duration", kindExtension, kindExtension)
	switch {
	case d.err != nil || !d.charge(8):
		return nil
	case len(p) != 1+8:
		d.failAt(at, "duration of 8 bytes expected, %d found", len(p)-1)
		return nil
	}
	return time.Duration(binary.BigEndian.Uint64(p[1:]))
}

// WriteError writes the text of err; nil stays nil.
func WriteError(e *Encoder, err error) {
	if err == nil {
		e.Nil()
		return
	}
	e.String(err.Error())
}

// ReadError reads an error that has the text of the one that was written, or nil. It is equal to no other.
func ReadError(d *Decoder) error {
	if d.Null() || !d.charge(sizeOf[string]()) {
		return nil
	}
	text := d.String()
	if d.err != nil {
		return nil
	}
	return errors.New(text)
}
