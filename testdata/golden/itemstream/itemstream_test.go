package itemstream

import (
	"testing"

	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{goldentest.Of(writePoint, readPoint, Point{1, -1})}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

// TestSignatures wants an item stream to have the signature of the method that it calls.
func TestSignatures(t *testing.T) {
	if caller, callee := penClient.Methods[penPlotMany].Sig, plotterDesc.Handlers[0].Sig; caller != callee {
		t.Errorf("%s calls %s", caller, callee)
	}
}
