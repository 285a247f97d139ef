// Package goldentest takes values of golden types through their generated encoders and decoders, and feeds the decoders with what
// no encoder wrote.
package goldentest

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Type is a golden type with its functions and some values.
type Type struct {
	name   string
	seeds  [][]byte
	trip   func(testing.TB)
	decode func(data []byte) (again []byte, err error)
	bench  func(*testing.B)
}

// Of describes a golden type.
func Of[T any](write func(*codec.Encoder, T), read func(*codec.Decoder) T, values ...T) Type {
	return In(nil, write, read, values...)
}

// In is Of for a type with codecs that are registered.
func In[T any](scope *codec.Scope, write func(*codec.Encoder, T), read func(*codec.Decoder) T, values ...T) Type {
	t := Type{name: reflect.TypeFor[T]().String()}
	var zero T
	values = append(values, zero)
	for _, v := range values {
		data, err := encode(scope, write, v)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", t.name, err))
		}
		t.seeds = append(t.seeds, data)
	}
	t.trip = func(tb testing.TB) {
		tb.Helper()
		for k, v := range values {
			got, err := decode(scope, read, t.seeds[k])
			if err != nil || !reflect.DeepEqual(got, v) {
				tb.Errorf("%s: %+v became %+v, error %v", t.name, v, got, err)
			}
		}
	}
	t.bench = func(b *testing.B) {
		b.Run("encode", func(b *testing.B) {
			var e codec.Encoder
			e.SetScope(scope)
			b.ReportAllocs()
			b.SetBytes(int64(len(t.seeds[0])))
			for b.Loop() {
				e.Reset(e.Bytes())
				write(&e, values[0])
			}
		})
		b.Run("decode", func(b *testing.B) {
			var d codec.Decoder
			d.SetScope(scope)
			b.ReportAllocs()
			b.SetBytes(int64(len(t.seeds[0])))
			for b.Loop() {
				d.Reset(t.seeds[0])
				read(&d)
			}
		})
	}
	t.decode = func(data []byte) ([]byte, error) {
		v, err := decode(scope, read, data)
		if err != nil {
			return nil, err
		}
		return encode(scope, write, v)
	}
	return t
}

// Results makes a decoder of an argument array of one of several results.
func Results[T any](read func(*codec.Decoder) T) func(*codec.Decoder) T {
	return func(d *codec.Decoder) T {
		d.Open()
		v := read(d)
		_ = d.Close() // its error sticks
		return v
	}
}

func encode[T any](scope *codec.Scope, write func(*codec.Encoder, T), v T) ([]byte, error) {
	var e codec.Encoder
	e.SetScope(scope)
	write(&e, v)
	return e.Bytes(), e.Err()
}

func decode[T any](scope *codec.Scope, read func(*codec.Decoder) T, data []byte) (T, error) {
	var d codec.Decoder
	d.SetScope(scope)
	d.Reset(data)
	v := read(&d)
	return v, d.Err()
}

// Bench measures the functions of types with the first value of each.
func Bench(b *testing.B, types ...Type) {
	for _, typ := range types {
		b.Run(typ.name, typ.bench)
	}
}

// Run takes the values of types there and back, and their encodings with bombs in them.
func Run(t *testing.T, types ...Type) {
	t.Helper()
	for _, typ := range types {
		t.Run(typ.name, func(t *testing.T) {
			typ.trip(t)
			for _, seed := range typ.seeds {
				typ.bombs(t, seed)
			}
			for _, bomb := range bombs {
				typ.harmless(t, bomb)
			}
		})
	}
}

// bombs claim more than they carry: arrays, maps, strings and bytes of 2³²−1 elements, alone and in a struct or array.
var bombs = [][]byte{
	{0xdd, 0xff, 0xff, 0xff, 0xff},
	{0xdf, 0xff, 0xff, 0xff, 0xff},
	{0xdb, 0xff, 0xff, 0xff, 0xff},
	{0xc6, 0xff, 0xff, 0xff, 0xff},
	{0x81, 0xa1, 'X', 0xdd, 0xff, 0xff, 0xff, 0xff},
	{0x91, 0x91, 0x91, 0xdd, 0xff, 0xff, 0xff, 0xff},
}

// bombs replaces what stands at each place of seed.
func (typ Type) bombs(t *testing.T, seed []byte) {
	step := 1
	if testing.Short() {
		step = 1 + len(seed)/16
	}
	for at := 0; at < len(seed); at += step {
		typ.harmless(t, seed[:at])
		for _, bomb := range bombs[:4] {
			typ.harmless(t, append(append([]byte(nil), seed[:at]...), bomb...))
		}
	}
}

// harmless decodes data and counts what that allocates.
func (typ Type) harmless(t *testing.T, data []byte) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = typ.decode(data)
	runtime.ReadMemStats(&after)
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(128<<10+64*len(data)); took > most {
		t.Errorf("%s: %d bytes % x took %d bytes of memory", typ.name, len(data), data, took)
	}
}

// Fuzz decodes with every type's decoder. What one accepts must be written and accepted again, in as many bytes.
func Fuzz(f *testing.F, types ...Type) {
	f.Helper()
	for k, typ := range types {
		for _, seed := range typ.seeds {
			f.Add(uint8(k), seed)
		}
		for _, bomb := range bombs {
			f.Add(uint8(k), bomb)
		}
	}
	f.Fuzz(func(t *testing.T, k uint8, data []byte) {
		typ := types[int(k)%len(types)]
		once, err := typ.decode(data)
		if err != nil {
			return
		}
		twice, err := typ.decode(once)
		if err != nil || len(twice) != len(once) {
			t.Errorf("%s: % x was read and written as % x, and that as % x, error %v", typ.name, data, once, twice, err)
		}
	})
}
