// Package idempotent has a fetcher that says which calls may run twice.
package idempotent

import "context"

// Store keeps values.
//
//daffi:callback
type Store interface {
	Get(ctx context.Context, key string) (string, error)
	Put(ctx context.Context, key, value string) error
	//daffi:oneway
	Drop(ctx context.Context, key string) error
}

// Client calls a Store.
//
//daffi:fetcher Store
type Client interface {
	//daffi:idempotent
	Get(ctx context.Context, key string) (string, error)
	Put(ctx context.Context, key, value string) error
	//daffi:idempotent
	//daffi:alias Put
	PutAgain(ctx context.Context, key, value string) error
	//daffi:oneway
	//daffi:idempotent
	Drop(ctx context.Context, key string) error
}
