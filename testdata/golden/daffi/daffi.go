// Package daffi is called like a package that generated code imports.
package daffi

import (
	"context"

	"github.com/daffi-rpc/daffi/testdata/golden/names/codec"
)

// Encoder is called like a type there.
type Encoder struct{ Call Call }

// Call is as well.
type Call struct{ Unit codec.Unit }

// Node has methods that are called like the packages.
//
//daffi:callback
//daffi:fetcher
type Node interface {
	Codec(ctx context.Context, codec Encoder) (daffi Call, err error)
	Daffi(ctx context.Context, daffi codec.Unit) (context codec.Unit, err error)
}
