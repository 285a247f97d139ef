package codec_test

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// encode gives what write writes.
func encode(t testing.TB, write func(*codec.Encoder)) []byte {
	t.Helper()
	var e codec.Encoder
	write(&e)
	require.NoError(t, e.Err())
	return e.Bytes()
}

// decode reads a message that is one value.
func decode[T any](b []byte, read func(*codec.Decoder) T) (T, error) {
	var d codec.Decoder
	d.Reset(b)
	v := read(&d)
	return v, d.Close()
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func roundTrip[T any](t *testing.T, name string, write func(*codec.Encoder, T), read func(*codec.Decoder) T, values ...T) {
	t.Run(name, func(t *testing.T) {
		for _, v := range values {
			b := encode(t, func(e *codec.Encoder) { write(e, v) })
			got, err := decode(b, read)
			require.NoError(t, err, "%v as %x", v, b)
			require.Equal(t, v, got, "%x", b)
			var d codec.Decoder
			d.Reset(b)
			d.Skip()
			require.NoError(t, d.Close(), "skip %x", b)
		}
	})
}

type (
	flag     bool
	count    int
	kind8    int8
	kind16   int16
	kind32   int32
	kind64   int64
	ucount   uint
	ukind8   uint8
	ukind16  uint16
	ukind32  uint32
	ukind64  uint64
	ratio32  float32
	ratio64  float64
	phase64  complex64
	phase128 complex128
	name     string
	digest   []byte
)

func TestRoundTrip(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	roundTrip(t, "bool", codec.WriteBool, codec.ReadBool, false, true)
	roundTrip(t, "int", codec.WriteInt, codec.ReadInt, math.MinInt, -1, 0, 1, math.MaxInt)
	roundTrip(t, "int8", codec.WriteInt8, codec.ReadInt8, math.MinInt8, -33, -32, -1, 0, 1, math.MaxInt8)
	roundTrip(t, "int16", codec.WriteInt16, codec.ReadInt16, math.MinInt16, math.MinInt8-1, 0, 128, 255, 256, math.MaxInt16)
	roundTrip(t, "int32", codec.WriteInt32, codec.ReadInt32, math.MinInt32, math.MinInt16-1, 0, math.MaxInt16+1, math.MaxInt32)
	roundTrip(t, "int64", codec.WriteInt64, codec.ReadInt64, math.MinInt64, math.MinInt32-1, 0, math.MaxInt32+1, math.MaxInt64)
	roundTrip(t, "uint", codec.WriteUint, codec.ReadUint, 0, 1, math.MaxUint)
	roundTrip(t, "uint8", codec.WriteUint8, codec.ReadUint8, 0, 127, 128, math.MaxUint8)
	roundTrip(t, "uint16", codec.WriteUint16, codec.ReadUint16, 0, math.MaxUint8+1, math.MaxUint16)
	roundTrip(t, "uint32", codec.WriteUint32, codec.ReadUint32, 0, math.MaxUint16+1, math.MaxUint32)
	roundTrip(t, "uint64", codec.WriteUint64, codec.ReadUint64, 0, math.MaxUint32+1, math.MaxInt64, math.MaxInt64+1, math.MaxUint64)
	roundTrip(t, "float32", codec.WriteFloat32, codec.ReadFloat32,
		0, 0.1, -math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.Inf(1)), float32(math.Inf(-1)))
	roundTrip(t, "float64", codec.WriteFloat64, codec.ReadFloat64,
		0, 0.1, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1))
	roundTrip(t, "complex64", codec.WriteComplex64, codec.ReadComplex64, 0, 1-2i, complex(math.MaxFloat32, 0))
	roundTrip(t, "complex128", codec.WriteComplex128, codec.ReadComplex128, 0, 1-2i, complex(0, math.MaxFloat64))
	roundTrip(t, "string", codec.WriteString, codec.ReadString,
		"", "a", "größe", "\xff\xfe not UTF-8 \x00", long[:31], long[:32], long[:255], long[:256], long[:65535], long[:65536], long)
	roundTrip(t, "blob", codec.WriteBlob, codec.ReadBlob, nil, []byte{}, []byte{0}, []byte(long[:255]), []byte(long[:256]), []byte(long))
	roundTrip(t, "duration", codec.WriteDuration, codec.ReadDuration, math.MinInt64, -time.Second, 0, time.Hour, math.MaxInt64)
	roundTrip(t, "time", codec.WriteTime, codec.ReadTime,
		time.Time{},
		time.Unix(0, 0).UTC(), time.Unix(0, 1).UTC(), time.Unix(-1, 999_999_999).UTC(),
		time.Unix(math.MaxUint32, 0).UTC(), time.Unix(math.MaxUint32, 1).UTC(), time.Unix(math.MaxUint32+1, 0).UTC(),
		time.Unix(1<<34-1, 999_999_999).UTC(), time.Unix(1<<34, 0).UTC(),
		time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(300_000, 12, 31, 23, 59, 59, 1, time.UTC),
		time.Unix(math.MaxInt64, 999_999_999).UTC(), time.Unix(math.MinInt64, 0).UTC())

	roundTrip(t, "named", codec.WriteBoolOf[flag], codec.ReadBoolOf[flag], true)
	roundTrip(t, "named", codec.WriteIntOf[count], codec.ReadIntOf[count], math.MinInt)
	roundTrip(t, "named", codec.WriteInt8Of[kind8], codec.ReadInt8Of[kind8], math.MinInt8)
	roundTrip(t, "named", codec.WriteInt16Of[kind16], codec.ReadInt16Of[kind16], math.MinInt16)
	roundTrip(t, "named", codec.WriteInt32Of[kind32], codec.ReadInt32Of[kind32], math.MinInt32)
	roundTrip(t, "named", codec.WriteInt64Of[kind64], codec.ReadInt64Of[kind64], math.MinInt64)
	roundTrip(t, "named", codec.WriteUintOf[ucount], codec.ReadUintOf[ucount], math.MaxUint)
	roundTrip(t, "named", codec.WriteUint8Of[ukind8], codec.ReadUint8Of[ukind8], math.MaxUint8)
	roundTrip(t, "named", codec.WriteUint16Of[ukind16], codec.ReadUint16Of[ukind16], math.MaxUint16)
	roundTrip(t, "named", codec.WriteUint32Of[ukind32], codec.ReadUint32Of[ukind32], math.MaxUint32)
	roundTrip(t, "named", codec.WriteUint64Of[ukind64], codec.ReadUint64Of[ukind64], math.MaxUint64)
	roundTrip(t, "named", codec.WriteFloat32Of[ratio32], codec.ReadFloat32Of[ratio32], 0.1)
	roundTrip(t, "named", codec.WriteFloat64Of[ratio64], codec.ReadFloat64Of[ratio64], 0.1)
	roundTrip(t, "named", codec.WriteComplex64Of[phase64], codec.ReadComplex64Of[phase64], 1i)
	roundTrip(t, "named", codec.WriteComplex128Of[phase128], codec.ReadComplex128Of[phase128], 1i)
	roundTrip(t, "named", codec.WriteStringOf[name], codec.ReadStringOf[name], "Ada")
	roundTrip(t, "named", codec.WriteBlobOf[digest], codec.ReadBlobOf[digest], nil, digest{}, digest{1})
}

func TestNaN(t *testing.T) {
	for _, v := range []string{"ca 7fc00000", "cb 7ff8000000000000"} {
		f64, err := decode(unhex(t, v), codec.ReadFloat64)
		require.NoError(t, err)
		require.True(t, math.IsNaN(f64))
		f32, err := decode(unhex(t, v), codec.ReadFloat32)
		require.NoError(t, err)
		require.True(t, math.IsNaN(float64(f32)))
	}
	negativeZero := math.Copysign(0, -1)
	got, err := decode(encode(t, func(e *codec.Encoder) { e.Float64(negativeZero) }), codec.ReadFloat64)
	require.NoError(t, err)
	require.True(t, math.Signbit(got))
}

// What is on the wire is an interface, too.
func TestWireForm(t *testing.T) {
	for want, write := range map[string]func(*codec.Encoder){
		"c0":                                 (*codec.Encoder).Nil,
		"c3":                                 func(e *codec.Encoder) { e.Bool(true) },
		"7f":                                 func(e *codec.Encoder) { e.Int(127) },
		"d1 0080":                            func(e *codec.Encoder) { e.Int(128) },
		"cc 80":                              func(e *codec.Encoder) { e.Uint(128) },
		"e0":                                 func(e *codec.Encoder) { e.Int8(-32) },
		"d0 df":                              func(e *codec.Encoder) { e.Int64(-33) },
		"ca 3f800000":                        func(e *codec.Encoder) { e.Float32(1) },
		"cb 3ff0000000000000":                func(e *codec.Encoder) { e.Float64(1) },
		"92 ca3f800000 ca00000000":           func(e *codec.Encoder) { e.Complex64(1) },
		"a2 6869":                            func(e *codec.Encoder) { e.String("hi") },
		"c4 02 6869":                         func(e *codec.Encoder) { e.Blob([]byte("hi")) },
		"c4 00":                              func(e *codec.Encoder) { e.Blob([]byte{}) },
		"d6 ff 00000001":                     func(e *codec.Encoder) { e.Time(time.Unix(1, 0)) },
		"d7 ff 0000000400000001":             func(e *codec.Encoder) { e.Time(time.Unix(1, 1)) },
		"c7 0c ff 00000000 fffffff1886e0900": func(e *codec.Encoder) { e.Time(time.Time{}) },
		"9f":                                 func(e *codec.Encoder) { e.Array(15) },
		"dc 0010":                            func(e *codec.Encoder) { e.Array(16) },
		"dd 00010000":                        func(e *codec.Encoder) { e.Array(65536) },
		"8f":                                 func(e *codec.Encoder) { e.Map(15) },
		"de 0010":                            func(e *codec.Encoder) { e.Map(16) },
		"df 00010000":                        func(e *codec.Encoder) { e.Map(65536) },
		"81 a1 61 01":                        func(e *codec.Encoder) { e.Struct(1); e.Key("a").Int(1); e.Leave() },
	} {
		require.Equal(t, unhex(t, want), encode(t, write))
	}
}

// Other encoders choose other forms of the same value.
func TestAcceptedForms(t *testing.T) {
	for _, b := range []string{"05", "cc 05", "cd 0005", "ce 00000005", "cf 0000000000000005",
		"d0 05", "d1 0005", "d2 00000005", "d3 0000000000000005"} {
		require.Equal(t, 5, must(decode(unhex(t, b), codec.ReadInt)), b)
		require.Equal(t, uint8(5), must(decode(unhex(t, b), codec.ReadUint8)), b)
		require.Equal(t, int64(5), must(decode(unhex(t, b), codec.ReadInt64)), b)
		require.Equal(t, 5.0, must(decode(unhex(t, b), codec.ReadFloat64)), b)
		require.Equal(t, float32(5), must(decode(unhex(t, b), codec.ReadFloat32)), b)
	}
	for _, b := range []string{"ff", "d0 ff", "d1 ffff", "d2 ffffffff", "d3 ffffffffffffffff"} {
		require.Equal(t, int8(-1), must(decode(unhex(t, b), codec.ReadInt8)), b)
		require.Equal(t, -1.0, must(decode(unhex(t, b), codec.ReadFloat64)), b)
	}
	require.Equal(t, 1.5, must(decode(unhex(t, "ca 3fc00000"), codec.ReadFloat64)))
	require.Equal(t, float32(1.5), must(decode(unhex(t, "cb 3ff8000000000000"), codec.ReadFloat32)))
	require.Equal(t, float32(math.Inf(1)), must(decode(unhex(t, "cb 7ff0000000000000"), codec.ReadFloat32)))
	require.Equal(t, 1+2i, must(decode(unhex(t, "dc 0002 01 ca 40000000"), codec.ReadComplex128)))
	for _, b := range []string{"a1 78", "d9 01 78", "da 0001 78", "db 00000001 78"} {
		require.Equal(t, "x", must(decode(unhex(t, b), codec.ReadString)), b)
		require.Equal(t, []byte("x"), must(decode(unhex(t, b), codec.ReadBlob)), b)
	}
	for _, b := range []string{"c4 01 78", "c5 0001 78", "c6 00000001 78"} {
		require.Equal(t, []byte("x"), must(decode(unhex(t, b), codec.ReadBlob)), b)
	}
	for _, b := range []string{"d6 ff 00000001", "c7 04 ff 00000001", "d7 ff 0000000000000001", "c7 08 ff 0000000000000001",
		"c7 0c ff 00000000 0000000000000001", "c8 000c ff 00000000 0000000000000001"} {
		require.Equal(t, time.Unix(1, 0).UTC(), must(decode(unhex(t, b), codec.ReadTime)), b)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTimeKeepsTheInstant(t *testing.T) {
	now := time.Now().In(time.FixedZone("elsewhere", 3600))
	got := must(decode(encode(t, func(e *codec.Encoder) { e.Time(now) }), codec.ReadTime))
	require.True(t, now.Equal(got))
	require.Equal(t, time.UTC, got.Location())
}

// A decoded value stands on its own: the message's buffer is used again.
func TestResultsDoNotReferToTheMessage(t *testing.T) {
	b := encode(t, func(e *codec.Encoder) { e.String("abc"); e.Blob([]byte("def")) })
	var d codec.Decoder
	d.Reset(b)
	s, p := d.String(), d.Blob()
	clear(b)
	require.Equal(t, "abc", s)
	require.Equal(t, []byte("def"), p)
}

func TestEncoder(t *testing.T) {
	var e codec.Encoder
	e.String("first")
	require.Equal(t, 6, e.Len())
	before := &e.Bytes()[0]
	e.Reset(e.Bytes())
	require.Zero(t, e.Len())
	e.Raw([]byte{1, 2})
	require.Equal(t, []byte{1, 2}, e.Bytes())
	require.Same(t, before, &e.Bytes()[0], "the capacity is kept")

	e.Fail(nil)
	require.NoError(t, e.Err())
	e.Array(-1)
	require.EqualError(t, e.Err(), "encode: an array cannot have length -1")
	require.ErrorIs(t, e.Err(), codec.ErrEncode)
	first := e.Err()
	e.Fail(errors.New("second"))
	require.Equal(t, first, e.Err(), "the first error sticks")
	e.Reset(nil)
	require.NoError(t, e.Err())
	e.Map(-1)
	require.EqualError(t, e.Err(), "encode: a map cannot have length -1")
	e.Reset(nil)
	e.Fail(first)
	require.Equal(t, first, e.Err(), "not wrapped twice")
}
