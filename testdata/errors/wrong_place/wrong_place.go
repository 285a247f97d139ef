// Package wrongplace breaks a rule.
package wrongplace

import "context"

//daffi:callback // want "//daffi:callback has no effect here; put it directly above the type declaration of an interface \[DF012\]"

// Plain is not annotated: the line above is no part of its comment.
type Plain interface {
	//daffi:oneway // want "//daffi:oneway has no effect here; put it directly above a method of an annotated interface \[DF012\]"
	Do(ctx context.Context) error
}

//daffi:fetcher // want "//daffi:fetcher has no effect here"
type (
	// A and B stand in a group.
	A interface {
		Do(ctx context.Context) error
	}
	B interface {
		Do(ctx context.Context) error
	}
)

// Served is called by nobody in this package.
//
//daffi:callback
//daffi:oneway // want "//daffi:oneway has no effect here"
type Served interface {
	//daffi:timeout 5s // want "//daffi:timeout has no effect here; it concerns callers; put it on the fetcher's method \[DF012\]"
	Do(ctx context.Context) error
	//daffi:idempotent // want "//daffi:idempotent has no effect here; it concerns callers"
	Again(ctx context.Context) error
	Late(ctx context.Context) error //daffi:oneway // want "//daffi:oneway has no effect here"
}

//daffi:local // want "//daffi:local has no effect here"
func f() {}
