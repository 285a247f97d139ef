// Package buildtags has files that are built under conditions.
package buildtags

import "context"

// Service takes a type that differs by system.
//
//daffi:callback
//daffi:fetcher
type Service interface {
	Do(ctx context.Context, handle Handle) error
}

// Request is here always.
type Request struct{ Handle Handle }
