// Package nocallback breaks a rule.
package nocallback

import "context"

// Service is not annotated.
type Service interface {
	Do(ctx context.Context) error
}

//daffi:fetcher Service // want "Service is not annotated; put //daffi:callback above it \[DF045\]"
type A interface {
	Do(ctx context.Context) error
}

//daffi:fetcher example.com/nowhere/shop.Service // want "package example.com/nowhere/shop is not found; check the import path, or go get its module \[DF045\]"
type B interface {
	Do(ctx context.Context) error
}

//daffi:fetcher github.com/daffi-rpc/daffi/examples/shopping.Shopper // want "package github.com/daffi-rpc/daffi/examples/shopping has no callback Shopper; put //daffi:callback above that interface, or name another \[DF045\]"
type C interface {
	Do(ctx context.Context) error
}
