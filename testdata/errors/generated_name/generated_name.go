// Package generatedname breaks a rule.
package generatedname

import "context"

//daffi:callback
type A interface {
	BC(ctx context.Context) error
}

//daffi:callback
type AB interface { // want "daffigen needs the name ABCMethod for A.BC and for AB.C; rename a method or an interface \[DF051\]"
	C(ctx context.Context) error
}
