// Package local breaks a rule.
package local

import "context"

//daffi:callback
type Cart interface {
	//daffi:oneway // want "Cart.Path is local, so it has nothing that //daffi:oneway is said of; drop one of the two \[DF016\]"
	//daffi:local
	//daffi:alias Where // want "Cart.Path is local, so it has nothing that //daffi:alias is said of"
	//daffi:codec json // want "//daffi:codec is said of"
	//daffi:timeout soon // want "//daffi:timeout is said of"
	//daffi:errors none // want "//daffi:errors is said of"
	Path(ctx context.Context) error
	Do(ctx context.Context) error
}
