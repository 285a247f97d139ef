package codec_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

func writeInts(e *codec.Encoder, s []int)  { codec.WriteSlice(e, s, codec.WriteInt) }
func readInts(d *codec.Decoder) []int      { return codec.ReadSlice(d, 1, codec.ReadInt) }
func writeIntPtr(e *codec.Encoder, p *int) { codec.WritePtr(e, p, codec.WriteInt) }
func readIntPtr(d *codec.Decoder) *int     { return codec.ReadPtr(d, codec.ReadInt) }
func readAges(d *codec.Decoder) map[string]int {
	return codec.ReadMap(d, 2, codec.ReadString, codec.ReadInt)
}
func writeAges(e *codec.Encoder, m map[string]int) {
	codec.WriteMap(e, m, codec.WriteString, codec.WriteInt)
}

func TestContainersRoundTrip(t *testing.T) {
	many := make([]int, 70_000)
	ages := map[string]int{}
	for i := range many {
		many[i] = i
		if i < 3000 {
			ages[string(rune('a'+i))] = i
		}
	}
	five := 5
	roundTrip(t, "slice", writeInts, readInts, nil, []int{}, []int{1}, many[:15], many[:16], many[:512], many[:514], many)
	roundTrip(t, "strings", codec.WriteStrings, codec.ReadStrings, nil, []string{}, []string{""}, []string{"a", "b"}, make([]string, 5000))
	roundTrip(t, "map", writeAges, readAges, nil, map[string]int{}, map[string]int{"": 1}, ages)
	roundTrip(t, "pointer", writeIntPtr, readIntPtr, nil, &five)
	roundTrip(t, "nested",
		func(e *codec.Encoder, v [][]int) { codec.WriteSlice(e, v, writeInts) },
		func(d *codec.Decoder) [][]int { return codec.ReadSlice(d, 1, readInts) },
		nil, [][]int{nil, {}, {1, 2}})
	roundTrip(t, "no size",
		func(e *codec.Encoder, v []struct{}) {
			codec.WriteSlice(e, v, func(e *codec.Encoder, _ struct{}) { e.Struct(0); e.Leave() })
		},
		func(d *codec.Decoder) []struct{} {
			return codec.ReadSlice(d, 1, func(d *codec.Decoder) (v struct{}) {
				for range d.Fields(nil) {
				}
				return v
			})
		},
		nil, []struct{}{}, make([]struct{}, 5000))
	roundTrip(t, "arrays",
		func(e *codec.Encoder, v [3]string) { codec.WriteArray(e, v[:], codec.WriteString) },
		func(d *codec.Decoder) (v [3]string) { codec.ReadArrayInto(d, v[:], codec.ReadString); return v },
		[3]string{}, [3]string{"a", "", "c"})
	roundTrip(t, "bytes",
		func(e *codec.Encoder, v [4]byte) { e.Blob(v[:]) },
		func(d *codec.Decoder) (v [4]byte) { d.BlobInto(v[:]); return v },
		[4]byte{}, [4]byte{1, 2, 3, 4})
	roundTrip(t, "struct", writeOrder, readOrder, order{}, sampleOrder())
}

func TestNilAndEmptyOnTheWire(t *testing.T) {
	for want, write := range map[string]func(*codec.Encoder){
		"c0 90": func(e *codec.Encoder) { writeInts(e, nil); writeInts(e, []int{}) },
		"c0 80": func(e *codec.Encoder) { writeAges(e, nil); writeAges(e, map[string]int{}) },
		"c0 00": func(e *codec.Encoder) { writeIntPtr(e, nil); writeIntPtr(e, new(int)) },
		"90 c0": func(e *codec.Encoder) { codec.WriteStrings(e, []string{}); codec.WriteStrings(e, nil) },
		"90":    func(e *codec.Encoder) { codec.WriteArray(e, nil, codec.WriteInt) },
	} {
		require.Equal(t, unhex(t, want), encode(t, write))
	}
}

func TestMapKeysMustBeComparable(t *testing.T) {
	var e codec.Encoder
	nan := 0.0
	nan /= nan
	codec.WriteMap(&e, map[float64]int{nan: 1}, codec.WriteFloat64, codec.WriteInt)
	require.EqualError(t, e.Err(), "encode: NaN as a map's key")
}

func TestArguments(t *testing.T) {
	b := encode(t, func(e *codec.Encoder) { e.Array(3); e.Int(1); e.String("new"); writeOrder(e, sampleOrder()) })
	var d codec.Decoder
	d.Reset(b)
	d.Open()
	require.Equal(t, 1, codec.ReadResult(&d, codec.ReadInt))
	require.NoError(t, d.Close(), "arguments of a newer peer are skipped")

	d.Reset(unhex(t, "91 05"))
	d.Open()
	require.Equal(t, 5, codec.ReadResult(&d, codec.ReadInt))
	require.Equal(t, "", codec.ReadResult(&d, codec.ReadString), "an older peer does not know it")
	require.False(t, d.Next())
	require.NoError(t, d.Close())

	for _, none := range []string{"90", "c0"} {
		d.Reset(unhex(t, none))
		d.Open()
		require.Equal(t, struct{}{}, codec.ReadNone(&d))
		require.False(t, d.Next())
		require.NoError(t, d.Close())
	}

	d.Reset(unhex(t, "91 05 06"))
	d.Open()
	require.EqualError(t, d.Close(), "decode: end of message expected, bytes left: 1 at byte 2")
	d.Reset(nil)
	d.Open()
	require.EqualError(t, d.Close(), "decode: array expected, end of message found at byte 0")
	d.Reset(unhex(t, "92 05 a0"))
	d.Open()
	require.Equal(t, 5, codec.ReadResult(&d, codec.ReadInt))
	require.Equal(t, 0, codec.ReadResult(&d, codec.ReadInt))
	require.EqualError(t, d.Close(), "decode: int expected, string found at byte 2")
}

func TestHandWrittenLoops(t *testing.T) {
	var d codec.Decoder
	d.Reset(unhex(t, "82 a1 61 01 a1 62 92 02 03"))
	got := map[string]int{}
	for range d.Map(2) {
		key := string(d.Key())
		if key == "a" {
			got[key] = d.Int()
			continue
		}
		for range d.Array(1) {
			got[key] += d.Int()
		}
	}
	require.NoError(t, d.Close())
	require.Equal(t, map[string]int{"a": 1, "b": 5}, got)
	d.Reset(unhex(t, "c0 c0"))
	require.Zero(t, d.Map(2))
	require.Zero(t, d.Array(1))
	require.NoError(t, d.Close())
}
