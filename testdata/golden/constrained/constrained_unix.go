//go:build (linux || darwin) && !never

// Package constrained has its interfaces in files that are not built everywhere.
package constrained

import "context"

// Service is there on some systems only.
//
//daffi:callback
type Service interface {
	Do(ctx context.Context, n int) error
}
