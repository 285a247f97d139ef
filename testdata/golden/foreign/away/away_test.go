package away

import (
	"testing"

	"github.com/daffi-rpc/daffi/testdata/golden/foreign/shop"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{goldentest.Of(writeShopOrder, readShopOrder, shop.Order{ID: "o", Lines: []shop.Line{{Article: "tea", Price: 5}}})}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
