//go:build (linux || darwin) && !never

package constrained

import "context"

// Client is there on the same.
//
//daffi:fetcher Service
type Client interface {
	Do(ctx context.Context, n int) error
}
