package mapkeys

import (
	"net/netip"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	type rgb = struct{ R, G, B uint8 }
	return []goldentest.Type{
		goldentest.Of(func(e *codec.Encoder, v map[[2]Point]bool) { codec.WriteMap(e, v, writePointx2, codec.WriteBool) }, readPointx2BoolMap,
			map[[2]Point]bool{{{1, 2}, {3, 4}}: true, {}: false}),
		goldentest.Of(func(e *codec.Encoder, v map[Line]Point) { codec.WriteMap(e, v, writeLine, writePoint) }, readLinePointMap,
			map[Line]Point{{Point{1, 2}, Point{3, 4}, "a"}: {5, 6}, {Label: "b"}: {}, {}: {}}),
		goldentest.Of(func(e *codec.Encoder, v map[netip.AddrPort][]string) {
			codec.WriteMap(e, v, codec.WriteBinaryAppend[netip.AddrPort], codec.WriteStrings)
		}, readNetipAddrPortStringsMap, map[netip.AddrPort][]string{netip.MustParseAddrPort("[fe80::1%eth0]:80"): {"a"}, netip.MustParseAddrPort("1.2.3.4:5"): nil}),
		goldentest.Of(func(e *codec.Encoder, v map[rgb]Color) { codec.WriteMap(e, v, writeStruct, codec.WriteText[Color]) }, readStructColorMap,
			map[rgb]Color{{1, 2, 3}: 4, {}: 25}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

// TestEqualKeys gives the same key in two forms: a struct as a map and as an array.
func TestEqualKeys(t *testing.T) {
	var e codec.Encoder
	e.Map(2)
	writePoint(&e, Point{1, 2})
	e.String("a")
	e.Array(2)
	e.Int(1)
	e.Int(2)
	e.String("b")
	var d codec.Decoder
	d.Reset(e.Bytes())
	if got := codec.ReadMap(&d, 2, readPoint, codec.ReadString); d.Err() == nil {
		t.Errorf("%v", got)
	}
}
