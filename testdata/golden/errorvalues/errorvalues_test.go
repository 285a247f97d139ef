package errorvalues

import (
	"errors"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	err := errors.New("sold out")
	return []goldentest.Type{
		goldentest.Of(writeOutcome, readOutcome, Outcome{
			Job: "j", Err: err, Causes: []error{nil, err}, ByStep: map[string]error{"a": err, "b": nil}, Failure: err, Last: [2]error{1: err},
			Maybe: &err, Literal: err, All: []Failure{nil, err}, Few: []interface{ Error() string }{err, nil},
		}),
		goldentest.Of(writeSeveral, goldentest.Results(readJobsSeveralResult), JobsSeveralResult{err, nil}),
	}
}

func writeSeveral(e *codec.Encoder, v JobsSeveralResult) {
	e.Array(2)
	codec.WriteError(e, v.First)
	codec.WriteError(e, v.Second)
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
