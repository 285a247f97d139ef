package embedded

import (
	"testing"

	"github.com/daffi-rpc/daffi/testdata/golden/foreign/shop"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	order := shop.Order{ID: "o", Lines: []shop.Line{{Article: "tea", Price: 5}}}
	return []goldentest.Type{
		goldentest.Of(writeUser, readUser, User{Person: Person{"p"}, Order: &order, Price: 3, Address: Address{"s"}}, User{}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
