package codec_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

func sampleAny() any {
	return map[string]any{
		"list": []any{nil, true, 1, -1.5, float32(0.5), "text", []byte{1}, []any{}, map[string]any{"": nil}},
		"at":   time.Unix(1_700_000_000, 5).UTC(),
		"for":  time.Minute,
	}
}

func TestAny(t *testing.T) {
	var rounds []any
	same := func(list ...any) { rounds = append(rounds, list...) }
	same(nil, true, false, 0, -1, math.MaxInt, math.MinInt, uint64(math.MaxUint64), 1.5, float32(1.5), "", "a", []byte{}, []byte{1},
		[]any{}, map[string]any{}, time.Unix(-5, 7).UTC(), time.Duration(0), time.Duration(math.MinInt64), sampleAny())
	for _, v := range rounds {
		b := encode(t, func(e *codec.Encoder) { codec.WriteAny(e, v) })
		got, err := decode(b, codec.ReadAny)
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	for _, test := range []struct{ wrote, want any }{
		{int8(-8), -8}, {int16(-16), -16}, {int32(-32), -32}, {int64(-64), -64},
		{uint(1), 1}, {uint8(8), 8}, {uint16(16), 16}, {uint32(32), 32}, {uint64(64), 64},
		{[]byte(nil), nil}, {[]any(nil), nil}, {map[string]any(nil), nil},
		{time.Unix(1, 0), time.Unix(1, 0).UTC()},
	} {
		b := encode(t, func(e *codec.Encoder) { codec.WriteAny(e, test.wrote) })
		got, err := decode(b, codec.ReadAny)
		require.NoError(t, err)
		require.Equal(t, test.want, got)
	}
}

func TestAnyRefuses(t *testing.T) {
	loop := []any{nil}
	loop[0] = loop
	type named string
	for text, v := range map[string]any{
		"encode: any holds a codec_test.named, which cannot travel in it; a pointer to a type marked //daffi:message can": named("x"),
		"encode: any holds a []string, which cannot travel in it; a pointer to a type marked //daffi:message can":         []any{[]string{}},
		"encode: any holds a *int, which cannot travel in it; a pointer to a type marked //daffi:message can":             map[string]any{"p": new(int)},
		"encode: nested too deep: more than 64 levels":                                                                    loop,
	} {
		var e codec.Encoder
		codec.WriteAny(&e, v)
		require.EqualError(t, e.Err(), text)
	}
	for text, message := range map[string]string{
		"decode: time expected, extension 5 found at byte 0":          "\xd4\x05\x00",
		"decode: duration of 8 bytes expected, 1 found at byte 0":     "\xd4\x01\x00",
		"decode: string expected, int found at byte 1":                "\x81\x01\x02",
		"decode: value expected, end of message found at byte 0":      "",
		"decode: value expected, invalid byte 0xc1 found at byte 0":   "\xc1",
		"decode: array of length 4294967295 announced, bytes left: 0": "\xdd\xff\xff\xff\xff",
		"decode: the same key twice in a map at byte 5":               "\x82\xa1a\x01\xa1a\x02",
	} {
		v, err := decode([]byte(message), codec.ReadAny)
		require.ErrorContains(t, err, text[:len(text)-1])
		require.Nil(t, v)
	}
	deep := append(make([]byte, 0, 65), "\xc0"...)
	for range 65 {
		deep = append([]byte{0x91}, deep...)
	}
	_, err := decode(deep, codec.ReadAny)
	require.ErrorIs(t, err, codec.ErrDepth)
}

func TestErrorValues(t *testing.T) {
	trip := func(err error) error {
		b := encode(t, func(e *codec.Encoder) { codec.WriteError(e, err) })
		got, failed := decode(b, codec.ReadError)
		require.NoError(t, failed)
		return got
	}
	require.NoError(t, trip(nil))
	require.EqualError(t, trip(errors.New("sold out")), "sold out")
	require.EqualError(t, trip(errors.New("")), "")
	_, err := decode([]byte{1}, codec.ReadError)
	require.ErrorContains(t, err, "string expected, int found")
}
