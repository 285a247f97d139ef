package codec_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

func TestStructsOfOtherPeers(t *testing.T) {
	full := line{SKU: "s", Quantity: 2, Price: 0.5, Comment: "c"}
	for what, c := range map[string]struct {
		write func(*codec.Encoder)
		want  line
	}{
		"nil":               {func(e *codec.Encoder) { e.Nil() }, line{}},
		"no fields":         {func(e *codec.Encoder) { e.Map(0) }, line{}},
		"no elements":       {func(e *codec.Encoder) { e.Array(0) }, line{}},
		"by position":       {func(e *codec.Encoder) { e.Array(4); e.String("s"); e.Int(2); e.Float64(0.5); e.String("c") }, full},
		"older by position": {func(e *codec.Encoder) { e.Array(2); e.String("s"); e.Int(2) }, line{SKU: "s", Quantity: 2}},
		"newer by position": {func(e *codec.Encoder) {
			e.Array(6)
			e.String("s")
			e.Int(2)
			e.Float64(0.5)
			e.String("c")
			writeOrder(e, sampleOrder())
			e.Nil()
		}, full},
		"other order": {func(e *codec.Encoder) {
			e.Map(4)
			e.Key("Comment").String("c")
			e.Key("Quantity").Int(2)
			e.Key("SKU").String("s")
			e.Key("Price").Float64(0.5)
		}, full},
		"unknown fields": {func(e *codec.Encoder) {
			e.Map(6)
			writeOrder(e.Key("Order"), sampleOrder())
			e.Key("SKU").String("s")
			e.Key("Quantity").Int(2)
			e.Key("").Nil()
			e.Key("Price").Float64(0.5)
			e.Key("Comment").String("c")
		}, full},
		"missing fields": {func(e *codec.Encoder) { e.Map(1); e.Key("Price").Float64(0.5) }, line{Price: 0.5}},
	} {
		t.Run(what, func(t *testing.T) {
			got, err := decode(encode(t, c.write), readLine)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestFieldsThatTheBodyDoesNotRead(t *testing.T) {
	for _, b := range []string{"82 a1 61 92 01 02 a1 62 07", "92 92 01 02 07"} {
		var d codec.Decoder
		d.Reset(unhex(t, b))
		var got int
		for i := range d.Fields([]string{"a", "b"}) {
			if i == 1 {
				got = d.Int()
			}
		}
		require.NoError(t, d.Close())
		require.Equal(t, 7, got)
	}
}

func TestLeavingTheLoopSkipsTheRest(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, b := range []string{"83 a1 61 01 a1 62 02 a1 63 03", "83 a1 62 02 a1 63 91 03 a0 c0", "93 01 02 90", "95 01 02 03 80 05"} {
		for _, reading := range []bool{true, false} {
			var d codec.Decoder
			d.Reset(unhex(t, b))
			for i := range d.Fields(names) {
				if i == 1 && reading {
					require.Equal(t, 2, d.Int())
				}
				if i == 1 {
					break
				}
			}
			require.NoError(t, d.Close(), b)
		}
	}
}

// The first 64 fields may not come twice, whatever is between them; of later ones the last counts.
func TestRepeatedFields(t *testing.T) {
	names := make([]string, 70)
	for i := range names {
		names[i] = fmt.Sprint("F", i)
	}
	for i, name := range names {
		b := encode(t, func(e *codec.Encoder) {
			e.Map(3)
			e.Key(name).Int(1)
			e.Key("other").Int(2)
			e.Key(name).Int(3)
		})
		var d codec.Decoder
		d.Reset(b)
		var got int
		for j := range d.Fields(names) {
			require.Equal(t, i, j)
			got = d.Int()
		}
		if i < 64 {
			require.ErrorContains(t, d.Close(), "field "+name+" twice")
			continue
		}
		require.NoError(t, d.Close())
		require.Equal(t, 3, got)
	}
}
