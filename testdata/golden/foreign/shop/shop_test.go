package shop

import (
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	write := func(e *codec.Encoder, o Order) { // as an older peer would, without At
		e.Struct(2)
		e.Key("ID").String(o.ID)
		codec.WriteSlice(e.Key("Lines"), o.Lines, func(e *codec.Encoder, l Line) {
			e.Struct(2)
			e.Key("Article").String(l.Article)
			e.Key("Price").Int64(int64(l.Price))
			e.Leave()
		})
		e.Leave()
	}
	return []goldentest.Type{goldentest.Of(write, readOrder, Order{ID: "o", Lines: []Line{{"tea", 5}}})}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
