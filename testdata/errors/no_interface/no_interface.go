// Package nointerface breaks a rule.
package nointerface

import "context"

//daffi:callback
type S struct{} // want "S is annotated but is not an interface; annotate an interface type \[DF020\]"

//daffi:fetcher
type A = interface { // want "A is annotated but is an alias, which has no name of its own; take the = away, or embed what it stands for: type A interface{ … } \[DF020\]"
	Do(ctx context.Context) error
}

//daffi:fetcher
type B = map[string]int // want "B is annotated but is not an interface; annotate an interface type \[DF020\]"
