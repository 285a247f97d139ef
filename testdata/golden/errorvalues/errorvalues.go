// Package errorvalues has errors that travel as values.
package errorvalues

import (
	"context"
	"iter"
)

// Failure is an error under another name.
type Failure error

// Outcome is what became of one job.
type Outcome struct {
	Job     string
	Err     error
	Causes  []error
	ByStep  map[string]error
	Failure Failure
	Last    [2]error
	Maybe   *error
	Literal interface{ Error() string }
	All     []Failure
	Few     []interface{ Error() string }
}

// Jobs returns errors beside the method's own.
//
//daffi:callback
//daffi:fetcher
type Jobs interface {
	Report(ctx context.Context, err error, more ...error) (last error, own error)
	Outcomes(ctx context.Context, failure Failure) ([]Outcome, error)
	Errors(ctx context.Context, in iter.Seq2[error, error]) iter.Seq2[error, error]
	Several(ctx context.Context) (first, second error, err error)
}
