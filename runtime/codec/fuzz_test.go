package codec_test

import (
	"bytes"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// reads are what a program, given as bytes, chooses from.
var reads = []func(*codec.Decoder){
	(*codec.Decoder).Skip,
	(*codec.Decoder).Open,
	func(d *codec.Decoder) { d.Next() },
	func(d *codec.Decoder) { d.Null() },
	func(d *codec.Decoder) { d.Array(1) },
	func(d *codec.Decoder) { d.Map(2) },
	func(d *codec.Decoder) { d.Key() },
	func(d *codec.Decoder) { d.Bool() },
	func(d *codec.Decoder) { d.Int() },
	func(d *codec.Decoder) { d.Int8() },
	func(d *codec.Decoder) { d.Int16() },
	func(d *codec.Decoder) { d.Int32() },
	func(d *codec.Decoder) { d.Int64() },
	func(d *codec.Decoder) { d.Uint() },
	func(d *codec.Decoder) { d.Uint8() },
	func(d *codec.Decoder) { d.Uint16() },
	func(d *codec.Decoder) { d.Uint32() },
	func(d *codec.Decoder) { d.Uint64() },
	func(d *codec.Decoder) { d.Float32() },
	func(d *codec.Decoder) { d.Float64() },
	func(d *codec.Decoder) { d.Complex64() },
	func(d *codec.Decoder) { d.Complex128() },
	func(d *codec.Decoder) { codec.ReadString(d) },
	func(d *codec.Decoder) { d.Blob() },
	func(d *codec.Decoder) { d.BlobInto(make([]byte, 2)) },
	func(d *codec.Decoder) { d.Time() },
	func(d *codec.Decoder) { d.Duration() },
	func(d *codec.Decoder) { codec.ReadStrings(d) },
	func(d *codec.Decoder) { codec.ReadArrayInto(d, make([]int, 2), codec.ReadInt) },
	func(d *codec.Decoder) { codec.ReadSlice(d, 1, readOrder) },
	func(d *codec.Decoder) { codec.ReadSlice(d, 1, readLists) },
	func(d *codec.Decoder) { codec.ReadSlice(d, 0, codec.ReadNone) },
	func(d *codec.Decoder) { codec.ReadSlice(d, 1, readAges) },
	func(d *codec.Decoder) { codec.ReadMap(d, 2, codec.ReadFloat64, readLists) },
	func(d *codec.Decoder) { readOrder(d) },
	func(d *codec.Decoder) { readTree(d) },
	func(d *codec.Decoder) { readChain(d) },
	func(d *codec.Decoder) { readLoop(d) },
	func(d *codec.Decoder) { codec.ReadAny(d) },
	func(d *codec.Decoder) { codec.ReadError(d) },
	func(d *codec.Decoder) { codec.ReadSlice(d, 1, codec.ReadError) },
	func(d *codec.Decoder) { codec.ReadBinary[netip.Addr](d) },
	func(d *codec.Decoder) { codec.ReadSlice(d, 1, codec.ReadText[netip.Addr]) },
	func(d *codec.Decoder) { codec.ReadMsg[pair](d) },
}

func FuzzDecoder(f *testing.F) {
	var e codec.Encoder
	writeOrder(&e, sampleOrder())
	for i := range reads {
		f.Add([]byte{byte(i)}, e.Bytes())
	}
	writeBasics(&e, time.Unix(1, 2), []string{"a"})
	f.Add([]byte{34, 1, 7, 8, 9, 14, 17, 18, 19, 21, 22, 23, 25, 26, 3, 27, 27, 0}, e.Bytes())
	f.Add([]byte{0}, []byte("\x81\xa1b\xdd\xff\xff\xff\xff"))
	f.Add([]byte{35}, []byte("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"))
	e.Reset(nil)
	codec.WriteAny(&e, sampleAny())
	f.Add([]byte{38}, e.Bytes())
	f.Add([]byte{39, 40, 41, 42, 43}, []byte("\xa1x\x92\xc0\xa1y\xc4\x041234\x91\xa71.2.3.4\x92\x01\xa1z"))
	f.Fuzz(func(t *testing.T, program, message []byte) {
		program = program[:min(len(program), 256)]
		run := func() {
			var d codec.Decoder
			d.Reset(message)
			for _, op := range program {
				reads[int(op)%len(reads)](&d)
			}
			failed := d.Err() != nil
			err := d.Close()
			if failed && err == nil {
				t.Fatal("Close lost the error")
			}
		}
		got := allocated(run)
		for try := 0; got > allowed(message) && try < 3; try++ { // others allocate as well
			got = allocated(run)
		}
		if got > allowed(message) {
			t.Fatalf("%d bytes allocated for %d, %d are allowed", got, len(message), allowed(message))
		}
	})
}

// What is read as any is written and read as the same any, and it is no larger than it may be.
func FuzzAny(f *testing.F) {
	for _, v := range []any{sampleAny(), nil, []any{}, map[string]any{}, time.Unix(1, 2).UTC(), time.Hour, float32(1), uint64(math.MaxUint64)} {
		var e codec.Encoder
		codec.WriteAny(&e, v)
		f.Add(e.Bytes())
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		first, err := decode(message, codec.ReadAny)
		if err != nil {
			require.ErrorIs(t, err, codec.ErrDecode)
			return
		}
		var e codec.Encoder
		codec.WriteAny(&e, first)
		require.NoError(t, e.Err())
		second, err := decode(e.Bytes(), codec.ReadAny)
		require.NoError(t, err)
		if !bytes.Contains(message, []byte{0xca}) && !bytes.Contains(message, []byte{0xcb}) { // NaN is not equal to itself
			require.Equal(t, first, second)
		}
	})
}

// Whatever can be read is written, and reads the same again.
func FuzzRoundTrip(f *testing.F) {
	var e codec.Encoder
	writeOrder(&e, sampleOrder())
	f.Add(e.Bytes(), "text", int64(-1), uint64(1)<<63, 0.5, float32(0.1), []byte{0})
	f.Add([]byte{0x80}, "\xff", int64(math.MinInt64), uint64(0), math.Inf(1), float32(0), []byte(nil))
	f.Fuzz(func(t *testing.T, message []byte, s string, i int64, u uint64, f64 float64, f32 float32, p []byte) {
		var e codec.Encoder
		at := time.Unix(i, int64(u%1e9)).UTC()
		e.String(s)
		e.Int64(i)
		e.Uint64(u)
		e.Float64(f64)
		e.Float32(f32)
		e.Blob(p)
		e.Time(at)
		require.NoError(t, e.Err())
		var d codec.Decoder
		d.Reset(e.Bytes())
		require.Equal(t, s, d.String())
		require.Equal(t, i, d.Int64())
		require.Equal(t, u, d.Uint64())
		require.Equal(t, math.Float64bits(f64), math.Float64bits(d.Float64()))
		if got := d.Float32(); f32 == f32 {
			require.Equal(t, math.Float32bits(f32), math.Float32bits(got))
		}
		got := d.Blob()
		require.Equal(t, p == nil, got == nil)
		require.Equal(t, string(p), string(got))
		require.Equal(t, at, d.Time())
		require.NoError(t, d.Close())

		first, err := decode(message, readOrder)
		if err != nil {
			require.ErrorIs(t, err, codec.ErrDecode)
			return
		}
		e.Reset(e.Bytes())
		writeOrder(&e, first)
		require.NoError(t, e.Err())
		second, err := decode(e.Bytes(), readOrder)
		require.NoError(t, err)
		for i := range first.Lines { // NaN is not equal to itself
			if i < len(second.Lines) && first.Lines[i].Price != first.Lines[i].Price {
				first.Lines[i].Price, second.Lines[i].Price = 0, 0
			}
		}
		if first.Parent == nil { // whose lines may hold NaN as well
			require.True(t, reflect.DeepEqual(first, second), "%+v\n%+v", first, second)
		}
	})
}
