// Package events has methods that are called at every provider.
package events

import "context"

// Board is served by many.
//
//daffi:callback
type Board interface {
	//daffi:event
	Pin(ctx context.Context, line string) error
	//daffi:event
	Picture(ctx context.Context, pixels []byte) error
	//daffi:event
	Bell(ctx context.Context) error
	//daffi:oneway
	Quiet(ctx context.Context, line string) error
}

// Town tells them all.
//
//daffi:fetcher Board
type Town interface {
	//daffi:event
	Pin(ctx context.Context, line string) error
	//daffi:event
	//daffi:alias Picture
	Show(ctx context.Context, pixels []byte) error
	//daffi:event
	Bell(ctx context.Context) error
	//daffi:event
	Quiet(ctx context.Context, line string) error
	//daffi:alias Quiet
	//daffi:oneway
	Whisper(ctx context.Context, line string) error
}
