package manyfiles

import "context"

// Buyer calls a service that is declared in a file after this one.
//
//daffi:fetcher Shop
type Buyer interface {
	Buy(ctx context.Context, item Item) error
}

// Audit stands beside it.
//
//daffi:callback
type Audit interface {
	Log(ctx context.Context, items ...Item) error
}
