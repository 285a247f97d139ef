// Package saidtwice breaks a rule.
package saidtwice

import "context"

// Twice says it twice.
//
//daffi:fetcher
//daffi:fetcher Other // want "//daffi:fetcher is said twice; keep one \[DF015\]"
type Twice interface {
	//daffi:alias A
	//daffi:alias B // want "//daffi:alias is said twice; keep one \[DF015\]"
	Do(ctx context.Context) error
	//daffi:oneway
	//daffi:oneway // want "//daffi:oneway is said twice"
	Post(ctx context.Context) error
}
