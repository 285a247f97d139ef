// Package unresolved breaks a rule.
package unresolved

import (
	"context"

	"example.com/gone"
)

// Order has a field of a type that does not exist.
type Order struct {
	ID    string
	Price Money
}

//daffi:callback
type C interface {
	A(ctx context.Context, m Missing) error // want "undefined: Missing; make it compile \(go get, if a module is missing\), then run daffigen again \[DF002\]"
	B(ctx context.Context, o Order) error   // want "C.B: Order.Price: undefined: Money; make it compile"
	D(ctx context.Context) error
	Twice(ctx context.Context, m []Missing) error // explained above, once
	E(ctx context.Context, g gone.Thing) error    // want "C.E: g: could not import example.com/gone \(its package cannot be loaded\); make it compile \(go get, if a module is missing\), .* \[DF002\]"
	F(ctx context.Context, g *gone.Other) error   // explained above, once
}

// What is wrong elsewhere does not matter.
func broken() Missing { return nope }
