package codec_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// everything reads what bytes say in as many shapes as there are; each must stay within the limits.
var everything = map[string]func(*codec.Decoder){
	"skip":    (*codec.Decoder).Skip,
	"order":   func(d *codec.Decoder) { readOrder(d) },
	"orders":  func(d *codec.Decoder) { codec.ReadSlice(d, 1, readOrder) },
	"ints":    func(d *codec.Decoder) { readInts(d) },
	"strings": func(d *codec.Decoder) { codec.ReadStrings(d) },
	"blobs":   func(d *codec.Decoder) { codec.ReadSlice(d, 1, codec.ReadBlob) },
	"ages":    func(d *codec.Decoder) { readAges(d) },
	"nested":  func(d *codec.Decoder) { codec.ReadSlice(d, 1, readLists) },
	"tree":    func(d *codec.Decoder) { readTree(d) },
	"chain":   func(d *codec.Decoder) { readChain(d) },
	"loop":    func(d *codec.Decoder) { readLoop(d) },
	"none":    func(d *codec.Decoder) { codec.ReadSlice(d, 0, codec.ReadNone) },
	"big":     func(d *codec.Decoder) { codec.ReadSlice(d, 1, readBig) },
	"maps": func(d *codec.Decoder) {
		codec.ReadSlice(d, 1, func(d *codec.Decoder) map[uint8]big { return codec.ReadMap(d, 2, codec.ReadUint8, readBig) })
	},
	"pointers": func(d *codec.Decoder) {
		codec.ReadSlice(d, 1, func(d *codec.Decoder) *big { return codec.ReadPtr(d, readBig) })
	},
	"arguments": func(d *codec.Decoder) { d.Open(); codec.ReadResult(d, codec.ReadString) },
}

func readLists(d *codec.Decoder) [][]string { return codec.ReadSlice(d, 1, codec.ReadStrings) }

// big takes little on the wire and much in memory.
type big struct {
	ID    int
	Cache [1000]byte
}

func readBig(d *codec.Decoder) (v big) {
	for range d.Fields([]string{"ID"}) {
		v.ID = d.Int()
	}
	return v
}

type tree []tree

func readTree(d *codec.Decoder) tree     { return codec.ReadSlice(d, 1, readTree) }
func writeTree(e *codec.Encoder, v tree) { codec.WriteSlice(e, v, writeTree) }

type chain struct{ Next *chain }

func writeChain(e *codec.Encoder, v chain) {
	e.Struct(1)
	codec.WritePtr(e.Key("Next"), v.Next, writeChain)
	e.Leave()
}

func readChain(d *codec.Decoder) (v chain) {
	for range d.Fields([]string{"Next"}) {
		v.Next = codec.ReadPtr(d, readChain)
	}
	return v
}

// loop has no value of its own: reading one takes no bytes at all.
type loop *loop

func writeLoop(e *codec.Encoder, v loop) { codec.WritePtr(e, v, writeLoop) }
func readLoop(d *codec.Decoder) loop     { return codec.ReadPtr(d, readLoop) }

// allocated measures what fn allocates, in bytes.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// allowed is what a message may make a decoder allocate; size classes and the error come on top.
func allowed(message []byte) uint64 {
	most := min(64<<10+64*len(message), 16<<20)
	if race { // the detector moves to the heap what is on the stack without it
		most *= 2
	}
	return uint64(most + most/8 + 4096)
}

func TestBombs(t *testing.T) {
	repeat := func(head, each string, n int) []byte {
		return append(unhex(t, head), bytes.Repeat(unhex(t, each), n)...)
	}
	n := 1 << 18 // enough for the budget to be 16 MiB
	for what, b := range map[string][]byte{
		"count in a struct":    unhex(t, "81 a1 62 dd ffffffff"),
		"count in a field":     unhex(t, "81 a5 4c696e6573 dd ffffffff"),
		"count in 8 bytes":     unhex(t, "dd 7fffffff c0c0c0"),
		"map count":            unhex(t, "df ffffffff"),
		"map count 2^31":       unhex(t, "df 80000000 00 00"),
		"string length":        unhex(t, "91 db ffffffff"),
		"blob length":          unhex(t, "91 c6 ffffffff"),
		"extension length":     unhex(t, "91 c9 ffffffff ff"),
		"nested counts":        repeat("", "dd 0000ffff", 20_000),
		"nested counts of all": repeat("", "dd 00040000", n/4),
		"deep arrays":          repeat("", "91", n),
		"deep maps":            repeat("", "81 a0", n/2),
		"deep chain":           repeat("", "81 a4 4e657874", n/6),
		"wide and deep":        repeat("", "9f 9f 9f 9f", n/4),
		"nils":                 repeat("dd 00040000", "c0", n),
		"empty structs":        repeat("dd 00040000", "80", n),
		"empty arrays":         repeat("dd 00040000", "90", n),
		"empty strings":        repeat("dd 00040000", "a0", n),
		"arrays of one":        repeat("dd 00020000", "91 c0", n/2),
		"maps of one":          repeat("dd 00010000", "81 00 c0", n/3),
		"structs of one":       repeat("dd 00010000", "81 a2 4944 05", n/4),
		"unknown fields":       repeat("df 00020000", "a0 c0", n/2),
		"small nils":           repeat("dc 1000", "c0", 4096),
		"small maps":           repeat("dc 0800", "81 00 c0", 2048),
		"small structs":        repeat("dc 0800", "80", 2048),
		"long number":          unhex(t, "91 cf ffff"),
	} {
		for shape, read := range everything {
			t.Run(what+"/"+shape, func(t *testing.T) {
				var d codec.Decoder
				got := allocated(func() {
					d.Reset(b)
					read(&d)
					d.Close()
				})
				require.LessOrEqual(t, got, allowed(b), "%v", d.Err())
			})
		}
	}
}

// 8 bytes do not buy what they announce.
func TestSmallBombsAllocateNothingBig(t *testing.T) {
	for _, s := range []string{"81 a1 62 dd ffffffff", "dd ffffffff", "93 dd ffffffff", "df ffffffff", "db ffffffff", "c6 ffffffff"} {
		b := unhex(t, s)
		for shape, read := range everything {
			var d codec.Decoder
			got := allocated(func() {
				d.Reset(b)
				read(&d)
			})
			require.Less(t, got, uint64(5000), "%s as %s: %v", s, shape, d.Err())
		}
	}
}

// Wherever a message is cut, and whatever it is read as, there is an error and no panic.
func TestTruncation(t *testing.T) {
	o := sampleOrder()
	o.Lines = o.Lines[:2]
	whole := encode(t, func(e *codec.Encoder) {
		e.Array(4)
		writeOrder(e, o)
		e.Complex64(1)
		e.Uint64(1 << 63)
		codec.WriteSlice(e, []float32{1, 2}, codec.WriteFloat32)
	})
	read := func(b []byte) error {
		var d codec.Decoder
		d.Reset(b)
		d.Open()
		codec.ReadResult(&d, readOrder)
		codec.ReadResult(&d, codec.ReadComplex128)
		codec.ReadResult(&d, codec.ReadUint64)
		codec.ReadResult(&d, func(d *codec.Decoder) (v [2]float64) { codec.ReadArrayInto(d, v[:], codec.ReadFloat64); return v })
		return d.Close()
	}
	skip := func(b []byte) error {
		var d codec.Decoder
		d.Reset(b)
		d.Skip()
		return d.Close()
	}
	require.NoError(t, read(whole))
	require.NoError(t, skip(whole))
	for n := range whole {
		require.ErrorIs(t, read(whole[:n]), codec.ErrDecode, "%d", n)
		require.ErrorIs(t, skip(whole[:n]), codec.ErrDecode, "%d", n)
		for _, other := range everything {
			var d codec.Decoder
			d.Reset(whole[n:])
			other(&d)
		}
	}
}

func TestDepth(t *testing.T) {
	deepChain := func(levels int) (v chain) {
		for range levels - 1 {
			v = chain{&chain{v.Next}}
		}
		return v
	}
	deepTree := func(levels int) tree {
		v := tree{}
		for range levels - 1 {
			v = tree{v}
		}
		return v
	}
	var e codec.Encoder
	for _, c := range []struct {
		what  string
		write func(levels int)
		read  func(*codec.Decoder)
		raw   func(levels int) []byte
	}{
		{
			"structs", func(n int) { writeChain(&e, deepChain(n)) }, func(d *codec.Decoder) { readChain(d) },
			func(n int) []byte { return append(bytes.Repeat([]byte("\x81\xa4Next"), n-1), 0x80) },
		},
		{
			"slices", func(n int) { writeTree(&e, deepTree(n)) }, func(d *codec.Decoder) { readTree(d) },
			func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n-1), 0x90) },
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			e.Reset(nil)
			c.write(64)
			require.NoError(t, e.Err())
			var d codec.Decoder
			d.Reset(e.Bytes())
			c.read(&d)
			require.NoError(t, d.Close())
			d.Reset(e.Bytes())
			d.Skip()
			require.NoError(t, d.Close())

			e.Reset(nil)
			c.write(65)
			require.ErrorIs(t, e.Err(), codec.ErrDepth)
			require.EqualError(t, e.Err(), "encode: nested too deep: more than 64 levels")

			d.Reset(c.raw(64))
			c.read(&d)
			require.NoError(t, d.Close())
			for _, levels := range []int{65, 1_000_000} {
				d.Reset(c.raw(levels))
				c.read(&d)
				require.ErrorIs(t, d.Err(), codec.ErrDepth)
				require.ErrorIs(t, d.Err(), codec.ErrDecode)
			}
		})
	}
	var d codec.Decoder
	d.Reset(bytes.Repeat([]byte{0x91}, 1_000_000))
	d.Skip()
	require.EqualError(t, d.Err(), "decode: nested too deep: more than 64 levels at byte 65")
}

func TestCyclesEnd(t *testing.T) {
	var e codec.Encoder
	round := chain{}
	round.Next = &round
	writeChain(&e, round)
	require.ErrorIs(t, e.Err(), codec.ErrDepth)

	e.Reset(nil)
	nest := tree{nil, nil}
	nest[0], nest[1] = nest, nest // as many ways to go as there are levels squared, were it not for the first error
	writeTree(&e, nest)
	require.ErrorIs(t, e.Err(), codec.ErrDepth)
	require.Less(t, e.Len(), 1000)

	e.Reset(nil)
	var self loop
	self = &self
	writeLoop(&e, self)
	require.ErrorIs(t, e.Err(), codec.ErrDepth)
	require.ErrorIs(t, e.Err(), codec.ErrEncode)

	var d codec.Decoder
	d.Reset([]byte{1})
	readLoop(&d)
	require.ErrorIs(t, d.Err(), codec.ErrDepth)
}

func TestLevelsAreGivenBack(t *testing.T) {
	var e codec.Encoder
	for range 200 {
		e.Complex64(0)
		writeOrder(&e, sampleOrder())
		codec.WriteArray(&e, []int{1}, codec.WriteInt)
	}
	require.NoError(t, e.Err())
	var d codec.Decoder
	d.Reset(e.Bytes())
	for range 200 {
		d.Complex64()
		readOrder(&d)
		codec.ReadArrayInto(&d, make([]int, 1), codec.ReadInt)
	}
	require.NoError(t, d.Close())
}

func TestBudget(t *testing.T) {
	five := 5
	for what, c := range map[string]struct {
		write func(*codec.Encoder)
		read  func(*codec.Decoder)
		cost  int
	}{
		"string":   {func(e *codec.Encoder) { e.String("hello") }, func(d *codec.Decoder) { codec.ReadString(d) }, 5},
		"blob":     {func(e *codec.Encoder) { e.Blob([]byte("hello")) }, func(d *codec.Decoder) { d.Blob() }, 5},
		"uint32s":  {func(e *codec.Encoder) { writeInts(e, []int{1, 2, 3}) }, func(d *codec.Decoder) { codec.ReadSlice(d, 1, codec.ReadUint32) }, 12},
		"nothings": {func(e *codec.Encoder) { writeInts(e, []int{1, 2, 3}) }, func(d *codec.Decoder) { codec.ReadSlice(d, 1, skipped) }, 3},
		"pointer":  {func(e *codec.Encoder) { writeIntPtr(e, &five) }, func(d *codec.Decoder) { codec.ReadPtr(d, codec.ReadInt64) }, 8},
		"no map":   {func(e *codec.Encoder) { e.Map(0) }, func(d *codec.Decoder) { codec.ReadMap(d, 2, codec.ReadInt64, codec.ReadInt8) }, 48},
		"map":      {func(e *codec.Encoder) { e.Map(1); e.Int(1); e.Int(1) }, func(d *codec.Decoder) { codec.ReadMap(d, 2, codec.ReadInt64, codec.ReadInt8) }, 48 + 8*10 + 1},
		"map of structs": {func(e *codec.Encoder) { e.Map(1); e.Int(1); e.Nil() }, func(d *codec.Decoder) {
			codec.ReadMap(d, 2, codec.ReadInt64, func(d *codec.Decoder) (v [200]byte) { d.Skip(); return v })
		}, 48 + 8*17 + 200},
	} {
		t.Run(what, func(t *testing.T) {
			b := encode(t, c.write)
			var d codec.Decoder
			d.Reset(b)
			d.SetBudget(c.cost)
			c.read(&d)
			require.NoError(t, d.Close())
			for _, less := range []int{c.cost - 1, 0, -1} {
				d.Reset(b)
				d.SetBudget(less)
				c.read(&d)
				require.ErrorIs(t, d.Err(), codec.ErrBudget)
				require.ErrorIs(t, d.Err(), codec.ErrDecode)
			}
		})
	}
	var d codec.Decoder
	d.Reset([]byte("\xa5hello"))
	d.SetBudget(4)
	codec.ReadString(&d)
	require.EqualError(t, d.Err(), "decode: memory budget exceeded: more than 4 bytes needed at byte 6")
}

func skipped(d *codec.Decoder) (none struct{}) {
	d.Skip()
	return none
}

// The default: 64 KiB and 64 bytes per byte, but no more than 16 MiB, or twice as much as the message has.
func TestDefaultBudget(t *testing.T) {
	for _, length := range []int{16 << 20, 64 << 20} {
		_, err := decode(encode(t, func(e *codec.Encoder) { e.String(strings.Repeat("x", length)) }), codec.ReadString)
		require.NoError(t, err)
	}
	size := int(unsafe.Sizeof(big{}))
	for _, blob := range []int{1 << 20, 12 << 20} { // what it leaves is for n structs of size bytes, and a first chunk of 5 more, in n+3 bytes
		budget := func(n int) int { return max(16<<20, 2*(5+blob+3+n)) }
		n := 0
		for blob+(n+1+5)*size <= budget(n+1) {
			n++
		}
		for k, want := range map[int]error{n: nil, n + 1: codec.ErrBudget} {
			b := encode(t, func(e *codec.Encoder) { e.Blob(make([]byte, blob)) })
			b = append(b, 0xdc, byte(k>>8), byte(k))
			b = append(b, bytes.Repeat([]byte{0xc0}, k)...)
			_, err := decode(b, func(d *codec.Decoder) []big { d.Blob(); return codec.ReadSlice(d, 1, readBig) })
			require.ErrorIs(t, err, want, "%d structs behind %d bytes", k, blob)
		}
	}
	// n structs of 1008 bytes, and a first chunk of 5 more, in n+3 bytes: n*1008 + 5*1008 <= 64 KiB + 64*(n+3).
	for _, c := range []struct {
		structs byte
		want    error
	}{{64, nil}, {65, codec.ErrBudget}} {
		b := append([]byte{0xdc, 0, c.structs}, bytes.Repeat([]byte{0xc0}, int(c.structs))...)
		_, err := decode(b, func(d *codec.Decoder) []big { return codec.ReadSlice(d, 1, readBig) })
		require.ErrorIs(t, err, c.want)
	}
}
