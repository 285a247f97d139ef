package dynamic

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
)

// parsed is the type that a signature's first argument has.
func parsed(t testing.TB, text string) *signature.Type {
	t.Helper()
	m, err := signature.Parse("(" + text + ")()")
	require.NoError(t, err)
	return m.Params[0]
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		word string
		v    any
		want any // nil: does not fit
	}{
		{"int8", 127, int8(127)}, {"int8", 128, nil}, {"int8", -128, int8(-128)}, {"int8", -129, nil}, {"int8", uint64(1 << 63), nil},
		{"uint8", 255, uint8(255)}, {"uint8", 256, nil}, {"uint8", -1, nil}, {"uint16", 1 << 16, nil}, {"uint32", int64(1<<32 - 1), uint32(1<<32 - 1)},
		{"int64", int64(-1 << 63), int64(-1 << 63)}, {"int64", uint64(1<<63 - 1), int64(1<<63 - 1)}, {"int64", uint64(1 << 63), nil}, {"int", uint64(1 << 63), nil},
		{"uint64", uint64(1<<64 - 1), uint64(1<<64 - 1)}, {"uint64", -1, nil}, {"uint", int64(-1 << 63), nil},
		{"int", 2.0, 2}, {"int", -2.0, -2}, {"int", 2.5, nil}, {"int", float64(1 << 60), nil}, {"int", "2", nil}, {"int", true, nil}, {"int", nil, nil},
		{"float64", 1 << 53, float64(1 << 53)}, {"float64", 1<<53 + 1, nil}, {"float64", int64(-1 << 63), nil}, {"float64", float32(0.5), 0.5}, {"float32", 1e39, nil}, {"float32", 0.1, float32(0.1)},
		{"float64", "1", nil}, {"complex64", complex(1, 2), complex64(complex(1, 2))}, {"complex128", 1.0, nil}, {"later", 5, nil},
	} {
		var e codec.Encoder
		p := Write(&e, parsed(t, c.word), c.v)
		if c.want == nil {
			require.NotNil(t, p, "%s of %v", c.word, c.v)
			continue
		}
		require.Nil(t, p, "%s of %v", c.word, c.v)
		require.NoError(t, e.Err())
		var d codec.Decoder
		d.Reset(e.Bytes())
		require.Equal(t, c.want, Read(&d, parsed(t, c.word)))
		require.NoError(t, d.Close())
	}
}

// FuzzWrite writes any value as any type: it never panics, and what could be written can be read, and written again.
func FuzzWrite(f *testing.F) {
	any := func(v any) []byte {
		var e codec.Encoder
		codec.WriteAny(&e, v)
		return e.Bytes()
	}
	f.Add("[]{A int;B map[string][]*$0}", any([]interface{}{map[string]interface{}{"A": 1, "B": map[string]interface{}{"x": []interface{}{nil}}}}))
	f.Add("map[int8]float32", any(map[string]interface{}{"1": 0.5}))
	f.Add("[2]time", any([]interface{}{"2024-01-02T03:04:05Z", time.Unix(1, 0)}))
	f.Add("[2]byte", any([]byte("ab")))
	f.Add("*duration", any(time.Second))
	f.Add("@json", any("{}"))
	f.Add("@raw", any(nil))
	f.Add("error", any("x"))
	f.Add("msgpack", any([]byte{0xc0}))
	f.Add("map[any]any", any(map[string]interface{}{"1": 0.5}))
	f.Fuzz(func(t *testing.T, sig string, value []byte) {
		m, err := signature.Parse("(" + sig + ")()")
		if err != nil || len(m.Params) != 1 || strings.Contains(sig, "@") && !strings.Contains("@raw@text@json", sig) {
			return
		}
		var d codec.Decoder
		d.Reset(value)
		v := codec.ReadAny(&d)
		if d.Err() != nil {
			return
		}
		for range 2 {
			var e codec.Encoder
			if p := Write(&e, m.Params[0], v); p != nil || e.Err() != nil {
				return
			}
			d.Reset(e.Bytes())
			v = Read(&d, m.Params[0])
			if err := d.Close(); err != nil {
				if text := err.Error(); strings.Contains(text, "cannot be read without generated code") || strings.Contains(text, "msgpack") || strings.Contains(text, "budget") || strings.Contains(text, "memory") || strings.Contains(text, "twice") {
					return
				}
				t.Fatalf("%s: %v of % x", sig, err, e.Bytes())
			}
		}
	})
}
