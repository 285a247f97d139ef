// Package away has a message, and a service that takes it and one of its own.
package away

import "context"

// Place is a message. Its form is the same in the packages that use it.
//
//daffi:message
type Place struct {
	Lat, Lon float64
	Near     []*Place
}

// Atlas takes messages as every type.
//
//daffi:callback
//daffi:fetcher
type Atlas interface {
	Find(ctx context.Context, near Place) (*Place, error)
	Any(ctx context.Context, v any) (any, error)
}
