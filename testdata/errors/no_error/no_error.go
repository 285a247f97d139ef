// Package noerror breaks a rule.
package noerror

import "context"

//daffi:callback
type C interface {
	Nothing(ctx context.Context)            // want "C.Nothing does not return an error last; add error as its last result \[DF025\]"
	Value(ctx context.Context) int          // want "C.Value does not return an error last"
	First(ctx context.Context) (error, int) // want "C.First does not return an error last"
}
