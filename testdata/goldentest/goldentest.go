// Package goldentest takes values of golden types through their generated encoders and decoders, and feeds the decoders with what
// no encoder wrote.
package goldentest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Type is a golden type with its functions and some values.
type Type struct {
	name   string
	seeds  [][]byte
	trip   func(testing.TB)
	read   func(data []byte) error
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
	t.read = func(data []byte) error {
		_, err := decode(scope, read, data)
		return err
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
			t.Run("ACC44", typ.bombs)
		})
	}
}

// counts claim more than they carry: arrays, maps, strings and bytes of 2³²−1 elements, and arrays of 10⁸.
var counts = [][]byte{
	{0xdd, 0xff, 0xff, 0xff, 0xff},
	{0xdf, 0xff, 0xff, 0xff, 0xff},
	{0xdb, 0xff, 0xff, 0xff, 0xff},
	{0xc6, 0xff, 0xff, 0xff, 0xff},
	{0xdd, 0x05, 0xf5, 0xe1, 0x00},
}

// bombs are what is small and shall become large, or take long, or say something twice.
var bombs = [][]byte{
	{0x81, 0xa1, 'X', 0xdd, 0xff, 0xff, 0xff, 0xff},
	{0x91, 0x91, 0x91, 0xdd, 0xff, 0xff, 0xff, 0xff},
	bytes.Repeat([]byte{0x91}, 100),
	bytes.Repeat([]byte{0x81, 0xa0}, 100),
	bytes.Repeat([]byte{0x81, 0xc0}, 100),
	{0x82, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1, 1, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1, 1}, // NaN as a key
	{0x82, 0xa1, 'X', 1, 0xa1, 'X', 1},                                                   // a key twice
	{0x82, 1, 1, 1, 1},                                                                   // the same of numbers
	{0xa2, 0xff, 0xfe},                                                                   // no UTF-8, which is no error: strings are bytes
	{0x82, 0xa2, 0xff, 0xfe, 1, 0xa2, 0xff, 0xfe, 1},                                     // the same as a key, twice
}

// manyOf are headers of as many elements as follow, and these.
var manyOf = map[string][]byte{"nils": {0xc0}, "empty arrays": {0x90}, "empty maps": {0x80}, "empty strings": {0xa0}, "zeros": {0}}

// many is how many elements a list has that should become large: with 10⁶ the limit of 16 MiB counts.
func many() uint32 {
	if os.Getenv("DAFFI_NIGHT") != "" {
		return 1_000_000
	}
	return 10_000
}

// bombs replaces what stands at each place of the seeds by what should not be there, and the whole by lists that are long or deep.
func (typ Type) bombs(t *testing.T) {
	for _, seed := range typ.seeds {
		step := 1
		if testing.Short() {
			step = 1 + len(seed)/16
		}
		for at := 0; at < len(seed); at += step {
			typ.harmless(t, seed[:at])
			for _, bomb := range counts {
				typ.harmless(t, append(slices.Clone(seed[:at]), bomb...))
			}
			if at%(1+len(seed)/8) == 0 {
				for _, bomb := range bombs {
					typ.harmless(t, append(append(slices.Clone(seed[:at]), bomb...), seed[at:]...))
				}
			}
		}
	}
	for _, bomb := range bombs {
		typ.harmless(t, bomb)
	}
	for _, each := range [][]byte{{0x91}, {0x81, 0xa0}, {0x81, 0xc0}} {
		if typ.harmless(t, bytes.Repeat(each, 1_000_000/len(each))) == nil {
			t.Errorf("%s: what is nested 10⁶ deep is accepted", typ.name)
		}
	}
	for _, head := range []byte{0xdd, 0xdf} {
		for _, each := range manyOf {
			n := many()
			b := binary.BigEndian.AppendUint32([]byte{head}, n)
			typ.harmless(t, append(b, bytes.Repeat(each, int(n))...))
		}
	}
}

// most is the memory that n bytes may become: the limit of a decoder, and on top size classes and the error.
func most(n int) uint64 {
	limit := uint64(min(64<<10+64*n, 16<<20))
	if race { // the detector moves to the heap what is on the stack without it
		limit *= 2
	}
	return limit + limit/8 + 16<<10
}

// harmless decodes data and counts what that allocates. It returns the decoder's error, which is one by which a call is refused with InvalidArgument.
func (typ Type) harmless(t *testing.T, data []byte) (err error) {
	t.Helper()
	var before, after runtime.MemStats
	var took uint64
	for range 3 { // others allocate as well
		begin := time.Now()
		runtime.ReadMemStats(&before)
		err = typ.read(data)
		runtime.ReadMemStats(&after)
		if d := time.Since(begin); d > time.Second+time.Duration(len(data))*time.Microsecond {
			t.Errorf("%s: %d bytes % x took %v", typ.name, len(data), data[:min(len(data), 100)], d)
		}
		if took = after.TotalAlloc - before.TotalAlloc; took <= most(len(data)) {
			break
		}
	}
	if took > most(len(data)) {
		t.Errorf("%s: %d bytes % x took %d bytes of memory", typ.name, len(data), data[:min(len(data), 100)], took)
	}
	if err != nil && !errors.Is(err, codec.ErrDecode) {
		t.Errorf("%s: %d bytes % x: %v", typ.name, len(data), data[:min(len(data), 100)], err)
	}
	return err
}

// Fuzz decodes with every type's decoder. What one accepts must be written and accepted again, in as many bytes.
func Fuzz(f *testing.F, types ...Type) {
	f.Helper()
	for k, typ := range types {
		for _, seed := range typ.seeds {
			f.Add(uint8(k), seed)
		}
		for _, bomb := range append(counts, bombs...) {
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
