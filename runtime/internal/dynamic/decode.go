package dynamic

import (
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Read reads a value of that type: basic types as they are, a slice as []any, a map as map[string]any or, with other keys, map[any]any, a struct as
// map[string]any of the fields that have come, JSON and text as a string. Nil of any type is nil.
func Read(d *codec.Decoder, t *signature.Type) any {
	switch t.Kind {
	case signature.Pointer:
		if d.Null() {
			return nil
		}
		return Read(d, t.Elem)
	case signature.Slice:
		if d.Null() || !d.Charge(sliceSize) {
			return nil
		}
		return codec.ReadSlice(d, 1, func(d *codec.Decoder) any { return Read(d, t.Elem) })
	case signature.Array:
		return readArray(d, t)
	case signature.Map:
		return readMap(d, t)
	case signature.Struct:
		return readStruct(d, t)
	case signature.Codec:
		return readCoded(d, t)
	}
	return readWord(d, t)
}

// What the budget is charged for what stands in an any, beside what package codec charges: 64-bit sizes.
const (
	sliceSize  = 24
	stringSize = 16
	mapSize    = 48
	slotSize   = 33 // of a map[string]any, with its byte of control
	group      = 8  // slots
)

// boxed are the sizes of words; those that are not here are charged where they are read, or not kept for each value.
var boxed = map[string]int{
	"string": stringSize, "text": stringSize, "bytes": sliceSize, "binary": sliceSize, "time": 24, "duration": 8,
	"int": 8, "int16": 8, "int32": 8, "int64": 8, "uint": 8, "uint16": 8, "uint32": 8, "uint64": 8,
	"float32": 8, "float64": 8, "complex64": 8, "complex128": 16,
}

func readArray(d *codec.Decoder, t *signature.Type) any {
	if !d.Charge(sliceSize) {
		return nil
	}
	if t.Elem.Kind == signature.Word && t.Elem.Name == "byte" {
		b := d.Blob()
		if d.Err() == nil && int64(len(b)) != t.Len {
			d.Fail(fmt.Errorf("%d bytes expected, %d found", t.Len, len(b)))
		}
		return b
	}
	all := codec.ReadSlice(d, 1, func(d *codec.Decoder) any { return Read(d, t.Elem) })
	if d.Err() == nil && int64(len(all)) != t.Len {
		d.Fail(fmt.Errorf("array of %d expected, %d elements found", t.Len, len(all)))
	}
	return all
}

func readMap(d *codec.Decoder, t *signature.Type) any {
	if d.Null() {
		return nil
	}
	value := func(d *codec.Decoder) any { return Read(d, t.Elem) }
	if t.Key.Kind == signature.Word && (t.Key.Name == "string" || t.Key.Name == "text") {
		return codec.ReadMap(d, 2, codec.ReadString, value)
	}
	if t.Key.Kind != signature.Word || slices.Contains([]string{"bytes", "any", "binary", "msgpack", "error"}, t.Key.Name) {
		d.Fail(fmt.Errorf("a map with keys of the type %s cannot be read without generated code", typeText(t.Key)))
		return nil
	}
	return codec.ReadMap(d, 2, func(d *codec.Decoder) any { return Read(d, t.Key) }, value)
}

func readStruct(d *codec.Decoder, t *signature.Type) any {
	if d.Null() || !d.Charge(mapSize) {
		return nil
	}
	names := t.Names()
	all := map[string]any{} // it grows with the fields that have come, not with those that there are
	slots, room := 0, 0
	for i := range d.Fields(names) {
		if len(all) == room {
			if slots = max(2*slots, group); !d.Charge(slots * slotSize) {
				return nil
			}
			if room = slots; slots > group {
				room -= slots / 8
			}
		}
		all[names[i]] = Read(d, t.Fields[i].Type)
	}
	return all
}

func readCoded(d *codec.Decoder, t *signature.Type) any {
	if !d.Charge(sliceSize) {
		return nil
	}
	switch t.Name {
	case "raw":
		return codec.ReadRaw[[]byte](d)
	case "text":
		return codec.ReadTextString[string](d)
	case "json":
		return codec.ReadBy[string](d, jsonText{})
	}
	return codec.ReadWith[any](d, t.Name)
}

func readWord(d *codec.Decoder, t *signature.Type) any {
	if !d.Charge(boxed[t.Name]) {
		return nil
	}
	switch t.Name {
	case "bool":
		return d.Bool()
	case "string", "text":
		return d.String()
	case "int":
		return d.Int()
	case "int8":
		return d.Int8()
	case "int16":
		return d.Int16()
	case "int32":
		return d.Int32()
	case "int64":
		return d.Int64()
	case "uint":
		return d.Uint()
	case "uint8":
		return d.Uint8()
	case "uint16":
		return d.Uint16()
	case "uint32":
		return d.Uint32()
	case "uint64":
		return d.Uint64()
	case "float32":
		return d.Float32()
	case "float64":
		return d.Float64()
	case "complex64":
		return d.Complex64()
	case "complex128":
		return d.Complex128()
	case "bytes", "binary":
		if b := d.Blob(); b != nil {
			return b
		}
		return nil
	case "time":
		return d.Time()
	case "duration":
		return d.Duration()
	case "error":
		if err := codec.ReadError(d); err != nil {
			return err
		}
		return nil
	case "any", "msgpack":
		return codec.ReadAny(d)
	}
	d.Fail(fmt.Errorf("values of the type %s cannot be read here: it is of a later version", t.Name))
	return nil
}
