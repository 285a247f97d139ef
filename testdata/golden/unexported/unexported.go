// Package unexported has unexported interfaces, whose generated names are unexported too.
package unexported

import "context"

type item struct{ ID string }

// lister is served and called in this package only.
//
//daffi:callback name=list
//daffi:fetcher
type lister interface {
	List(ctx context.Context, token string) ([]item, string, error)
}

// Lister has the same name but for its first letter.
//
//daffi:callback
//daffi:fetcher
type Lister interface {
	List(ctx context.Context) ([]string, error)
}

// keeper has a method that is not on the wire.
//
//daffi:callback
type keeper interface {
	Keep(ctx context.Context, it item) error
	//daffi:local
	close() error
	// Handler could not travel.
	//
	//daffi:local
	Handler() func()
}
