package codec_test

import (
	"errors"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Texts as users see them. The nil in front makes the offsets worth looking at.
func TestDecodeErrors(t *testing.T) {
	readString := func(d *codec.Decoder) { codec.ReadString(d) }
	readInts := func(d *codec.Decoder) { codec.ReadSlice(d, 1, codec.ReadInt) }
	readMap := func(d *codec.Decoder) { codec.ReadMap(d, 2, codec.ReadFloat64, codec.ReadInt) }
	for _, c := range []struct {
		bytes, want string
		read        func(*codec.Decoder)
	}{
		{"05", "string expected, int found at byte 1", readString},
		{"c0", "string expected, nil found at byte 1", readString},
		{"c4 00", "string expected, binary found at byte 1", readString},
		{"", "string expected, end of message found at byte 1", readString},
		{"d9", "string expected, end of message found at byte 1", readString},
		{"da 00", "string expected, end of message found at byte 1", readString},
		{"a2 61", "string of length 2 announced, bytes left: 1 at byte 1", readString},
		{"db ffffffff 61", "string of length 4294967295 announced, bytes left: 1 at byte 1", readString},
		{"01", "key expected, int found at byte 1", func(d *codec.Decoder) { d.Key() }},
		{"01", "binary expected, int found at byte 1", func(d *codec.Decoder) { d.Blob() }},
		{"c6 ffffffff", "binary of length 4294967295 announced, bytes left: 0 at byte 1", func(d *codec.Decoder) { d.Blob() }},
		{"c4 02 0000", "3 bytes expected, 2 found at byte 1", func(d *codec.Decoder) { d.BlobInto(make([]byte, 3)) }},
		{"c0", "binary expected, nil found at byte 1", func(d *codec.Decoder) { d.BlobInto(make([]byte, 3)) }},
		{"c1", "bool expected, invalid byte 0xc1 found at byte 1", func(d *codec.Decoder) { d.Bool() }},
		{"80", "bool expected, map found at byte 1", func(d *codec.Decoder) { d.Bool() }},
		{"90", "int expected, array found at byte 1", func(d *codec.Decoder) { d.Int() }},
		{"c2", "int8 expected, bool found at byte 1", func(d *codec.Decoder) { d.Int8() }},
		{"ca 00000000", "uint64 expected, float found at byte 1", func(d *codec.Decoder) { d.Uint64() }},
		{"d3 00", "int of length 8 announced, bytes left: 1 at byte 1", func(d *codec.Decoder) { d.Int() }},
		{"cc 80", "128 is out of range for int8 at byte 1", func(d *codec.Decoder) { d.Int8() }},
		{"d1 ff7f", "-129 is out of range for int8 at byte 1", func(d *codec.Decoder) { d.Int8() }},
		{"cd 8000", "32768 is out of range for int16 at byte 1", func(d *codec.Decoder) { d.Int16() }},
		{"ce 80000000", "2147483648 is out of range for int32 at byte 1", func(d *codec.Decoder) { d.Int32() }},
		{"cf ffffffffffffffff", "18446744073709551615 is out of range for int64 at byte 1", func(d *codec.Decoder) { d.Int64() }},
		{"cf 8000000000000000", "9223372036854775808 is out of range for int at byte 1", func(d *codec.Decoder) { d.Int() }},
		{"cf 8000000000000000", "9223372036854775808 is out of range for int64 at byte 1", func(d *codec.Decoder) { d.Duration() }},
		{"ff", "-1 is out of range for uint at byte 1", func(d *codec.Decoder) { d.Uint() }},
		{"ff", "-1 is out of range for uint64 at byte 1", func(d *codec.Decoder) { d.Uint64() }},
		{"d3 8000000000000000", "-9223372036854775808 is out of range for uint64 at byte 1", func(d *codec.Decoder) { d.Uint64() }},
		{"cd 0100", "256 is out of range for uint8 at byte 1", func(d *codec.Decoder) { d.Uint8() }},
		{"ce 00010000", "65536 is out of range for uint16 at byte 1", func(d *codec.Decoder) { d.Uint16() }},
		{"cf 0000000100000000", "4294967296 is out of range for uint32 at byte 1", func(d *codec.Decoder) { d.Uint32() }},
		{"a0", "float64 expected, string found at byte 1", func(d *codec.Decoder) { d.Float64() }},
		{"cb 00", "float of length 8 announced, bytes left: 1 at byte 1", func(d *codec.Decoder) { d.Float64() }},
		{"ca 0000", "float of length 4 announced, bytes left: 2 at byte 1", func(d *codec.Decoder) { d.Float32() }},
		{"cb 3fb999999999999a", "0.1 does not fit float32 at byte 1", func(d *codec.Decoder) { d.Float32() }},
		{"cb 7fefffffffffffff", "1.7976931348623157e+308 does not fit float32 at byte 1", func(d *codec.Decoder) { d.Float32() }},
		{"ce 01000001", "16777217 is out of range for float32 at byte 1", func(d *codec.Decoder) { d.Float32() }},
		{"cf 0020000000000001", "9007199254740993 is out of range for float64 at byte 1", func(d *codec.Decoder) { d.Float64() }},
		{"cf ffffffffffffffff", "18446744073709551615 is out of range for float64 at byte 1", func(d *codec.Decoder) { d.Float64() }},
		{"d3 8000000000000000", "-9223372036854775808 is out of range for float64 at byte 1", func(d *codec.Decoder) { d.Float64() }},
		{"d2 0000", "int of length 4 announced, bytes left: 2 at byte 1", func(d *codec.Decoder) { d.Float64() }},
		{"01", "complex64 expected, int found at byte 1", func(d *codec.Decoder) { d.Complex64() }},
		{"91 01", "complex128 is an array of 2, 1 elements found at byte 1", func(d *codec.Decoder) { d.Complex128() }},
		{"92 01 c0", "float64 expected, nil found at byte 3", func(d *codec.Decoder) { d.Complex128() }},
		{"01", "time expected, int found at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"d6 05 00000000", "time expected, extension 5 found at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"d6 ff 0000", "extension of length 5 announced, bytes left: 3 at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"d4 ff 00", "time of 4, 8 or 12 bytes expected, 1 found at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"c7 00 ff", "time of 4, 8 or 12 bytes expected, 0 found at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"c7 00", "extension of length 1 announced, bytes left: 0 at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"c9 ffffffff ff", "extension of length 4294967296 announced, bytes left: 1 at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"d7 ff ee6b280000000000", "1000000000 is out of range for nanoseconds at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"c7 0c ff ffffffff 0000000000000000", "4294967295 is out of range for nanoseconds at byte 1", func(d *codec.Decoder) { d.Time() }},
		{"80", "array expected, map found at byte 1", readInts},
		{"93 01 02", "array of length 3 announced, bytes left: 2 at byte 1", readInts},
		{"92 01 a0", "int expected, string found at byte 3", readInts},
		{"92 01 02", "array of length 2 announced, bytes left: 2 at byte 1", func(d *codec.Decoder) { d.Array(6) }},
		{"dd ffffffff", "array of length 4294967295 announced, bytes left: 0 at byte 1", func(d *codec.Decoder) { d.Array(0) }},
		{"01", "array expected, int found at byte 1", func(d *codec.Decoder) { codec.ReadStrings(d) }},
		{"92 01 02", "array of 3 expected, 2 elements found at byte 1", func(d *codec.Decoder) { codec.ReadArrayInto(d, make([]int, 3), codec.ReadInt) }},
		{"c0", "array expected, nil found at byte 1", func(d *codec.Decoder) { codec.ReadArrayInto(d, make([]int, 3), codec.ReadInt) }},
		{"91 00", "map expected, array found at byte 1", readMap},
		{"82 00 00", "map of length 2 announced, bytes left: 2 at byte 1", readMap},
		{"82 01 02 01 02", "the same key twice in a map at byte 6", readMap},
		{"82 ca 7fc00000 01 ca 7fc00000 02", "NaN as a map's key at byte 8", readMap},
		{"df ffffffff", "map of length 4294967295 announced, bytes left: 0 at byte 1", func(d *codec.Decoder) { d.Map(0) }},
		{"05", "struct expected, int found at byte 1", func(d *codec.Decoder) { readLine(d) }},
		{"81 05 05", "field name expected, int found at byte 2", func(d *codec.Decoder) { readLine(d) }},
		{"81 c4 03 534b55 05", "field name expected, binary found at byte 2", func(d *codec.Decoder) { readLine(d) }},
		{"82 a3 534b55 a0 a3 534b55 a0", "field SKU twice at byte 7", func(d *codec.Decoder) { readLine(d) }},
		{"83 a3 534b55 a0", "map of length 3 announced, bytes left: 5 at byte 1", func(d *codec.Decoder) { readLine(d) }},
		{"94 a0 01", "array of length 4 announced, bytes left: 2 at byte 1", func(d *codec.Decoder) { readLine(d) }},
		{"92 a0 a0", "int expected, string found at byte 3", func(d *codec.Decoder) { readLine(d) }},
		{"", "value expected, end of message found at byte 1", func(d *codec.Decoder) { d.Skip() }},
		{"c1", "value expected, invalid byte 0xc1 found at byte 1", func(d *codec.Decoder) { d.Skip() }},
		{"92 01 c1", "value expected, invalid byte 0xc1 found at byte 3", func(d *codec.Decoder) { d.Skip() }},
		{"a3 6161", "string of length 3 announced, bytes left: 2 at byte 1", func(d *codec.Decoder) { d.Skip() }},
		{"cb 00", "float of length 8 announced, bytes left: 1 at byte 1", func(d *codec.Decoder) { d.Skip() }},
		{"c9 ffffffff ff", "extension of length 4294967296 announced, bytes left: 1 at byte 1", func(d *codec.Decoder) { d.Skip() }},
		{"df 80000000 0000", "map of length 2147483648 announced, bytes left: 2 at byte 1", func(d *codec.Decoder) { d.Skip() }},
		{"01 02 03", "end of message expected, bytes left: 2 at byte 2", func(d *codec.Decoder) { d.Int() }},
		{"a5", "unknown colour", func(d *codec.Decoder) { d.Fail(errors.New("unknown colour")) }},
	} {
		t.Run(c.want, func(t *testing.T) {
			var d codec.Decoder
			d.Reset(append([]byte{0xc0}, unhex(t, c.bytes)...))
			require.True(t, d.Null())
			c.read(&d)
			err := d.Close()
			require.EqualError(t, err, "decode: "+c.want)
			require.ErrorIs(t, err, codec.ErrDecode)
			requireFailed(t, &d)
		})
	}
}

// requireFailed: after an error every read gives a zero value and the error stays.
func requireFailed(t *testing.T, d *codec.Decoder) {
	t.Helper()
	err := d.Err()
	require.Error(t, err)
	require.False(t, d.More())
	require.False(t, d.Null())
	require.False(t, d.Next())
	require.Zero(t, d.Array(1))
	require.Zero(t, d.Map(2))
	require.Zero(t, d.Key())
	require.Zero(t, d.Bool())
	require.Zero(t, d.Int())
	require.Zero(t, d.Int64())
	require.Zero(t, d.Uint8())
	require.Zero(t, d.Float32())
	require.Zero(t, d.Float64())
	require.Zero(t, d.Complex64())
	require.Zero(t, d.Complex128())
	require.Zero(t, d.String())
	require.Zero(t, d.Blob())
	require.Zero(t, d.Time())
	require.Zero(t, d.Duration())
	require.Zero(t, readLine(d))
	require.Zero(t, codec.ReadStrings(d))
	require.Zero(t, codec.ReadSlice(d, 1, codec.ReadInt))
	require.Zero(t, codec.ReadMap(d, 2, codec.ReadInt, codec.ReadInt))
	require.Zero(t, codec.ReadPtr(d, codec.ReadInt))
	require.Zero(t, codec.ReadResult(d, codec.ReadInt))
	d.Skip()
	d.Open()
	d.Fail(io.EOF)
	require.Equal(t, err, d.Err())
	require.Equal(t, err, d.Close())
}

func TestFailKeepsTheCause(t *testing.T) {
	var d codec.Decoder
	d.Reset([]byte{1})
	d.Fail(nil)
	require.NoError(t, d.Err())
	d.Fail(io.EOF)
	require.ErrorIs(t, d.Err(), io.EOF)
	require.ErrorIs(t, d.Err(), codec.ErrDecode)
	d.Reset([]byte{1})
	require.NoError(t, d.Err())
	require.Equal(t, 1, d.Int())

	var e codec.Encoder
	e.Fail(io.EOF)
	require.EqualError(t, e.Err(), "encode: EOF")
	require.ErrorIs(t, e.Err(), io.EOF)
	require.ErrorIs(t, e.Err(), codec.ErrEncode)
}

// An int has 32 bits on some machines.
func TestIntIsRangeChecked(t *testing.T) {
	for _, v := range []int64{math.MinInt32 - 1, math.MaxInt32 + 1} {
		_, err := decode(encode(t, func(e *codec.Encoder) { e.Int64(v) }), codec.ReadInt)
		if math.MaxInt == math.MaxInt32 {
			require.ErrorContains(t, err, "is out of range for int at byte 0")
		} else {
			require.NoError(t, err)
		}
	}
}
