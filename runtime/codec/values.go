package codec

import "time"

// The methods of [Encoder] as functions, for elements: WriteSlice(e, v.Sums, WriteFloat64).

func WriteBool(e *Encoder, v bool)              { e.Bool(v) }
func WriteInt(e *Encoder, v int)                { e.Int(v) }
func WriteInt8(e *Encoder, v int8)              { e.Int8(v) }
func WriteInt16(e *Encoder, v int16)            { e.Int16(v) }
func WriteInt32(e *Encoder, v int32)            { e.Int32(v) }
func WriteInt64(e *Encoder, v int64)            { e.Int64(v) }
func WriteUint(e *Encoder, v uint)              { e.Uint(v) }
func WriteUint8(e *Encoder, v uint8)            { e.Uint8(v) }
func WriteUint16(e *Encoder, v uint16)          { e.Uint16(v) }
func WriteUint32(e *Encoder, v uint32)          { e.Uint32(v) }
func WriteUint64(e *Encoder, v uint64)          { e.Uint64(v) }
func WriteFloat32(e *Encoder, v float32)        { e.Float32(v) }
func WriteFloat64(e *Encoder, v float64)        { e.Float64(v) }
func WriteComplex64(e *Encoder, v complex64)    { e.Complex64(v) }
func WriteComplex128(e *Encoder, v complex128)  { e.Complex128(v) }
func WriteString(e *Encoder, v string)          { e.String(v) }
func WriteBlob(e *Encoder, v []byte)            { e.Blob(v) }
func WriteTime(e *Encoder, v time.Time)         { e.Time(v) }
func WriteDuration(e *Encoder, v time.Duration) { e.Duration(v) }

// The methods of [Decoder] as functions, for elements: ReadSlice(d, 1, ReadFloat64).

func ReadBool(d *Decoder) bool              { return d.Bool() }
func ReadInt(d *Decoder) int                { return d.Int() }
func ReadInt8(d *Decoder) int8              { return d.Int8() }
func ReadInt16(d *Decoder) int16            { return d.Int16() }
func ReadInt32(d *Decoder) int32            { return d.Int32() }
func ReadInt64(d *Decoder) int64            { return d.Int64() }
func ReadUint(d *Decoder) uint              { return d.Uint() }
func ReadUint8(d *Decoder) uint8            { return d.Uint8() }
func ReadUint16(d *Decoder) uint16          { return d.Uint16() }
func ReadUint32(d *Decoder) uint32          { return d.Uint32() }
func ReadUint64(d *Decoder) uint64          { return d.Uint64() }
func ReadFloat32(d *Decoder) float32        { return d.Float32() }
func ReadFloat64(d *Decoder) float64        { return d.Float64() }
func ReadComplex64(d *Decoder) complex64    { return d.Complex64() }
func ReadComplex128(d *Decoder) complex128  { return d.Complex128() }
func ReadString(d *Decoder) string          { return d.String() }
func ReadBlob(d *Decoder) []byte            { return d.Blob() }
func ReadTime(d *Decoder) time.Time         { return d.Time() }
func ReadDuration(d *Decoder) time.Duration { return d.Duration() }

// ReadNone reads nothing: the result of a method without results.
func ReadNone(*Decoder) struct{} { return struct{}{} }

// ReadResult reads the only result of a method.
func ReadResult[T any](d *Decoder, read func(*Decoder) T) (v T) {
	if d.Next() {
		v = read(d)
	}
	return v
}

// The same for types that are defined by a basic one, with type Kind uint8: WriteSlice(e, v.Kinds, WriteUint8Of[Kind]).

func WriteBoolOf[T ~bool](e *Encoder, v T)             { e.Bool(bool(v)) }
func WriteIntOf[T ~int](e *Encoder, v T)               { e.Int(int(v)) }
func WriteInt8Of[T ~int8](e *Encoder, v T)             { e.Int8(int8(v)) }
func WriteInt16Of[T ~int16](e *Encoder, v T)           { e.Int16(int16(v)) }
func WriteInt32Of[T ~int32](e *Encoder, v T)           { e.Int32(int32(v)) }
func WriteInt64Of[T ~int64](e *Encoder, v T)           { e.Int64(int64(v)) }
func WriteUintOf[T ~uint](e *Encoder, v T)             { e.Uint(uint(v)) }
func WriteUint8Of[T ~uint8](e *Encoder, v T)           { e.Uint8(uint8(v)) }
func WriteUint16Of[T ~uint16](e *Encoder, v T)         { e.Uint16(uint16(v)) }
func WriteUint32Of[T ~uint32](e *Encoder, v T)         { e.Uint32(uint32(v)) }
func WriteUint64Of[T ~uint64](e *Encoder, v T)         { e.Uint64(uint64(v)) }
func WriteFloat32Of[T ~float32](e *Encoder, v T)       { e.Float32(float32(v)) }
func WriteFloat64Of[T ~float64](e *Encoder, v T)       { e.Float64(float64(v)) }
func WriteComplex64Of[T ~complex64](e *Encoder, v T)   { e.Complex64(complex64(v)) }
func WriteComplex128Of[T ~complex128](e *Encoder, v T) { e.Complex128(complex128(v)) }
func WriteStringOf[T ~string](e *Encoder, v T)         { e.String(string(v)) }
func WriteBlobOf[T ~[]byte](e *Encoder, v T)           { e.Blob([]byte(v)) }

// With type Kind uint8: ReadSlice(d, 1, ReadUint8Of[Kind]).

func ReadBoolOf[T ~bool](d *Decoder) T             { return T(d.Bool()) }
func ReadIntOf[T ~int](d *Decoder) T               { return T(d.Int()) }
func ReadInt8Of[T ~int8](d *Decoder) T             { return T(d.Int8()) }
func ReadInt16Of[T ~int16](d *Decoder) T           { return T(d.Int16()) }
func ReadInt32Of[T ~int32](d *Decoder) T           { return T(d.Int32()) }
func ReadInt64Of[T ~int64](d *Decoder) T           { return T(d.Int64()) }
func ReadUintOf[T ~uint](d *Decoder) T             { return T(d.Uint()) }
func ReadUint8Of[T ~uint8](d *Decoder) T           { return T(d.Uint8()) }
func ReadUint16Of[T ~uint16](d *Decoder) T         { return T(d.Uint16()) }
func ReadUint32Of[T ~uint32](d *Decoder) T         { return T(d.Uint32()) }
func ReadUint64Of[T ~uint64](d *Decoder) T         { return T(d.Uint64()) }
func ReadFloat32Of[T ~float32](d *Decoder) T       { return T(d.Float32()) }
func ReadFloat64Of[T ~float64](d *Decoder) T       { return T(d.Float64()) }
func ReadComplex64Of[T ~complex64](d *Decoder) T   { return T(d.Complex64()) }
func ReadComplex128Of[T ~complex128](d *Decoder) T { return T(d.Complex128()) }
func ReadStringOf[T ~string](d *Decoder) T         { return T(d.String()) }
func ReadBlobOf[T ~[]byte](d *Decoder) T           { return T(d.Blob()) }
