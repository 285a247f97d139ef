package imports

import (
	"testing"
	clock "time"

	strange "github.com/daffi-rpc/daffi/testdata/golden/imports/go-odd"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeContext, readContext, context{clock.Unix(1, 0).UTC()}),
		goldentest.Of(writeTime2, readTime2, time{5}),
		goldentest.Of(writeCodec, readCodec, codec{[]strange.Thing{{Name: "a"}}}),
		goldentest.Of(writeStrangeThing, readStrangeThing, strange.Thing{Name: "b"}),
		goldentest.Of(writeShopOrder, readShopOrder, daffi{ID: "o"}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
