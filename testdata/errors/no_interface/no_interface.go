// Package nointerface breaks a rule.
package nointerface

import "context"

//daffi:callback
type S struct{} // want "S is annotated but is not an interface; annotate an interface type \[DF020\]"

//daffi:fetcher
type A = interface { // want "A is annotated but is not an interface"
	Do(ctx context.Context) error
}
