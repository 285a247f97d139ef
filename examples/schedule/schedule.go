// Package schedule has work that a controller asks for by itself, at the times that were planned.
package schedule

import "context"

//go:generate go tool daffigen

// Backup saves what it is told to.
//
//daffi:callback
//daffi:fetcher
type Backup interface {
	Save(ctx context.Context, what string) error
}
