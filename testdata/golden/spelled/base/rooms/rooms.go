// Package rooms has an interface with a service below it.
package rooms

import "context"

// Room is below a service of another package.
//
//daffi:callback
//daffi:fetcher
type Room interface {
	Light(ctx context.Context, on bool) error
}

// WithRoom is embedded by it.
type WithRoom interface{ Kitchen() Room }
