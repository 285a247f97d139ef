// Package away calls a service of another package.
package away

import (
	"context"
	"net/url"

	store "github.com/daffi-rpc/daffi/testdata/golden/foreign/shop"
)

// Customer imports the callback's package, so its constant is used.
//
//daffi:fetcher github.com/daffi-rpc/daffi/testdata/golden/foreign/shop.Shop
type Customer interface {
	Place(ctx context.Context, order *store.Order) (string, error)
	PriceOf(ctx context.Context, article string) (store.Price, error)
}

// Quick names the callback as Go code would, and so does Customer by its import path.
//
//daffi:fetcher store.Shop
type Quick interface {
	PriceOf(ctx context.Context, article string) (store.Price, error)
}

// Browser takes structs of the standard library.
//
//daffi:fetcher
type Browser interface {
	Open(ctx context.Context, query url.Values, prices map[store.Price][]store.Line) (store.Order, error)
}
