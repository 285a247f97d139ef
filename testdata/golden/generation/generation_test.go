package generation

import (
	"net/netip"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/generations/shape"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	price := 0.5
	return []goldentest.Type{
		goldentest.Of(writeShapeItem, readShapeItem, shape.Item{
			Name: "a", Price: &price, Parts: map[string]shape.Item{"p": {Name: "b"}}, At: time.Unix(1, 2).UTC(), Host: netip.MustParseAddr("::1"), Extra: "e",
		}),
		goldentest.Of(writeShapePoint, readShapePoint, shape.Point{X: 1, Y: -1}),
		goldentest.Of(writeShapeLost, readShapeLost, shape.Lost{Name: "l"}),
		goldentest.Of(writeShapeOrder, readShapeOrder, shape.Order{Name: "o"}),
		goldentest.Of(writeNote, readNote, Note{Text: "t"}),
		goldentest.Of(func(e *codec.Encoder, r ClientSeveralResult) {
			e.Array(2)
			e.Int(r.Sum)
			e.String(r.Text)
		}, goldentest.Results(readClientSeveralResult), ClientSeveralResult{1, "t"}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
