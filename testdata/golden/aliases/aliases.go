// Package aliases has services under other names and methods that answer to older ones.
package aliases

import "context"

// Cart has a name of its own on the wire.
//
//daffi:callback name=shop.cart
type Cart interface {
	//daffi:alias Add
	//daffi:alias Put
	AddItem(ctx context.Context, item string) error
	Count(ctx context.Context) (int, error)
}

// Both calls its own newer names.
//
//daffi:callback name=both
//daffi:fetcher
type Both interface {
	//daffi:alias Old
	New(ctx context.Context) error
}

// Buyer names the callback by its Go name and its methods by older ones.
//
//daffi:fetcher Cart
type Buyer interface {
	Put(ctx context.Context, item string) error
	//daffi:alias Add
	Buy(ctx context.Context, item string) error
	//daffi:alias Count // how many there are
	Size(ctx context.Context) (int, error)
}

// ByWire names the same service by its name on the wire.
//
//daffi:fetcher shop.cart
type ByWire interface {
	Count(ctx context.Context) (int, error)
}
