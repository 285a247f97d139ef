// Package errorsaway calls a service of another package, whose errors keep their identity here as well.
package errorsaway

import (
	"context"
	stderrors "errors"
	"iter"

	"github.com/daffi-rpc/daffi/testdata/golden/errors"
)

// ErrAway is of this package, and ErrB has the name of one of the service's.
var (
	ErrAway = stderrors.New("away")
	ErrB    = stderrors.New("another b")
)

// Buyer has the errors of the service and those of its own package.
//
//daffi:fetcher errors.Shop
type Buyer interface {
	Unary(ctx context.Context, n int) (int, error)
	Up(ctx context.Context, in iter.Seq2[int, error]) (int, error)
	Chosen(ctx context.Context) error
	None(ctx context.Context) error
}

// Picky chooses.
//
//daffi:fetcher errors.Shop
//daffi:errors errors.ErrSoldOut *errors.ErrQuota ErrAway
type Picky interface {
	Act(ctx context.Context) error
	//daffi:errors errors.ErrCode
	Unary(ctx context.Context, n int) (int, error)
}

// Stranger knows the service by its name on the wire alone. Errors are told by their names.
//
//daffi:fetcher Shop
type Stranger interface {
	Act(ctx context.Context) error
}

// Service has an error of another package, and one that is named by the import's path.
//
//daffi:callback name=away.Service
//daffi:fetcher
//daffi:errors errors.ErrSoldOut github.com/daffi-rpc/daffi/testdata/golden/errors.ErrLimit ErrAway
type Service interface {
	Relay(ctx context.Context) error
}

// Used has the import used.
func Used(e *errors.ErrQuota) string { return e.User }
