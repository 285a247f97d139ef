package anyvalues

import (
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	var one any = 1
	return []goldentest.Type{
		goldentest.Of(writeRecord, readRecord, Record{
			Value: time.Unix(1, 2).UTC(), List: []any{nil, true, -1, 0.5, "s", []byte{1}, []any{}, map[string]any{"a": time.Hour}},
			Labels: Labels{"x": uint64(1 << 63)}, Named: "n", Nameds: []Anything{nil, 1}, Pair: [2]any{1, "2"}, Maybe: &one,
			Deep: map[int][]map[string]any{1: {{"y": float32(1)}, nil}}, Old: []any{"o"},
		}),
		goldentest.Of(writeAnything, readAnything, Anything("a")),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
