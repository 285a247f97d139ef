// Package notyet breaks a rule.
package notyet

import "context"

// Later uses directives of later versions.
//
//daffi:callback
//daffi:errors ErrA // want "//daffi:errors is not supported by this version of daffigen; remove it or use a newer version \[DF011\]"
type Later interface {
	//daffi:object // want "//daffi:object is not supported .* \[DF011\]"
	Do(ctx context.Context) error
	//daffi:codec json // want "//daffi:codec is not supported"
	//daffi:map fn // want "//daffi:map is not supported"
	Other(ctx context.Context, user string) error
}

//daffi:message // want "//daffi:message is not supported"
type message struct{}

//daffi:object // want "//daffi:object is not supported"
type object interface{}

//daffi:transfer // want "//daffi:transfer is not supported"
func transfer() {}
