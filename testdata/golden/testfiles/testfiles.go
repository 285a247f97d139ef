// Package testfiles has tests that use generated code and declare what it must not see.
package testfiles

import "context"

// Service is served.
//
//daffi:callback
//daffi:fetcher
type Service interface {
	Do(ctx context.Context, item Item) (Item, error)
}

// Item travels.
type Item struct{ Name string }
