package shapes

import (
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeStruct, readStruct),
		goldentest.Of(func(e *codec.Encoder, r ShapesStatsResult) {
			e.Array(2)
			e.Float64(r.Mean)
			e.Int(r.Count)
		}, goldentest.Results(readShapesStatsResult), ShapesStatsResult{0.5, 2}),
		goldentest.Of(func(e *codec.Encoder, r ShapesThreeResult) {
			e.Array(3)
			e.String(r.R0)
			e.Int(r.R1)
			e.Bool(r.R2)
		}, goldentest.Results(readShapesThreeResult), ShapesThreeResult{"a", 2, true}),
		goldentest.Of(func(e *codec.Encoder, r ShapesMergeResult) {
			e.Array(2)
			e.Int(r.Lowest)
			e.Int(r.Highest)
		}, goldentest.Results(readShapesMergeResult), ShapesMergeResult{-1, 1}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

// TestLeftOutResults reads fewer and more results than there are, as an older and a newer peer would send them.
func TestLeftOutResults(t *testing.T) {
	for n, want := range []ShapesThreeResult{{}, {R0: "a"}, {"a", 2, false}, {"a", 2, true}, {"a", 2, true}} {
		var e codec.Encoder
		e.Array(n)
		for k := range n {
			[]func(){func() { e.String("a") }, func() { e.Int(2) }, func() { e.Bool(true) }, func() { e.String("new") }}[k]()
		}
		var d codec.Decoder
		d.Reset(e.Bytes())
		d.Open()
		got := readShapesThreeResult(&d)
		if err := d.Close(); err != nil || got != want {
			t.Errorf("%d results became %+v, error %v", n, got, err)
		}
	}
}
