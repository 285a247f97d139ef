// Package space breaks a rule.
package space

import "context"

// Quiet would be ignored.
//
// daffi:callback // want "a directive has no space after the slashes, and small letters; write //daffi:callback \[DF017\]"
type Quiet interface {
	Do(ctx context.Context) error
}

//Daffi:Callback // want "write //daffi:callback \[DF017\]"
type Loud interface {
	Do(ctx context.Context) error
}
