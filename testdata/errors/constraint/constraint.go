// Package constraint breaks a rule.
package constraint

//daffi:callback
type Number interface{ ~int | ~float64 } // want "Number is a type constraint and cannot be called; leave only methods in it \[DF022\]"
