package testfiles

import (
	"testing"

	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeItem, readItem, Item{"a"}),
	}
}

// What test files declare is not known to generated code, and names nothing in it.
type fake struct{ Service }

var itemFields2 = itemFields

var _ = NewService

var _ Service = fake{}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

func TestFields(t *testing.T) {
	if len(itemFields2) != 1 {
		t.Error(itemFields2)
	}
}
