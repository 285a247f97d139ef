// Package buildtags breaks a rule.
package buildtags

import "context"

//daffi:callback
type A interface {
	Do(ctx context.Context) error
}
