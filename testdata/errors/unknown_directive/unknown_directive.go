// Package unknowndirective breaks a rule.
package unknowndirective

import "context"

// Odd has words that do not exist.
//
//daffi:callbak // want "unknown directive //daffi:callbak; did you mean //daffi:callback\? use one of alias, callback, .* \[DF010\]"
type Odd interface {
	Do(ctx context.Context) error
}

// Even is fine but for a method.
//
//daffi:fetcher
type Even interface {
	//daffi:frobnicate 3 // want "unknown directive //daffi:frobnicate; use one of .* \[DF010\]"
	Do(ctx context.Context) error
	//daffi: oneway // want "unknown directive //daffi:; use one of .* \[DF010\]"
	Post(ctx context.Context) error
}
