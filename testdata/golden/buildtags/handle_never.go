//go:build never

package buildtags

import "context"

// Handle would collide with the other.
type Handle struct{ Ref func() }

// Never is annotated where nobody looks.
//
//daffi:callback
//daffi:nonsense
type Never interface {
	Do(ctx context.Context)
}
