package unexported

import (
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeItem, readItem, item{"i"}),
		goldentest.Of(func(e *codec.Encoder, r listerListResult) {
			e.Array(2)
			codec.WriteSlice(e, r.R0, writeItem)
			e.String(r.R1)
		}, goldentest.Results(readListerListResult), listerListResult{[]item{{"i"}}, "t"}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
