package errorsaway

import (
	"testing"

	"github.com/daffi-rpc/daffi/testdata/golden/errors"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeErrorsErrLimit, readErrorsErrLimit, errors.ErrLimit{Max: 3, Unit: "items"}),
		goldentest.Of(writeErrorsErrQuota, readErrorsErrQuota, errors.ErrQuota{User: "u"}),
		goldentest.Of(writeErrorsProblem, readErrorsProblem, errors.Problem{What: "what"}),
		goldentest.Of(writeFsPathError, readFsPathError),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
