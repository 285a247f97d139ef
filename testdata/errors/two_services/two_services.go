// Package twoservices breaks a rule.
package twoservices

import "context"

//daffi:callback
type Shop interface{ Stock() Stock }

//daffi:callback
type Stock interface {
	Do(ctx context.Context) error
}

//daffi:callback name=Shop.Stock // want "two services are called \"Shop.Stock\", the other is Shop.Stock at .*two_services.go:\d+:22; give one another name with //daffi:callback name=… \[DF040\]"
type Other interface {
	Do(ctx context.Context) error
}

//daffi:callback name=cart // want "two services are called \"cart\", the other is B at .*"
type A interface {
	Do(ctx context.Context) error
}

//daffi:callback name=cart // want "two services are called \"cart\", the other is A at .*two_services.go:\d+:6; give one another name with //daffi:callback name=… \[DF040\]"
type B interface {
	Do(ctx context.Context) error
}
