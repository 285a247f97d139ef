package errors

import (
	"errors"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeErrLimit, readErrLimit, ErrLimit{3, "items"}),
		goldentest.Of(writeErrQuota, readErrQuota, ErrQuota{"u", time.Unix(1, 0).UTC(), []ErrLimit{{Max: 1}}, errors.New("x")}),
		goldentest.Of(writeProblem, readProblem, Problem{"what"}),
		goldentest.Of(writeFsPathError, readFsPathError),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
