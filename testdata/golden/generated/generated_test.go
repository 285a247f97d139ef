package generated

import (
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	stats := MeterStatsResult{0.5, []string{"t"}}
	return []goldentest.Type{
		goldentest.Of(writeMeterStatsResult2, readMeterStatsResult2, stats),
		goldentest.Of(func(e *codec.Encoder, v []MeterStatsResult) { codec.WriteSlice(e, v, writeMeterStatsResult2) },
			readMeterStatsResults, []MeterStatsResult{stats, {}}),
		goldentest.Of(func(e *codec.Encoder, v MeterStatsResult) {
			e.Array(2)
			e.Float64(v.Mean)
			codec.WriteStrings(e, v.Tags)
		}, goldentest.Results(readMeterStatsResult), stats),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
