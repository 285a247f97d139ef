// Package twoservices breaks a rule.
package twoservices

import "context"

//daffi:callback name=cart // want "two services are called \"cart\", the other is B at .*"
type A interface {
	Do(ctx context.Context) error
}

//daffi:callback name=cart // want "two services are called \"cart\", the other is A at .*two_services.go:\d+:6; give one another name with //daffi:callback name=… \[DF040\]"
type B interface {
	Do(ctx context.Context) error
}
