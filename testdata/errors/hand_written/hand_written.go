// Package handwritten has a file of its own where generated code goes.
package handwritten // want "daffi_gen.go was not written by daffigen and would be lost; rename it \\[DF004\\]"

import "context"

//daffi:callback
type C interface {
	Do(ctx context.Context) error
}
