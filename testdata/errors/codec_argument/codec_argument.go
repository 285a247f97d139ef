// Package codecargument breaks a rule.
package codecargument

import "context"

// One says it wrongly in every way.
//
//daffi:callback
//daffi:codec default // want "//daffi:codec: default undoes the codec of the interface for one of its methods; put it there \[DF013\]"
type One interface {
	//daffi:codec // want "//daffi:codec: it needs the name of one codec; write raw, text, json or a name as it is registered, of lower-case letters, digits, - and _, at most 32 \[DF013\]"
	None(ctx context.Context, x string) error
	//daffi:codec a b // want "it needs the name of one codec"
	Two(ctx context.Context, x string) error
	//daffi:codec JSON // want "it needs the name of one codec"
	Upper(ctx context.Context, x string) error
	//daffi:codec abcdefghijklmnopqrstuvwxyz-234567 // want "it needs the name of one codec"
	Long(ctx context.Context, x string) error
	//daffi:codec abcdefghijklmnopqrstuvwxyz-23456
	Longest(ctx context.Context, x string) error
	//daffi:codec json
	//daffi:codec raw // want "//daffi:codec is said twice; keep one \[DF015\]"
	Twice(ctx context.Context, x string) error
	//daffi:codec default // want "//daffi:codec: default undoes the codec of the interface, which has none; leave it out \[DF013\]"
	Default(ctx context.Context, x string) error
	//daffi:codec json // want "//daffi:codec has no effect here; the method carries no values; leave it out \[DF012\]"
	Nothing(ctx context.Context) error
}

// Plain is not annotated.
//
//daffi:codec json // want "//daffi:codec has no effect here; put it directly above an annotated interface, or one of its methods \[DF012\]"
type Plain interface {
	//daffi:codec json // want "//daffi:codec has no effect here; put it"
	Do(ctx context.Context) error
}

// Both says it twice.
//
//daffi:callback
//daffi:codec json
//daffi:codec raw // want "//daffi:codec is said twice; keep one"
type Both interface {
	Do(ctx context.Context, x string) error
}
