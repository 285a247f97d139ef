// Package imports imports with dots, under other names, and from directories that are called differently.
package imports

import (
	//lint:ignore ST1001 dot imports are what this package is about
	. "context"
	serviceClient "iter"
	//lint:ignore ST1001 the same
	. "net/netip"
	clock "time"

	"github.com/daffi-rpc/daffi/testdata/golden/foreign/shop"
	strange "github.com/daffi-rpc/daffi/testdata/golden/imports/go-odd"
)

// context, time, codec and daffi are what generated code would like to call its imports.
type (
	context struct{ At clock.Time }
	time    struct{ At clock.Duration }
	codec   struct{ Things []strange.Thing }
	daffi   = shop.Order
)

var shopping, iter = 1, 2

// Service takes what is imported.
//
//daffi:callback
//daffi:fetcher
type Service interface {
	//daffi:timeout 5s
	Resolve(ctx Context, addr Addr) (Prefix, error)
	At(ctx Context, context context, time time) (clock.Time, error)
	Things(ctx Context, in serviceClient.Seq2[strange.Thing, error]) serviceClient.Seq2[codec, error]
	Orders(ctx Context, orders ...daffi) (shop.Order, error)
}

var _ = shopping + iter
