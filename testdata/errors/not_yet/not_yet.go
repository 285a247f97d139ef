// Package notyet breaks a rule.
package notyet

import "context"

// Later uses directives of later versions.
//
//daffi:callback
type Later interface {
	//daffi:serial // want "//daffi:serial is not supported .* \[DF011\]"
	Do(ctx context.Context) error
	//daffi:key user // want "//daffi:key is not supported"
	//daffi:event // want "//daffi:event is not supported"
	Other(ctx context.Context, user string) error
}

//daffi:object // want "//daffi:object is not supported"
type object interface{}

//daffi:transfer // want "//daffi:transfer is not supported"
func transfer() {}
