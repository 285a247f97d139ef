package generics

import (
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/golden/generics/page"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeEverything, readEverything, Everything{
			Own: page.Page[Key]{Items: []Key{{"a"}}, Next: &page.Page[Key]{}}, Other: page.Page[page.Key]{Items: []page.Key{{ID: 1}}},
			Nested: page.Either[page.Page[Key], Tree[page.Key]]{Right: &Tree[page.Key]{Kids: []Tree[page.Key]{{}}}},
			Set:    page.Set[string]{"s": true}, List: page.List[page.List[time.Time]]{nil, {time.Unix(1, 0).UTC()}},
			Opt: Opt[Key]{Left: &Key{"l"}}, Keys: Keys{Items: []Key{{"k"}}}, Sum: Sum[float64]{1.5},
			ByKey: map[string]page.Either[[]Key, map[int]page.Key]{"k": {Left: &[]Key{{"x"}}, Right: &map[int]page.Key{1: {ID: 2}}}},
			Array: [2]page.List[Key]{1: {{"y"}}}, Pointer: &Tree[*Key]{Value: &Key{"z"}}, Any: page.Page[any]{Items: []any{1, nil}},
		}),
		goldentest.Of(writePageSetString, readPageSetString, page.Set[string]{"s": true}),
		goldentest.Of(writePageEitherStringPagePageKey, readPageEitherStringPagePageKey, page.Either[string, page.Page[Key]]{Right: &page.Page[Key]{}}),
		goldentest.Of(writeSets, goldentest.Results(readServiceSetsResult), ServiceSetsResult{page.List[Key]{{"a"}}, Tree[Key]{Value: Key{"b"}}}),
	}
}

func writeSets(e *codec.Encoder, v ServiceSetsResult) {
	e.Array(2)
	codec.WriteSlice(e, v.R0, writeKey)
	writeTreeKey(e, v.R1)
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
