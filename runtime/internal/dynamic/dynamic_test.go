package dynamic

import (
	"fmt"
	"runtime"
	"runtime/debug"
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
		{"float64", int64(1 << 53), float64(1 << 53)}, {"float64", int64(1<<53 + 1), nil}, {"float64", int64(-1 << 63), nil}, {"float64", float32(0.5), 0.5}, {"float32", 1e39, nil}, {"float32", 0.1, float32(0.1)},
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

// TestLIM8Budget reads what is much larger in memory than on the wire.
func TestLIM8Budget(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	wide := "{"
	for i := range 500 {
		wide += fmt.Sprintf("F%d int;", i)
	}
	for name, c := range map[string]struct{ sig, item string }{
		"one field of many": {wide + "}", "\x91\x01"},
		"small structs":     {"{A int}", "\x91\x01"},
		"structs in them":   {"{A {B {C int}}}", "\x91\x91\x91\x01"},
		"lists":             {"[]any", "\x91\xc0"},
		"lists of lists":    {"[][]bool", "\x91\x91\xc2"},
		"integers":          {"[]int", "\x92\xcc\xff\xcc\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := signature.Parse("([]" + c.sig + ")()")
			require.NoError(t, err)
			for _, n := range []int{4, 60_000} {
				raw := append([]byte{0xdd, 0, 0, byte(n >> 8), byte(n)}, strings.Repeat(c.item, n)...)
				var d codec.Decoder
				d.Reset(raw)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				v := Read(&d, m.Params[0])
				runtime.ReadMemStats(&after)
				if n < 100 {
					require.NoError(t, d.Close())
					require.Len(t, v, n)
					continue
				}
				limit := min(64<<10+64*len(raw), 16<<20)
				require.Less(t, int(after.HeapAlloc-before.HeapAlloc), 2*limit)
				if err := d.Close(); err != nil {
					require.ErrorIs(t, err, codec.ErrBudget)
				}
				runtime.KeepAlive(v)
			}
		})
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
