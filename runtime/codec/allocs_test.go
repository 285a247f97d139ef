package codec_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

func writeBasics(e *codec.Encoder, now time.Time, strings []string) {
	e.Array(16)
	e.Bool(true)
	e.Int(-70_000)
	e.Int8(1)
	e.Uint8(200)
	e.Uint64(1 << 63)
	e.Float32(1)
	e.Float64(2)
	e.Complex128(1i)
	e.String("a string that takes a while")
	e.Blob([]byte("blob"))
	e.Time(now)
	e.Duration(time.Second)
	e.Nil()
	codec.WriteStrings(e, strings)
	codec.WriteSlice(e, strings, codec.WriteString)
	writeLine(e, line{"sku", 1, 2, ""})
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	var e codec.Encoder
	now, list, o := time.Now(), []string{"a", "b"}, sampleOrder()
	writeBasics(&e, now, list)
	writeOrder(&e, o)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		e.Reset(e.Bytes())
		writeBasics(&e, now, list)
		writeOrder(&e, o)
	}))
	require.NoError(t, e.Err())
}

func TestDecodingBasicValuesDoesNotAllocate(t *testing.T) {
	var e codec.Encoder
	writeBasics(&e, time.Now(), []string{"a", "b"})
	var d codec.Decoder
	var hash [4]byte
	var sum float64
	require.Zero(t, testing.AllocsPerRun(100, func() {
		d.Reset(e.Bytes())
		d.Open()
		for range 8 {
			d.Next()
		}
		d.Bool()
		d.Int()
		d.Int8()
		d.Uint8()
		d.Uint64()
		d.Float32()
		d.Float64()
		d.Complex128()
		d.Key()
		d.BlobInto(hash[:])
		d.Time()
		d.Duration()
		d.Null()
		d.Skip()
		d.Skip()
		for i := range d.Fields(lineFields) {
			switch i {
			case 1:
				sum += float64(d.Int())
			case 2:
				sum += d.Float64()
			}
		}
	}))
	require.NoError(t, d.Err())
	require.False(t, d.More())
}

// Only what the result consists of is allocated: two strings, and the line is on the stack.
func TestDecodingAStructAllocatesItsStrings(t *testing.T) {
	b := encode(t, func(e *codec.Encoder) { writeLine(e, line{"SKU-0000", 1, 2, "gift wrapped"}) })
	var d codec.Decoder
	var v line
	require.Equal(t, 2.0, testing.AllocsPerRun(100, func() {
		d.Reset(b)
		v = readLine(&d)
	}))
	require.Equal(t, 1, v.Quantity)
}
