// Package errorname breaks a rule.
package errorname

import (
	"context"
	"errors"
	"testing/iotest"
)

// ErrSoldOut is chosen.
var ErrSoldOut = errors.New("sold out")

//daffi:callback
//daffi:errors ErrSoldout, other // want "//daffi:errors: ErrSoldout: package errorname does not declare it; did you mean ErrSoldOut\? \[DF070\]" "//daffi:errors: other: package errorname does not declare it; declare it, or name another \[DF070\]"
type Shop interface {
	//daffi:errors iotest.ErrTimeout *fs.PathError // want "//daffi:errors: \*fs.PathError: package fs is not found; import it in this package, or write the whole import path, as in \*io/fs.PathError \[DF070\]"
	Sell(ctx context.Context) error
	//daffi:errors io.errOffset // want "it is unexported in package io; export it, or name another \[DF070\]"
	Read(ctx context.Context) error
	//daffi:errors ./x.ErrY -x.ErrZ // want "\./x.ErrY: package \./x is not found" "-x.ErrZ: package -x is not found"
	Relative(ctx context.Context) error
	//daffi:errors internal/oserror.ErrClosed // want "package internal/oserror cannot be imported here; name an error of another \[DF070\]"
	Internal(ctx context.Context) error
	//daffi:errors github.com/daffi-rpc/daffi/cmd/daffigen.ErrX // want "package github.com/daffi-rpc/daffi/cmd/daffigen cannot be imported here; name an error of another \[DF070\]"
	Program(ctx context.Context) error
	//daffi:errors github.com/daffi-rpc/daffi/testdata/errors/error_name/uses.ErrX // want "package .*/uses imports this one, which could not import it; move the error to this package \[DF070\]"
	Circle(ctx context.Context) error
	//daffi:errors // want "//daffi:errors: it names nothing; write names such as ErrA, \*TypeB and io.EOF, or none \[DF013\]"
	Nothing(ctx context.Context) error
	//daffi:errors ErrSoldOut none // want "none stands beside names; leave it or them out \[DF013\]"
	Some(ctx context.Context) error
	//daffi:errors io.EOF,io.EOF // want "io.EOF is named twice; name it once \[DF013\]"
	Twice(ctx context.Context) error
	//daffi:errors ErrSoldOut github.com/daffi-rpc/daffi/testdata/errors/error_name.ErrSoldOut // want "another is called ErrSoldOut already; leave one of them out \[DF070\]"
	Same(ctx context.Context) error
	//daffi:errors ErrSoldOut
	//daffi:errors io.EOF // want "//daffi:errors is said twice; keep one \[DF015\]"
	Again(ctx context.Context) error
}

//daffi:errors ErrSoldOut // want "//daffi:errors has no effect here; put it directly above an annotated interface, or one of its methods \[DF012\]"
type plain interface{ Do() }

var _ = iotest.ErrTimeout
