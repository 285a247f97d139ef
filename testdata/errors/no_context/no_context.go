// Package nocontext breaks a rule.
package nocontext

import "context"

//daffi:callback
type C interface {
	Nothing() error                                     // want "C.Nothing does not take a context first; make its first parameter ctx context.Context, or keep the method here with //daffi:local \[DF024\]"
	Other(id string) error                              // want "C.Other does not take a context first"
	Second(id string, ctx context.Context) (int, error) // want "C.Second does not take a context first"
}

//daffi:callback
//daffi:fetcher
type Both interface {
	Nothing() error // want "Both.Nothing does not take a context first; make its first parameter ctx context.Context \[DF024\]"
}
