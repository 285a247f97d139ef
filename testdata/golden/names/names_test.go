package names

import (
	"testing"

	wire "github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeNote2, readNote2, Note{"s", 1, "e"}),
		goldentest.Of(writeTime, readTime, time{At: 5}),
		goldentest.Of(func(enc *wire.Encoder, m map[e]v) {
			wire.WriteMap(enc, m, wire.WriteStringOf[e], wire.WriteIntOf[v])
		}, readEVMap, map[e]v{"a": 1}),
		goldentest.Of(func(enc *wire.Encoder, r NastySeveralResult) {
			enc.Array(2)
			enc.Int(r.R0)
			enc.String(r.R1)
		}, goldentest.Results(readNastySeveralResult), NastySeveralResult{1, "b"}),
		goldentest.Of(func(enc *wire.Encoder, r NastyFoldedResult) {
			enc.Array(4)
			enc.Int(r.A)
			enc.Int(r.R1)
			enc.String(r.ID)
			enc.String(r.R)
		}, goldentest.Results(readNastyFoldedResult), NastyFoldedResult{1, 2, "c", "d"}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
